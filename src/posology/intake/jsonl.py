"""JSON, one object a line -> rows. Stricter than the standard library: no NaN, no key twice in one object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from posology.errors import UserError
from posology.intake.lines import Lines, open_lines
from posology.intake.rows import BadRow, Row

SAMPLE = 50  # rows whose keys tell which columns a file has


def jsonl_rows(path: Path) -> Iterator[Row]:
    """The rows in order; blank lines are no rows. UserError for a file that is one JSON array."""
    with open_lines(path) as lines:
        number = 0
        while True:
            lines.begin()
            try:
                line = next(lines, None)
            except BadRow as bad:
                number += 1
                yield Row(number, lines.number, fault=bad.reason)
                continue
            if line is None:
                return
            if not line.strip():
                continue
            number += 1
            if number == 1 and line.lstrip().startswith("["):
                hint = f"one object a line is needed: jq -c '.[]' {path} > {path.stem}.jsonl"
                raise UserError(f"{path} holds a JSON array", hint)
            yield _row(number, lines, line)


def jsonl_columns(path: Path) -> list[str]:
    """The keys of the first rows, in the order in which they come."""
    keys: dict[str, None] = {}
    for row in jsonl_rows(path):
        keys |= dict.fromkeys(row.values)
        if row.number >= SAMPLE:
            break
    return list(keys)


def _row(number: int, lines: Lines, line: str) -> Row:
    if lines.fault:
        return Row(number, lines.number, fault=lines.fault)
    try:
        values = json.loads(line, object_pairs_hook=_object, parse_constant=_constant)
    except BadRow as bad:
        return Row(number, lines.number, fault=bad.reason)
    except RecursionError:
        return Row(number, lines.number, fault="its JSON is nested too deeply")
    except ValueError:
        return Row(number, lines.number, fault="it is not JSON")
    if not isinstance(values, dict):
        return Row(number, lines.number, fault="it is not a JSON object, {...}")
    return Row(number, lines.number, values)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise BadRow("a key stands twice in one of its JSON objects")
    return values


def _constant(_: str) -> NoReturn:
    raise BadRow("it holds NaN or Infinity, which are not JSON")
