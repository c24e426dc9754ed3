"""Which texts have come before, in twelve bytes each: a file may have twenty million rows."""

from __future__ import annotations

import hashlib
from array import array

_BUCKETS = 1 << 16


class Seen:
    """Text -> the row that had it first. Texts are told apart by 64 bits of a hash: among 20 million, two different
    ones are taken for the same with a probability of 1 in 100,000.
    """

    def __init__(self) -> None:
        self._hashes: dict[int, array[int]] = {}
        self._rows: dict[int, array[int]] = {}
        self.repeats = 0

    def first(self, text: str, row: int) -> int:
        """The row in which `text` was met before; 0 where it is new, and then belongs to `row`."""
        digest = int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest())
        bucket = digest % _BUCKETS
        hashes = self._hashes.get(bucket)
        if hashes is None:
            self._hashes[bucket], self._rows[bucket] = array("Q", [digest]), array("I", [row])
            return 0
        rows = self._rows[bucket]
        if digest in hashes:
            self.repeats += 1
            return rows[hashes.index(digest)]
        hashes.append(digest)
        rows.append(row)
        return 0
