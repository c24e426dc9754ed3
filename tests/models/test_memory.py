import resource
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from posology.models.memory import keep_freed_memory
if {keep}: assert keep_freed_memory()
for _ in range(3): torch.ones(12_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4): torch.ones(12_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_freed_memory_is_used_again() -> None:
    """Four times 48 MB: by default each page is asked for anew, afterwards none is."""
    pages = 4 * 48_000_000 // resource.getpagesize()
    faults = {}
    for keep in (False, True):
        said = subprocess.run(
            [sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=True
        )
        faults[keep] = int(said.stdout)
    assert faults[True] < pages / 100
    assert faults[True] < faults[False]
