"""Parquet and Arrow files -> rows, a few at a time. pyarrow is imported here only, when such a file is read.

What pyarrow says of a damaged file may quote its bytes, so none of it is passed on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from posology.errors import UserError
from posology.intake.rows import NOT_UTF8, Row

BATCH = 64  # rows held at a time: with notes of a megabyte still only 64 MB
_BUFFER = 1 << 20  # bytes of a column that are read ahead


def parquet_columns(path: Path) -> list[str]:
    """The names in the schema. UserError for a file that is no Parquet file, or is damaged."""
    with _open_parquet(path) as file:
        return list(file.schema_arrow.names)


def parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of these columns, in order."""
    with _open_parquet(path) as file:
        yield from _rows(path, file.iter_batches(batch_size=BATCH, columns=list(columns), use_threads=False))


def arrow_columns(path: Path) -> list[str]:
    """The names in the schema. UserError for a file that is no Arrow file, or is damaged."""
    with _open_arrow(path) as (schema, _):
        return list(schema.names)


def arrow_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of these columns, in order."""
    with _open_arrow(path) as (_, batches):
        yield from _rows(path, (batch.select(list(columns)) for batch in batches))


@contextmanager
def _open_parquet(path: Path) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
            yield file
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(path, error, "Parquet") from None


@contextmanager
def _open_arrow(path: Path) -> Iterator[tuple[Any, Iterator[Any]]]:
    """The schema and the record batches: a stream, as `datasets` writes it, or a file with a footer."""
    import pyarrow

    try:
        with pyarrow.OSFile(str(path)) as source:
            try:
                reader = pyarrow.ipc.open_stream(source)
            except pyarrow.ArrowInvalid:
                source.seek(0)
                reader = pyarrow.ipc.open_file(source)
                yield reader.schema, (reader.get_batch(n) for n in range(reader.num_record_batches))
            else:
                yield reader.schema, iter(reader)
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(path, error, "Arrow") from None


def _damaged(path: Path, error: Exception, kind: str) -> UserError:
    if isinstance(error, OSError) and error.errno is not None:
        return UserError(f"cannot read {path}: {error.strerror or 'the system refused'}")
    return UserError(f"{path} is damaged, or is no {kind} file", "copy it again, or write it again from its source")


def _rows(path: Path, batches: Iterator[Any]) -> Iterator[Row]:
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH):
            part = batch.slice(start, BATCH)
            for values in _values(part):
                number += 1
                yield Row(number, 0, fault=NOT_UTF8) if values is None else Row(number, 0, values)


def _values(batch: Any) -> list[dict[str, Any] | None]:
    """The rows of a batch as plain Python; None for one whose text is not UTF-8, which pyarrow does not check."""
    try:
        rows: list[dict[str, Any] | None] = batch.to_pylist()
    except UnicodeDecodeError:
        return [_value(batch.slice(n, 1)) for n in range(batch.num_rows)]
    return rows


def _value(batch: Any) -> dict[str, Any] | None:
    try:
        row: dict[str, Any] = batch.to_pylist()[0]
    except UnicodeDecodeError:
        return None
    return row
