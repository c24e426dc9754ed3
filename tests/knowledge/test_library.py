from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from posology.config import UserError
from posology.knowledge.library import Library, load_library, read_folder


@pytest.mark.parametrize("text", ["renalol", "Renalol", " RENALOL ", "Kidnex", "kidnex", "renal ol", "Kidney  Pill"])
def test_names_resolve_by_brand_alias_and_case(small: Library, text: str) -> None:
    assert small.resolve_drug(text) == "renalol"


def test_unknown_names_are_none(small: Library) -> None:
    assert small.resolve_drug("renalo") is None
    assert small.resolve_class("soothers") == "soother"
    assert small.resolve_class("healer") is None
    assert small.resolve_term("condition", "Hepatic soreness") == "sore liver"
    assert small.resolve_term("indication", "sore liver") is None


def test_class_facts_belong_to_members(small: Library) -> None:
    assert small.members("soother") == ("soothol", "calmol")
    assert "thinner.interaction.soother" in {fact.id for fact in small.facts_for("thinol")}
    assert small.facts_for("nothing") == ()


def test_interactions_are_rules_of_both_sides(small: Library) -> None:
    mirrored = {rule.fact.id: rule for rule in small.rules_for("calmol") if rule.mirrored}
    assert set(mirrored) == {"thinner.interaction.soother"}
    assert mirrored["thinner.interaction.soother"].when[0].text == "comed: class thinner"


def test_a_fact_without_a_source_is_refused(make_folder: Callable[..., Path], write_fact: Callable[..., str]) -> None:
    folder = make_folder(write_fact("thinol.x", "renal", "drug thinol", "OK", ["egfr >= 90"], "sources = []"))
    with pytest.raises(UserError, match=r"area\.toml: thinol\.x: sources"):
        load_library(folder)


def test_reading_collects_every_problem(make_folder: Callable[..., Path], write_fact: Callable[..., str]) -> None:
    extra = write_fact("thinol.a", "renal", "drug thinol", "MAYBE", ["egfr >= 90"])
    extra += write_fact("thinol.b", "renal", "drug thinol", "OK", ["egfr >= many"])
    extra += write_fact("thinol.older.65", "renal", "drug thinol", "OK", ["egfr >= 90"])
    extra += '\n[[medicine]]\nname = "x"\n'
    library, problems = read_folder(make_folder(extra))
    assert [(problem.fact, problem.file) for problem in problems] == [
        ("thinol.a", "area.toml"),
        ("thinol.b", "area.toml"),
        ("medicine", "area.toml"),
        ("thinol.older.65", "area.toml"),
    ]
    assert "already declared" in problems[-1].message
    assert "thinol.a" not in library.by_id


def test_broken_toml_names_its_file(make_folder: Callable[..., Path]) -> None:
    folder = make_folder("[[fact]\n")
    _, problems = read_folder(folder)
    assert problems[0].file == "area.toml"
    assert "not TOML" in problems[0].message


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no facts/\*\.toml"):
        load_library(tmp_path)


def test_loading_is_cached(make_folder: Callable[..., Path]) -> None:
    folder = make_folder()
    assert load_library(folder) is load_library(str(folder))


def test_interaction_pairs_expand_classes_and_count_each_pair_once(small: Library) -> None:
    pairs = {("calmol", "thinol"), ("soothol", "thinol"), ("renalol", "thinol"), ("kidol", "thinol")}
    assert small.interaction_pairs() == {frozenset(pair) for pair in pairs}
