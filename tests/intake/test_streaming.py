"""A file is read in the memory of a few rows, however long it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import posology
from posology.intake.seen import Seen

MEGABYTES = 60
ALLOWED = 25  # of growth: far less than the file, far more than what allocators keep back
READ = """
import resource, sys
from pathlib import Path
from posology.intake.read import read_examples
path = Path(sys.argv[1])
reader = read_examples(path)
next(reader)  # libraries are loaded
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = 1 + sum(1 for _ in reader)
print(rows, before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
NOTE = "Takes metformin 500 mg twice a day. " * 100
ROWS = MEGABYTES * 1_000_000 // len(NOTE)


def big(path: Path) -> Path:
    if path.suffix == ".parquet":
        table = pa.table(
            {"id": [str(n) for n in range(ROWS)], "clinical_note": [NOTE] * ROWS, "model_summary": ["s"] * ROWS}
        )
        pq.write_table(table, path, compression="none", use_dictionary=False, row_group_size=ROWS)
        return path
    with open(path, "w", encoding="utf-8") as file:
        if path.suffix == ".csv":
            file.write("id,clinical_note,model_summary\n")
            file.writelines(f'{n},"{NOTE}",s\n' for n in range(ROWS))
        else:
            file.writelines(f'{{"id": {n}, "clinical_note": "{NOTE}", "model_summary": "s"}}\n' for n in range(ROWS))
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    path = big(tmp_path / name)
    assert path.stat().st_size > MEGABYTES * 900_000
    environment = {**os.environ, "PYTHONPATH": str(Path(posology.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], env=environment, capture_output=True, text=True, check=True
    )
    rows, before, after = map(int, done.stdout.split())
    assert rows == ROWS
    if not before:
        pytest.skip("this kernel does not count resident memory")
    scale = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kilobytes elsewhere
    assert (after - before) * scale < ALLOWED * 1_000_000


def test_ids_are_remembered_in_little_room() -> None:
    seen = Seen()
    for row in range(1, 200_001):
        assert seen.first(f"a rather long identity {row}", row) == 0
    assert seen.first("a rather long identity 77", 200_001) == 77
    room = sum(sys.getsizeof(table) for tables in (seen._hashes, seen._rows) for table in tables.values())
    assert room < 16_000_000  # 10 MB of which however few there are; the texts in a set take 33 MB
