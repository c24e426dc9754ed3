"""Numbers that know the file and the key that they came from, and the logs that most of them are read from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Row = Mapping[str, float]  # one line of metrics.jsonl: finite numbers alone


@dataclass(frozen=True)
class Number:
    """A value with its source. `file` is relative to the run's folder; a derived value names all it was made of."""

    value: float
    file: str
    key: str

    @property
    def source(self) -> str:
        return f"{self.file} · {self.key}"


@dataclass(frozen=True)
class Rows:
    """One split of a metrics.jsonl, in order of steps."""

    file: str
    split: str
    rows: tuple[Row, ...] = ()

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def series(self, key: str) -> tuple[tuple[float, float], ...]:
        """(step, value) wherever the key has a value."""
        return tuple((row["step"], row[key]) for row in self.rows if key in row and "step" in row)

    def keys(self) -> tuple[str, ...]:
        """Every metric of the split, in the order of first appearance."""
        found = dict.fromkeys(key for row in self.rows for key in row)
        return tuple(key for key in found if key not in ("step", "time_s"))

    def first(self, key: str) -> Number | None:
        return self._number(key, 0)

    def last(self, key: str) -> Number | None:
        return self._number(key, -1)

    def at(self, step: float, key: str) -> Number | None:
        """The value at a step; the last one where that step was not logged."""
        values = dict(self.series(key))
        if step not in values:
            return self.last(key)
        return Number(values[step], self.file, f"{self.split}: {key} at step {step:.0f}")

    def _number(self, key: str, place: int) -> Number | None:
        points = self.series(key)
        if not points:
            return None
        step, value = points[place]
        return Number(value, self.file, f"{self.split}: {key} at step {step:.0f}")
