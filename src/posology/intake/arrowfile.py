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
UNREADABLE = "it holds a value that cannot be read"
_BUFFER = 1 << 20  # bytes of a column that are read ahead


def parquet_columns(path: Path) -> list[str]:
    """The names in the schema. UserError for a file that is no Parquet file, or is damaged."""
    with _open_parquet(path) as file:
        return list(file.schema_arrow.names)


def parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of these columns, in order."""
    with _open_parquet(path) as file:
        yield from _rows(file.iter_batches(batch_size=BATCH, columns=list(columns), use_threads=False))


def arrow_columns(path: Path) -> list[str]:
    """The names in the schema. UserError for a file that is no Arrow file, or is damaged."""
    with _open_arrow(path) as (schema, _):
        return list(schema.names)


def arrow_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of these columns, in order."""
    with _open_arrow(path) as (_, batches):
        yield from _rows(batch.select(list(columns)) for batch in batches)


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


def _rows(batches: Iterator[Any]) -> Iterator[Row]:
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH):
            for values, fault in _values(batch.slice(start, BATCH)):
                number += 1
                yield Row(number, 0, values, fault)


def _values(batch: Any) -> list[tuple[dict[str, Any], str]]:
    """The rows of a batch as plain Python, each with what is wrong with it: pyarrow does not check that text is UTF-8,
    and holds dates that Python has not.
    """
    try:
        return [(row, "") for row in batch.to_pylist()]
    except UnicodeDecodeError:
        fault = NOT_UTF8
    except (ValueError, OverflowError):
        fault = UNREADABLE
    if batch.num_rows == 1:
        return [({}, fault)]
    return [found for n in range(batch.num_rows) for found in _values(batch.slice(n, 1))]
