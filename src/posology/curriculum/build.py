"""Facts -> documents, dialogues, preferences and cases: the same bytes for the same settings and seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from posology.config import DataConfig
from posology.curriculum.cases import make_cases
from posology.curriculum.dialogues import make_dialogues
from posology.curriculum.documents import make_documents
from posology.curriculum.knowledge_dialogues import SHARE, knowledge_dialogues
from posology.curriculum.preferences import make_preferences
from posology.curriculum.records import Case, Dialogue, Document, Gold, GoldDose, Preference
from posology.curriculum.supply import Supply
from posology.files import read_jsonl, write_jsonl
from posology.knowledge.library import Library, load_library

FILES = ("documents", "dialogues", "preferences", "cases")


@dataclass(frozen=True)
class Curriculum:
    """Everything that is trained on and examined with."""

    documents: tuple[Document, ...]
    dialogues: tuple[Dialogue, ...]
    preferences: tuple[Preference, ...]
    cases: tuple[Case, ...]


def build_curriculum(config: DataConfig, seed: int, library: Library | None = None) -> Curriculum:
    """All records. About ten seconds at the laptop's size."""
    library = library or load_library()
    supply = Supply.make(library, seed, config.facts_limit)
    total = config.questions * len({target.fact.id for target in supply.targets})
    knowledge = knowledge_dialogues(library, round(SHARE * total), seed)
    cases = tuple(make_cases(supply, config, seed))
    asked = {case.question for case in cases}  # a training wording that loses a word can become one of these
    return Curriculum(
        tuple(make_documents(library, config)),
        tuple(item for item in make_dialogues(supply, config, seed, knowledge) if item.prompt not in asked),
        tuple(item for item in make_preferences(supply, config, seed) if item.prompt not in asked),
        cases,
    )


def write_curriculum(curriculum: Curriculum, folder: Path) -> None:
    """One JSONL file a kind of record; a case carries its id."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES[:3]:  # flat records: no deep copies
        write_jsonl(folder / f"{name}.jsonl", (vars(record) for record in getattr(curriculum, name)))
    write_jsonl(folder / "cases.jsonl", ({"case_id": case.case_id, **asdict(case)} for case in curriculum.cases))


def read_curriculum(folder: Path) -> Curriculum:
    """The records that `write_curriculum` wrote, equal to the ones written."""
    documents = tuple(Document(**row) for row in read_jsonl(folder / "documents.jsonl"))
    dialogues = tuple(
        Dialogue(**_tupled(row, ("fact_ids", "elements"))) for row in read_jsonl(folder / "dialogues.jsonl")
    )
    preferences = tuple(Preference(**_tupled(row, ("fact_ids",))) for row in read_jsonl(folder / "preferences.jsonl"))
    cases = tuple(_case(row) for row in read_jsonl(folder / "cases.jsonl"))
    return Curriculum(documents, dialogues, preferences, cases)


def _tupled(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {**row, **{name: tuple(row.get(name, ())) for name in names}}  # older runs lack some


def _case(row: Mapping[str, Any]) -> Case:
    fields = {key: value for key, value in row.items() if key != "case_id"}
    gold = dict(fields["gold"])
    if gold["dose"] is not None:
        dose = _tupled(gold["dose"], ("steps", "step_expressions"))
        gold["dose"] = GoldDose(**{**dose, "every_h": tuple(dose["every_h"]) if dose["every_h"] is not None else None})
    names = ("facts", "missing", "deciding_too", "alternatives", "monitored", "conflict")
    fields["patient"] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields["patient"].items()
    }
    return Case(**{**fields, "gold": Gold(**_tupled(gold, names))})
