"""A small knowledge base of invented medicines, so that the judge's rules are tested apart from the real facts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from posology.knowledge.library import Library, load_library, read_folder

SOURCES = """
[[source]]
id = "label-us"
title = "Label of the test medicines"
publisher = "Test Agency"
date = "2020-01-01"
jurisdiction = "US"

[[source]]
id = "label-uk"
title = "Other label of the test medicines"
publisher = "Other Agency"
date = "2021"
jurisdiction = "UK"
"""

HEAD = """
[[class]]
name = "thinner"
label = "thinner"

[[class]]
name = "soother"
label = "Soother"

[[class]]
name = "killer"
label = "killer"

[[term]]
kind = "condition"
name = "sore liver"
aliases = ["hepatic soreness"]

[[term]]
kind = "indication"
name = "clot"

[[term]]
kind = "indication"
name = "ache"

[[term]]
kind = "allergen"
name = "moss"

[[drug]]
name = "renalol"
classes = ["killer"]
brands = ["Kidnex"]
aliases = ["renal-ol", "kidney pill"]

[[drug]]
name = "thinol"
classes = ["thinner"]

[[drug]]
name = "soothol"
classes = ["soother"]

[[drug]]
name = "calmol"
classes = ["soother"]

[[drug]]
name = "kidol"
classes = ["killer"]
"""


def fact(fact_id: str, kind: str, subject: str, verdict: str, when: list[str], rest: str = "") -> str:
    """One [[fact]] table; `subject` is "drug name" or "class name"."""
    key, _, name = subject.partition(" ")
    said = f'verdict = "{verdict}"\n' if verdict else ""
    sources = "" if "sources =" in rest else 'sources = [{id = "label-us", locator = "section 4"}]\n'
    conditions = ", ".join(f'"{text}"' for text in when)
    return (
        f'\n[[fact]]\nid = "{fact_id}"\ntype = "{kind}"\n{key} = "{name}"\nwhen = [{conditions}]\n{said}'
        f'as_of = "2020"\n{sources}{rest}\n'
    )


FACTS = "".join(
    [
        fact("renalol.renal.below-30", "renal", "drug renalol", "CONTRAINDICATED", ["egfr < 30"],
             'requires = ["egfr"]\nmechanism = "accumulation"\nmonitoring = "kidney function"\n'
             'alternatives = [{drug = "soothol"}, {drug = "kidol"}, '
             '{drug = "thinol", unless = "condition: sore liver"}]'),
        fact("renalol.renal.30-44", "renal", "drug renalol", "ADJUST", ["30 <= egfr < 45"],
             'requires = ["egfr"]\naction = {unit = "mg", max = 500, max_per = "day"}\nmechanism = "accumulation"'),
        fact("renalol.negative.renal", "negative", "drug renalol", "OK", ["egfr >= 45"], 'requires = ["egfr"]'),
        fact("renalol.renal.uk", "renal", "drug renalol", "CAUTION", ["20 <= egfr < 30"],
             'jurisdiction = "UK"\nview = "other"\nconflicts_with = ["renalol.renal.below-30"]\n'
             'sources = [{id = "label-uk", locator = "4.3"}]'),
        fact("renalol.monitoring.kidney", "monitoring", "drug renalol", "", [], 'monitoring = "creatinine"'),
        fact("thinner.interaction.soother", "interaction", "class thinner", "AVOID", ["comed: class soother"],
             'mechanism = "additive bleeding"\nmonitoring = "INR"\n'
             'alternatives = [{drug = "renalol", instead_of = "soother"}]'),
        fact("thinol.interaction.renalol", "interaction", "drug thinol", "ADJUST", ["comed: renalol"],
             'action = {unit = "mg", max = 10, max_per = "day"}'),
        fact("thinol.interaction.kidol", "interaction", "drug thinol", "AVOID", ["comed: kidol", "crcl < 30"],
             'requires = ["crcl"]'),
        fact("thinol.indication.clot", "indication", "drug thinol", "OK", ["indication: clot"],
             'action = {dose = 5, unit = "mg", every_h = 12}'),
        fact("thinol.maximum.day", "maximum", "drug thinol", "", [],
             'action = {unit = "mg", max = 20, max_per = "day"}'),
        fact("thinol.genotype.poor", "pharmacogenomics", "drug thinol", "AVOID", ["genotype: CYP2D6 poor metabolizer"]),
        fact("thinol.negative.normal", "negative", "drug thinol", "OK", ["genotype: CYP2D6 normal metabolizer"]),
        fact("thinol.hepatic.b-c", "hepatic", "drug thinol", "AVOID", ["child_pugh >= B"]),
        fact("thinol.older.65", "older_adult", "drug thinol", "CAUTION", ["age_years >= 65"]),
        fact("soothol.condition.liver", "contraindication", "drug soothol", "CONTRAINDICATED",
             ["condition: sore liver"]),
        fact("soothol.allergy.moss", "allergy", "drug soothol", "CONTRAINDICATED", ["allergy: moss (immediate)"]),
        fact("soothol.indication.ache", "indication", "drug soothol", "OK", ["indication: ache"],
             'action = {dose = [200, 400], unit = "mg", every_h = [4, 6]}'),
        fact("calmol.pregnancy.third", "pregnancy", "drug calmol", "AVOID", ["pregnant", "trimester >= 3"]),
        fact("calmol.negative.any", "negative", "drug calmol", "OK", []),
        fact("kidol.paediatric.severe", "paediatric", "drug kidol", "ADJUST",
             ["age_months >= 3", "age_years < 12", "indication: ache"],
             'requires = ["weight_kg"]\n'
             'action = {dose = 45, unit = "mg/kg", per = "day", divided = 2, max = 875}'),
        fact("kidol.renal.below-30", "renal", "drug kidol", "ADJUST", ["crcl < 30"],
             'action = {dose = 500, unit = "mg", every_h = 24}'),
        fact("kidol.indication.clot", "indication", "drug kidol", "OK", ["indication: clot"]),
    ]
)  # fmt: skip

Make = Callable[..., Path]


@pytest.fixture()
def make_folder(tmp_path: Path) -> Make:
    """Write a knowledge folder; `extra` facts are appended to the small base."""

    def make(extra: str = "", facts: str = HEAD + FACTS, sources: str = SOURCES) -> Path:
        (tmp_path / "facts").mkdir(exist_ok=True)
        (tmp_path / "facts" / "area.toml").write_text(facts + extra, encoding="utf-8")
        (tmp_path / "sources_t.toml").write_text(sources, encoding="utf-8")
        return tmp_path

    return make


@pytest.fixture()
def write_fact() -> Callable[..., str]:
    return fact


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("knowledge")
    (folder / "facts").mkdir()
    (folder / "facts" / "area.toml").write_text(HEAD + FACTS, encoding="utf-8")
    (folder / "sources.toml").write_text(SOURCES, encoding="utf-8")
    library, problems = read_folder(folder)
    assert problems == []
    return library


@pytest.fixture(scope="session")
def real() -> Library:
    return load_library()
