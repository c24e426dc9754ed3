"""Named random streams, so that nothing depends on the order of calls.

Every random choice draws from a stream named after what it is for: ``stream(seed, "shuffle", epoch)``. Two streams with
different names are unrelated; the same name gives the same numbers on every machine, whatever PYTHONHASHSEED says.
"""

from __future__ import annotations

import hashlib
import random

import numpy as np


def seed_of(seed: int, *names: object) -> int:
    """A 63-bit number from a run's seed and a stream's name (SHA-256 of their text).

    Torch generators are made by callers: ``torch.Generator().manual_seed(seed_of(seed, "dropout", step))``.
    Names are strings, numbers or tuples of these; 1 and "1" are different names. Sets are refused: their text depends
    on PYTHONHASHSEED.
    """
    for name in names:
        if not isinstance(name, str | int | float | tuple | None):
            raise TypeError(f"a stream's name is made of strings and numbers, not {type(name).__name__}")
    digest = hashlib.sha256(repr((int(seed), *names)).encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, *names: object) -> random.Random:
    """A generator of the standard library for the stream of that name."""
    return random.Random(seed_of(seed, *names))


def numpy_stream(seed: int, *names: object) -> np.random.Generator:
    """A NumPy generator for the stream of that name (bit generator PCG64, pinned so that numbers stay the same)."""
    return np.random.Generator(np.random.PCG64(seed_of(seed, *names)))
