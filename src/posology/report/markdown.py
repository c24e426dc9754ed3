"""Tables and shares of docs/RESULTS.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; "" where it has no rows."""
    if not rows:
        return ""
    lines = [columns, ["---"] * len(columns), *rows]
    return (
        "\n".join("| " + " | ".join("" if cell is None else str(cell) for cell in line) + " |" for line in lines) + "\n"
    )


def share(name: str, cell: Mapping[str, Any] | None) -> str:
    """k / n, the value, its interval and its verdict."""
    if cell is None or cell.get("value") is None:
        return "none"
    counted = f"{cell['k']:,} / {cell['n']:,} = " if cell.get("k") is not None else ""
    ends = ", ".join(value(name, cell[end]).removesuffix(" %") for end in ("low", "high"))
    return f"{counted}{value(name, cell['value'])} [{ends}] {cell.get('verdict', '')}".rstrip()


def value(name: str, of: float | None) -> str:
    """In percent; usefulness in points."""
    if of is None:
        return ""
    return f"{of:.2f}" if name.startswith("usefulness") else f"{100 * of:.1f} %"
