"""Named random streams, so that nothing depends on the order of calls.

Every random choice draws from a stream named after what it is for: ``stream(seed, "shuffle", epoch)``. Two streams with
different names are unrelated; the same name gives the same numbers on every machine, whatever PYTHONHASHSEED says.
"""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def seed_of(seed: int, *names: object) -> int:
    """A 63-bit number from a run's seed and a stream's name (SHA-256 of their text).

    Torch generators are made by callers: ``torch.Generator().manual_seed(seed_of(seed, "dropout", step))``.
    Names are strings and integers; 1 and "1" are different names. Anything else is a TypeError: the text of a set
    depends on PYTHONHASHSEED, and that of an object on where it lies in memory.
    """
    for name in names:
        if type(name) not in (str, int):
            raise TypeError(f"a stream's name is made of strings and integers, not {type(name).__name__}")
    digest = hashlib.sha256(repr((int(seed), *names)).encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, *names: object) -> random.Random:
    """A generator of the standard library for the stream of that name."""
    return random.Random(seed_of(seed, *names))


def numpy_stream(seed: int, *names: object) -> np.random.Generator:
    """A NumPy generator for the stream of that name (bit generator PCG64, pinned so that numbers stay the same)."""
    import numpy as np  # here, so that the command line starts without it

    return np.random.Generator(np.random.PCG64(seed_of(seed, *names)))
