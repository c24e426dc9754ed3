"""Names of medicines: the packaged vocabulary, and words that only look like one."""

import pytest

from posology.errors import UserError
from posology.intake.amounts import fold
from posology.intake.drug_names import find_names, make_vocabulary, packaged_vocabulary
from posology.knowledge.library import load_library

VOCABULARY = packaged_vocabulary()


def names(text: str, listed: bool = False) -> list[str]:
    return [name.drug for name in find_names(fold(text), VOCABULARY, listed)]


def test_the_vocabulary_is_as_large_as_it_claims() -> None:
    generics = set(VOCABULARY.names.values())
    assert len(generics) >= 900
    assert len(VOCABULARY.names) - len(generics) >= 1200


def test_it_knows_every_drug_of_the_knowledge_base() -> None:
    for drug in load_library().drugs.values():
        own = VOCABULARY.generic(drug.name)
        for name in (*drug.brands, *drug.aliases):  # some brands are combinations: Norco holds hydrocodone
            assert own and set(own.split("/")) <= set((VOCABULARY.generic(name) or "").split("/")), (drug.name, name)


@pytest.mark.parametrize(
    ("name", "generic"),
    [("Tylenol", "acetaminophen"), ("paracetamol", "acetaminophen"), ("Toprol-XL", "metoprolol"), ("salbutamol", "albuterol"),
     ("hydrocodone-acetaminophen", "hydrocodone/acetaminophen"), ("acetaminophen/hydrocodone", "hydrocodone/acetaminophen"),
     ("St. John's wort", "st john's wort"), ("frusemide", "furosemide")],
)  # fmt: skip
def test_names_lead_to_generics(name: str, generic: str) -> None:
    assert names(f"She takes {name}.") == [generic]


def test_a_comma_parts_two_names() -> None:
    assert names("lisinopril, hctz") == ["lisinopril", "hydrochlorothiazide"]
    assert names("lisinopril-hctz") == ["lisinopril/hydrochlorothiazide"]


@pytest.mark.parametrize(
    "text",
    ["Potassium 4.2.", "insulin resistance", "iron deficiency anemia", "digoxin level", "heparin-induced thrombocytopenia",
     "methicillin-resistant", "He works in April as a Spartan.", "cholesterol 220", "a dose of 5 mg", "creatinine 1.1 mg/dL",
     "the lesion measured 20 mg"],
)  # fmt: skip
def test_what_is_no_medicine_taken(text: str) -> None:
    assert names(text) == []


def test_guarded_names_need_evidence() -> None:
    assert names("She takes potassium.") == ["potassium chloride"]
    assert names("Calcium 600 mg daily") == ["calcium"]
    assert names("Calcium", listed=True) == ["calcium"]
    assert names("Calcium was low.") == []
    assert names("Calcium was 9.2.") == [] and names("The dose of Lasix was 40 mg.") == ["furosemide"]


def test_invented_medicines_are_seen() -> None:
    assert names("He takes brenzatinib and zorvastatin.") == ["brenzatinib", "zorvastatin"]
    assert names("Velmorin 5 mg daily") == ["velmorin"]
    assert not find_names("velmorin 5 mg", VOCABULARY)[0].known


def test_a_caller_may_pass_its_own() -> None:
    own = make_vocabulary({"x": {"zolvaxin": ["Zolvo"]}})
    assert find_names("zolvo and metformin", own)[0].drug == "zolvaxin"
    with pytest.raises(UserError, match="names both"):
        make_vocabulary({"x": {"a one": ["same"], "b two": ["same"]}})


def test_siblings_do_the_same_work() -> None:
    assert "atorvastatin" in VOCABULARY.siblings("simvastatin")
    assert "simvastatin" not in VOCABULARY.siblings("simvastatin")
    assert VOCABULARY.siblings("zolvaxin") == ()
