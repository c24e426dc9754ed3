import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from posology.models.memory import keep_freed_memory
keep_freed_memory() if {keep} else None
faults = []
for _ in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step = [torch.zeros(3_000_000 + 10_000 * i).add_(1) for i in range(12)]
    del step
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(faults[1:]))
"""


def run(keep: bool) -> int:
    said = subprocess.run([sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=True)
    return int(said.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_freed_memory_is_used_again() -> None:
    """Steps of 12 tensors of 12 MB: by default most of the 36,000 pages are asked for anew, afterwards hardly any."""
    asked_anew = run(keep=False)
    if not asked_anew:
        pytest.skip("this kernel does not count page faults (a sandbox's may not), so there is nothing to compare")
    assert run(keep=True) < asked_anew / 5


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_what_is_free_can_be_given_back() -> None:
    code = """
import torch
from posology.models.memory import keep_freed_memory, release_memory
keep_freed_memory()
megabytes = lambda: int(open("/proc/self/statm").read().split()[1]) * 4 // 1024
step = [torch.ones(3_000_000) for _ in range(20)]
del step
before = megabytes()
release_memory()
print(before - megabytes())
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(said.stdout) > 150  # of 240
