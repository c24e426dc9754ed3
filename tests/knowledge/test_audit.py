"""The reviewed differences: well formed, and not a sentence of anyone's but ours."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from posology.config import UserError
from posology.knowledge.audit import DIFFERENCES, Audit, Finding, load_differences
from posology.knowledge.library import FOLDER, Library, load_library

CPIC = (
    '[[cpic]]\nfact = "thinol.genotype.poor"\npopulation = "general"\ncpic = "standard dose"\nreason = "why"\n'
    'source = {id = "label-us", locator = "4"}\n'
)
LABEL = (
    '[[label]]\ndrug = "thinol"\nterm = "anuria"\nkind = "gap"\nreason = "why"\n'
    'source = {id = "label-us", locator = "4"}\n'
)


def test_the_shipped_differences_load(real: Library) -> None:
    found = load_differences(real)
    assert found.cpic and found.label


def test_a_folder_without_the_file_has_none(make_folder: Callable[..., Path]) -> None:
    folder = make_folder()
    found = load_differences(load_library(folder), folder)
    assert (found.cpic, found.label) == ((), ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[cpic]\n", "is not TOML"),
        ("[[other]]\nx = 1\n", "unknown table 'other'"),
        (CPIC.replace('reason = "why"\n', ""), "reason"),
        (CPIC.replace('reason = "why"', 'reason = ""'), "reason"),
        (CPIC.replace("source = ", "sauce = "), "source"),
        (CPIC.replace("thinol.genotype.poor", "no.such.fact"), "no fact 'no.such.fact'"),
        (CPIC.replace("label-us", "rumour"), "no source 'rumour'"),
        (CPIC + CPIC, "stands twice"),
        (LABEL.replace('"gap"', '"whatever"'), "kind"),
        (LABEL.replace('drug = "thinol"', 'drug = "unheardol"'), "no drug 'unheardol'"),
    ],
)
def test_what_is_refused(make_folder: Callable[..., Path], text: str, message: str) -> None:
    folder = make_folder()
    (folder / DIFFERENCES).write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_differences(load_library(folder), folder)
    assert message in caught.value.message
    assert caught.value.hint


def test_what_passes() -> None:
    good = Finding("a", "b", "OK", "standard dose", "agrees")
    gap = Finding("a", "b", "no fact", "anuria", "gap")
    assert Audit((good, gap), (), ()).passes
    assert not Audit((good, Finding("a", "b", "OK", "avoid", "unexplained")), (), ()).passes
    assert not Audit((good,), (), ("an entry",)).passes


def _runs(text: str, length: int = 8) -> Iterator[str]:
    words = re.findall(r"[a-z0-9]+", text.casefold())
    for start in range(len(words) - length + 1):
        yield " ".join(words[start : start + length])


def test_no_eight_words_in_a_row_are_a_sources(public_data: Path) -> None:
    """Facts carry over, sentences never do."""
    ours = {run for path in FOLDER.rglob("*.toml") for run in _runs(path.read_text(encoding="utf-8"))}
    csv.field_size_limit(10**7)
    with open(public_data / "cpic" / "recommendations.csv", encoding="utf-8", newline="") as file:
        texts = {row["recommendation"] for row in csv.DictReader(file)}
    with open(public_data / "fda_labels" / "sections.jsonl", encoding="utf-8") as file:
        texts |= {json.loads(line)["text"] for line in file}
    shared = {run for text in texts for run in _runs(text) if run in ours}
    assert shared == set()
