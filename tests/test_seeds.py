"""Streams depend on their names alone."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import posology
from posology.seeds import numpy_stream, seed_of, stream


def test_worked_by_hand() -> None:
    """The first 8 bytes of SHA-256 of "(0, 'a', 1)", without the last bit."""
    assert seed_of(0, "a", 1) == 0x840A473970ED832E >> 1


def test_names_seeds_and_types_are_told_apart() -> None:
    values = [
        seed_of(0, "a"),
        seed_of(1, "a"),
        seed_of(0, "b"),
        seed_of(0, "a", 1),
        seed_of(0, "a", "1"),
        seed_of(0, "a", 2),
    ]
    assert len(set(values)) == len(values)
    assert all(0 <= value < 2**63 for value in values)


def test_order_of_calls_does_not_matter() -> None:
    first = [stream(3, "x").random(), stream(3, "y").random()]
    assert first[::-1] == [stream(3, "y").random(), stream(3, "x").random()]


@pytest.mark.parametrize("name", [{"a"}, 1.5, None, ("a", 1), True, np.int64(3), object()])
def test_names_without_a_fixed_text_are_refused(name: object) -> None:
    with pytest.raises(TypeError, match="strings and integers"):
        seed_of(0, name)


def test_the_same_numbers_under_any_hash_seed() -> None:
    script = "from posology.seeds import *; print(stream(0, 'a').random(), numpy_stream(0, 'a').random())"
    path = str(Path(posology.__file__).parents[1])
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": value},
            capture_output=True, text=True, check=True,
        ).stdout
        for value in ("0", "1")
    }  # fmt: skip
    assert outputs == {f"{stream(0, 'a').random()} {numpy_stream(0, 'a').random()}\n"}
