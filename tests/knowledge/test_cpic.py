"""The CPIC audit on a made-up table, and on CPIC's own where the public data are there."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from posology.config import UserError
from posology.knowledge.audit import CpicDifference, load_differences
from posology.knowledge.cpic import (
    AVOID,
    CARE,
    CHANGE,
    COLUMNS,
    CONSIDER,
    CONTRAINDICATED,
    LATER,
    NO_ADVICE,
    SAYS,
    STANDARD,
    UNREAD,
    Key,
    Recommendation,
    audit_cpic,
    fits,
    gene_result,
    is_pharmacogenomic,
    keys_of,
    read_action,
    read_recommendations,
)
from posology.knowledge.fact import SourceRef, Verdict
from posology.knowledge.library import Library, load_library

POOR = ("CYP2D6", "poor metabolizer")


def row(action: str, *genes: tuple[str, str], drug: str = "thinol", population: str = "general") -> Recommendation:
    written = tuple(" ".join(gene) for gene in genes or (POOR,))
    return Recommendation(drug, genes or (POOR,), written, population, action)


def entry(fact: str = "thinol.genotype.poor", cpic: str = STANDARD, population: str = "general") -> CpicDifference:
    source = SourceRef(id="label-us", locator="4")
    return CpicDifference(fact=fact, population=population, cpic=cpic, reason="why", source=source)


@pytest.mark.parametrize(
    ("gene", "value", "read"),
    [
        ("CYP2C19", "Poor Metabolizer", ("CYP2C19", "poor metabolizer")),
        ("CYP2C19", "Likely Poor Metabolizer", ("CYP2C19", "likely poor metabolizer")),
        ("SLCO1B1", "Decreased Function", ("SLCO1B1", "decreased function")),
        ("HLA-B", "*57:01 positive", ("HLA-B*57:01", "positive")),
        ("HLA-B", "No Result", ("HLA-B", "no result")),
        ("CYP2D6", "0.0", ("CYP2D6", "poor metabolizer")),
        ("CYP2D6", "0.25", ("CYP2D6", "intermediate metabolizer")),
        ("CYP2D6", "1.0", ("CYP2D6", "intermediate metabolizer")),
        ("CYP2D6", "1.25", ("CYP2D6", "normal metabolizer")),
        ("CYP2D6", "2.25", ("CYP2D6", "normal metabolizer")),
        ("CYP2D6", "2.5", ("CYP2D6", "ultrarapid metabolizer")),
        ("CYP2D6", "≥3.0", ("CYP2D6", "ultrarapid metabolizer")),
        ("CYP2C9", "0.5", ("CYP2C9", "poor metabolizer")),
        ("CYP2C9", "1.5", ("CYP2C9", "intermediate metabolizer")),
        ("CYP2C9", "2.0", ("CYP2C9", "normal metabolizer")),
        ("DPYD", "0.5", ("DPYD", "poor metabolizer")),
        ("DPYD", "1.0", ("DPYD", "intermediate metabolizer")),
        ("CYP2D6", "n/a", ("CYP2D6", "n/a")),
        ("CYP2D6", "xN combinations", ("CYP2D6", "xn combinations")),
    ],
)
def test_gene_results(gene: str, value: str, read: tuple[str, str]) -> None:
    assert gene_result(gene, value) == read


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("Thinol is contraindicated", CONTRAINDICATED),
        ("Give soothol if no contraindication; avoid thinol", AVOID),
        ("Avoid thinol. If needed, halve it: 50% reduction", AVOID),
        ("Do not use thinol", AVOID),
        ("Select an alternative drug", AVOID),
        ("No reason to avoid thinol", STANDARD),
        ("Consider an alternative drug; if given, 50% reduction", CONSIDER),
        ("Consider a lower starting dose or select an alternative drug", CHANGE),
        ("Begin with reduced starting doses (30% of normal), where the normal starting dose is 2 mg", CHANGE),
        ("Begin with the recommended starting dose. Then a slower titration", LATER),
        ("Begin with the recommended starting dose. Consider increasing dose by 50% for ulcers. Watch", STANDARD),
        ("Use at the standard dose with caution", CARE),
        ("Begin with the lowest recommended starting dose", CARE),
        ("Give the desired starting dose", STANDARD),
        ("Begin with the recommended starting dose. Other Considerations Avoid in winter", STANDARD),
        ("No recommendation", NO_ADVICE),
        ("Sing to the patient", UNREAD),
        ("", UNREAD),
    ],
)
def test_actions(text: str, action: str) -> None:
    assert read_action(text, "Strong") == action


def test_a_row_that_recommends_nothing_has_no_action() -> None:
    assert read_action("Begin with the recommended starting dose", "No recommendation") == NO_ADVICE


def test_only_insufficient_is_said_by_no_class() -> None:
    said = {verdict for verdicts in SAYS.values() for verdict in verdicts}
    assert said == set(Verdict) - {Verdict.INSUFFICIENT}


def test_another_gene_must_be_unremarkable() -> None:
    key = Key("thinol", (POOR,), ())
    assert fits(row(AVOID, POOR, ("CYP2C19", "normal metabolizer")), key)
    assert fits(row(AVOID, POOR, ("CYP2C19", "no result")), key)
    assert not fits(row(AVOID, POOR, ("CYP2C19", "poor metabolizer")), key)
    assert not fits(row(AVOID, ("CYP2D6", "normal metabolizer")), key)
    assert not fits(row(AVOID), Key("thinol", (), ()))


def test_a_population_narrows_only_where_the_fact_names_one() -> None:
    everyone, stroke = Key("thinol", (POOR,), ()), Key("thinol", (POOR,), ("NVI",))
    for population, fit in (("NVI", True), ("general", True), ("", True), ("CVI ACS PCI", False)):
        assert fits(row(AVOID, population=population), stroke) is fit
        assert fits(row(AVOID, population=population), everyone)


def test_agreement_and_no_row(small: Library) -> None:
    done = audit_cpic(small, [row(AVOID)])
    assert [(f.subject, f.status) for f in done.findings] == [("thinol.genotype.poor", "agrees")]
    assert [name for name, _ in done.unmatched] == ["thinol.negative.normal"]
    assert done.passes


def test_a_difference_fails_until_it_is_explained(small: Library) -> None:
    table = [row(STANDARD)]
    assert not audit_cpic(small, table).passes
    done = audit_cpic(small, table, [entry()])
    (finding,) = done.findings
    assert (finding.status, finding.reason, finding.source) == ("explained", "why", "label-us, 4")
    assert done.passes


def test_a_text_that_nobody_reads_fails(small: Library) -> None:
    (finding,) = audit_cpic(small, [row(UNREAD)]).findings
    assert finding.status == "unexplained"


@pytest.mark.parametrize("wrong", [entry(cpic=CARE), entry(population="NVI")])
def test_an_entry_explains_only_its_own_difference(small: Library, wrong: CpicDifference) -> None:
    done = audit_cpic(small, [row(STANDARD)], [wrong])
    assert done.count("unexplained") == 1 and len(done.stale) == 1


def test_a_stale_entry_fails(small: Library) -> None:
    done = audit_cpic(small, [row(AVOID)], [entry()])
    assert len(done.stale) == 1 and "remove" in done.stale[0] and not done.passes


def test_a_table_without_the_drug_makes_no_entry_stale(small: Library) -> None:
    done = audit_cpic(small, [row(AVOID, drug="soothol")], [entry()])
    assert done.stale == ()


def write(path: Path, rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


LINE = {
    "drug": "thinol", "gene_lookup": '{"CYP2D6": "0.0"}', "population": "general", "classification": "Strong",
    "recommendation": "Do not use thinol",
}  # fmt: skip


def test_reading_a_table(tmp_path: Path) -> None:
    (read,) = read_recommendations(write(tmp_path / "cpic.csv", [LINE]))
    assert read == Recommendation("thinol", (POOR,), ("CYP2D6 0.0",), "general", AVOID)


def test_what_is_wrong_with_a_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read_recommendations(tmp_path / "none.csv")
    lacking = [{name: cell for name, cell in LINE.items() if name != "population"}]
    columns = tuple(name for name in COLUMNS if name != "population")
    with pytest.raises(UserError, match="no column 'population'"):
        read_recommendations(write(tmp_path / "short.csv", lacking, columns))
    with pytest.raises(UserError, match=r"bad\.csv:3: gene_lookup"):
        read_recommendations(write(tmp_path / "bad.csv", [LINE, {**LINE, "gene_lookup": "CYP2D6 poor"}]))


@pytest.fixture(scope="module")
def table(public_data: Path) -> list[Recommendation]:
    return read_recommendations(public_data / "cpic" / "recommendations.csv")


def test_no_unexplained_difference_from_cpic(real: Library, table: list[Recommendation]) -> None:
    done = audit_cpic(real, table, load_differences(real).cpic)
    assert [finding for finding in done.findings if finding.status == "unexplained"] == []
    assert done.stale == ()
    assert done.count("agrees") > 5 * done.count("explained")


def test_every_pharmacogenomic_fact_is_compared_or_listed(real: Library, table: list[Recommendation]) -> None:
    done = audit_cpic(real, table)
    seen = {finding.subject for finding in done.findings} | {name for name, _ in done.unmatched}
    assert seen == {fact.id for fact in real.facts if is_pharmacogenomic(fact)}
    covered = {real.resolve_drug(row.drug) for row in table}
    listed = [real.by_id[name] for name, _ in done.unmatched]
    assert all(key.drug not in covered for fact in listed for key in keys_of(fact, real))


def test_a_turned_verdict_is_caught(real: Library, table: list[Recommendation]) -> None:
    """Every compared fact fails the audit when CPIC's side says the opposite."""
    opposite = {action: STANDARD if Verdict.OK not in said else AVOID for action, said in SAYS.items()}
    turned = [Recommendation(r.drug, r.genes, r.written, r.population, opposite[r.action]) for r in table]
    done = audit_cpic(real, turned)
    assert done.count("agrees") <= 3  # a label's or another country's verdict, which differs from CPIC's already
    assert done.count("unexplained") >= 95


def test_another_export_of_the_same_form(real: Library, tmp_path: Path) -> None:
    """Fewer drugs, other order, phenotypes for scores, more columns: compared as before, and nothing is stale."""
    lines = [
        {**LINE, "drug": "Amitriptyline", "gene_lookup": json.dumps({"CYP2D6": "Poor Metabolizer"}), "extra": "1"},
        {**LINE, "drug": "abacavir", "gene_lookup": json.dumps({"HLA-B": "*57:01 positive"}), "extra": "2"},
    ]
    export = write(tmp_path / "later.csv", lines, (*reversed(COLUMNS), "extra"))
    done = audit_cpic(real, read_recommendations(export), load_differences(real).cpic)
    assert {f.subject: f.status for f in done.findings} == {
        "amitriptyline.genotype.cyp2d6-poor": "agrees",
        "abacavir.genotype.hla-b-5701-positive": "explained",
        "abacavir.genotype.hla-b-5701-cpic": "agrees",
    }
    assert done.passes


def test_facts_of_a_class_are_looked_up_for_each_member(
    make_folder: Callable[..., Path], write_fact: Callable[..., str]
) -> None:
    extra = write_fact("soother.genotype.poor", "pharmacogenomics", "class soother", "AVOID",
                       ["genotype: CYP2D6 poor metabolizer"])  # fmt: skip
    library = load_library(make_folder(extra))
    assert {key.drug for key in keys_of(library.by_id["soother.genotype.poor"], library)} == {"soothol", "calmol"}
