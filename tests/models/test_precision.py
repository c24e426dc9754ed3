from pathlib import Path

import pytest
import torch

from posology.config import ConfigError
from posology.models import precision
from posology.models.precision import pick_precision


def test_bf16_multiplies_in_bf16_and_fp32_does_not() -> None:
    a = torch.ones(2, 2)
    with pick_precision("bf16")():
        assert (a @ a).dtype == torch.bfloat16
    with pick_precision("fp32")():
        assert (a @ a).dtype == torch.float32
    assert (a @ a).dtype == torch.float32


@pytest.mark.parametrize(
    ("flags", "name"),
    [({"avx512_bf16"}, "bf16"), ({"amx_bf16", "avx2"}, "bf16"), ({"avx512_f"}, "fp32"), (set(), "fp32")],
)
def test_auto_asks_the_processor(monkeypatch: pytest.MonkeyPatch, flags: set[str], name: str) -> None:
    monkeypatch.setattr(precision, "_cpu_flags", lambda: flags)
    precision.cpu_has_bf16.cache_clear()
    assert pick_precision("auto").name == name
    precision.cpu_has_bf16.cache_clear()


def test_flags_come_from_linux_where_torch_does_not_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("model name : x\nflags\t\t: fpu avx512_bf16 amx_tile\n")
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert precision._cpu_flags(cpuinfo) == {"fpu", "avx512_bf16", "amx_tile"}
    assert precision._cpu_flags(tmp_path / "none") == set()


def test_a_word_that_is_no_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match="fp8"):
        pick_precision("fp8")
