"""The benchmark of LoRA on a 7B, on a model of no size: every line of it but the GPU's own runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_7b.py"


def test_the_gpu_benchmark_writes_figures_of_every_part(tmp_path: Path) -> None:
    output = tmp_path / "small.json"
    line = [sys.executable, str(SCRIPT), "--device", "cpu", "--small", "--output", str(output), "--total-s", "500"]
    done = subprocess.run(
        [*line, "--parts", "sft,dpo,generate,profile"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    parts = json.loads(output.read_text(encoding="utf-8"))["parts"]
    assert set(parts) == {"prepare", "sft", "dpo", "generate", "profile"}
    for name in ("sft", "dpo"):
        assert parts[name]["timed_steps"] > 0
        assert 0 < parts[name]["scored_tokens_per_s"] < parts[name]["tokens_per_s"]
        assert (
            0 < parts[name]["model_flops_per_s"] < parts[name]["hardware_flops_per_s"]
        )  # DPO's reference; recomputing
    assert sum(group["rows"] for group in parts["generate"]["groups"]) == 4
    assert parts["generate"]["tokens_per_s"] > 0
    assert parts["profile"]["profiled_ms"] >= sum(row["ms"] for row in parts["profile"]["kernels"]) > 0
    assert "tokens/s" in done.stdout
