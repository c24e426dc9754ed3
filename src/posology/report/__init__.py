"""The run report: gather (run directory -> frozen data) -> figures -> page (one self-contained HTML file)."""
