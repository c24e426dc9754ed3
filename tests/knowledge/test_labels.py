"""The label audit on made-up labels, and on the labels of about 2014 where the public data are there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posology.config import UserError
from posology.knowledge.audit import LabelDifference, load_differences
from posology.knowledge.fact import SourceRef
from posology.knowledge.labels import (
    UNREAD,
    Lexicon,
    Section,
    Term,
    audit_labels,
    load_lexicon,
    medicine,
    read_section,
    read_sections,
)
from posology.knowledge.library import FOLDER, Library

TERMS = (
    Term(name="sore liver", words=("hepatic soreness", "sore liver"), facts=("condition: sore liver",)),
    Term(name="moss", words=("moss",), facts=("allergy: moss",)),
    Term(name="kidney", words=("renal failure", "renal impair*"), facts=("egfr",)),
    Term(name="itself", words=("hypersensitiv*",), facts=("allergy: {drug}",)),
)
LEXICON = Lexicon(TERMS, frozenset("is contraindicated in patients with or and known to severe".split()))  # noqa: SIM905


def section(text: str, product: str = "Soothe", generic: str = "Soothol Hydrochloride") -> Section:
    return Section(product, generic, text)


def entry(term: str, label: str = "", kind: str = "gap", drug: str = "soothol") -> LabelDifference:
    source = {"id": "label-us", "locator": "4"}
    return LabelDifference.model_validate(
        {"drug": drug, "term": term, "label": label, "kind": kind, "reason": "why", "source": source}
    )


@pytest.mark.parametrize(
    ("text", "terms", "unread"),
    [
        ("Soothe is contraindicated in patients with sore liver or moss.", ("sore liver", "moss"), ()),
        ("Renal impairment; renal failures", ("kidney",), ()),
        ("Sore-liver", ("sore liver",), ()),
        ("Mosses", (), ("mosses",)),
        ("Sore liver or flat feet, moss", ("sore liver", "moss"), ("flat feet",)),
        ("Moss [see Warnings and Precautions (5.2)] and\nsore liver see Adverse Reactions (6.1) and Use in Kids (8).",
         ("sore liver", "moss"), ()),
        ("Moss, because of the risk of renal failure", ("moss",), ()),
        ("Sore liver such as renal failure (e.g., after moss)", ("sore liver",), ()),
        ("Sore liver (unless there is moss)", ("sore liver",), ()),
        ("Moss, since renal failure follows", ("moss",), ()),
        ("Sore liver. Renal failure may complicate flat feet.", ("sore liver",), ()),
        ("Known hypersensitivity to Soothe. Hypersensitivity may involve renal failure.", ("itself",), ()),
        ("4.1 Moss\nSoothe is contraindicated in moss (4)", ("moss",), ()),
        ("Hypersensitivity to sothol or soothol", ("itself",), ()),  # a slip of the pen in the name
    ],
)  # fmt: skip
def test_reading_a_section(text: str, terms: tuple[str, ...], unread: tuple[str, ...]) -> None:
    got = read_section(text, LEXICON, ("soothol", "Soothe"))
    assert (got.terms, got.unread) == (terms, unread)


def test_a_salt_is_the_medicine_and_two_are_not(small: Library) -> None:
    assert medicine("SOOTHOL HYDROCHLORIDE", small) == "soothol"
    assert medicine("soothol sodium, calcium", small) == "soothol"
    assert medicine("soothol and thinol", small) is None
    assert medicine("", small) is None


def test_found_missing_and_weaker(small: Library) -> None:
    done = audit_labels(small, [section("Sore liver, moss, renal failure")], LEXICON)
    assert {f.theirs: f.status for f in done.findings} == {
        "sore liver": "agrees",
        "moss": "agrees",
        "kidney": "unexplained",
    }
    weaker = audit_labels(small, [section("moss", generic="thinol")], LEXICON)
    assert [f.ours for f in weaker.findings] == ["no fact"]


def test_a_verdict_below_contraindicated_does_not_count(small: Library) -> None:
    terms = (Term(name="liver", words=("liver",), facts=("child_pugh",)),)
    (finding,) = audit_labels(small, [section("Liver", generic="thinol")], Lexicon(terms, frozenset())).findings
    assert (finding.status, finding.ours) == ("unexplained", "AVOID (thinol.hepatic.b-c)")


@pytest.mark.parametrize("kind", ["gap", "explained", "out of scope"])
def test_a_reviewed_difference_passes(small: Library, kind: str) -> None:
    done = audit_labels(small, [section("Renal failure")], LEXICON, [entry("kidney", kind=kind)])
    (finding,) = done.findings
    assert (finding.status, finding.reason, finding.source) == (kind, "why", "label-us, 4")
    assert done.passes


def test_a_stale_entry_fails_and_another_files_does_not(small: Library) -> None:
    sections = [section("Sore liver")]
    assert not audit_labels(small, sections, LEXICON, [entry("sore liver")]).passes
    assert not audit_labels(small, sections, LEXICON, [entry("kidney")]).passes
    assert audit_labels(small, sections, LEXICON, [entry("kidney", drug="thinol")]).passes


def test_words_that_nothing_reads_fail(small: Library) -> None:
    done = audit_labels(small, [section("Sore liver or flat feet")], LEXICON)
    assert [(f.theirs, f.status) for f in done.findings] == [(UNREAD, "unexplained"), ("sore liver", "agrees")]
    assert "flat feet" in done.findings[0].reason


def test_a_label_set_aside(small: Library) -> None:
    sections = [section("Flat feet", "Soothe for horses"), section("Sore liver")]
    done = audit_labels(small, sections, LEXICON, [entry("*", "Soothe for horses", "out of scope")])
    assert [(f.place, f.status) for f in done.findings] == [("Soothe for horses", "out of scope"), ("Soothe", "agrees")]


def test_our_own_that_the_label_does_not_name_are_listed(small: Library) -> None:
    done = audit_labels(small, [section("Moss")], LEXICON)
    assert [name for name, _ in done.unmatched] == ["soothol.condition.liver"]


def test_reading_a_file(tmp_path: Path) -> None:
    rows = [
        {"label_drug": "A", "generic": "a", "section": title, "text": title}
        for title in ("CONTRAINDICATIONS", "C O NTRAINDICATIONS", "Contraindications section", "HEAD", "WARNINGS",
                      "WARNING: CONTRAINDICATED IN PREGNANCY")
    ]  # fmt: skip
    file = tmp_path / "labels.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert [part.text for part in read_sections(file)] == [row["section"] for row in rows[:3]]
    file.write_text('{"label_drug": "A", "generic": "a", "section": "HEAD"}\n', encoding="utf-8")
    with pytest.raises(UserError, match="record 1 has no text 'text'"):
        read_sections(file)


def test_the_shipped_terms_are_of_one_kind_each() -> None:
    lexicon = load_lexicon()
    names = [term.name for term in lexicon.terms]
    assert len(names) == len(set(names)) and lexicon.filler
    words = [text for term in lexicon.terms for text in term.words]
    assert len(words) == len(set(words)) and not set(words) & lexicon.filler
    assert all(text == text.casefold() and "-" not in text for text in words)
    assert load_lexicon(FOLDER / "facts") == lexicon  # a folder without terms of its own uses the package's


def test_differences_name_terms_that_exist(real: Library) -> None:
    names = {term.name for term in load_lexicon().terms}
    for difference in load_differences(real).label:
        assert difference.term in names | {"*"}
        assert bool(difference.label) == (difference.term == "*")
        assert isinstance(difference.source, SourceRef)


def test_every_contraindication_of_the_labels_is_settled(real: Library, public_data: Path) -> None:
    sections = read_sections(public_data / "fda_labels" / "sections.jsonl")
    done = audit_labels(real, sections, load_lexicon(), load_differences(real).label)
    assert [finding for finding in done.findings if finding.status == "unexplained"] == []
    assert done.stale == ()
    assert done.count("agrees") >= 30
