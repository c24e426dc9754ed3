"""The build: same seed, same bytes, whatever PYTHONHASHSEED says; what is written is what is read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from posology.config import DataConfig
from posology.curriculum.build import Curriculum, build_curriculum, read_curriculum, write_curriculum

TINY = "DataConfig(questions=4, pairs=3, items=0.03, facts_limit=30)"
PROBE = f"""
import hashlib
from posology.config import DataConfig
from posology.curriculum.build import build_curriculum
c = build_curriculum({TINY}, 5)
print(hashlib.sha256(repr((c.documents, c.dialogues, c.preferences, c.cases)).encode()).hexdigest())
"""


def test_same_bytes_whatever_the_hash_seed() -> None:
    digests = set()
    for value in ("0", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": value, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=True
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_no_question_of_the_exam_is_trained_on_even_in_a_training_wording() -> None:
    """S0 asks few facts in training's own wordings: some of them would be met by chance."""
    made = build_curriculum(DataConfig(questions=60, pairs=8, items=1.0, facts_limit=12), 0)
    asked = {case.question for case in made.cases}
    assert len(asked) > 300 and len(made.dialogues) > 500
    assert not asked & {record.prompt for record in (*made.dialogues, *made.preferences)}


def test_another_seed_gives_other_questions_and_the_same_documents() -> None:
    config = DataConfig(questions=4, pairs=3, items=0.03, facts_limit=30)
    one, other = build_curriculum(config, 1), build_curriculum(config, 2)
    assert one.dialogues != other.dialogues and one.cases != other.cases
    assert one.documents == other.documents


def test_records_survive_the_disk(curriculum: Curriculum, tmp_path: Path) -> None:
    write_curriculum(curriculum, tmp_path)
    again = read_curriculum(tmp_path)
    assert again == curriculum
    assert [case.case_id for case in again.cases[:20]] == [case.case_id for case in curriculum.cases[:20]]
