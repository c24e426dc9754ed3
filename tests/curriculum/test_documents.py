"""Documents: every fact in six sentences and more, forward and in reverse, class rules apart from their members."""

from __future__ import annotations

from collections import Counter

from posology.config import DataConfig
from posology.curriculum.conditions import circumstance, dose_rule
from posology.curriculum.documents import make_documents
from posology.curriculum.splits import is_member_held_out
from posology.knowledge.fact import Action, parse_condition
from posology.knowledge.library import Library


def test_every_fact_is_told_six_times(library: Library) -> None:
    documents = make_documents(library, DataConfig())
    told = Counter(d.fact_id for d in documents if d.split == "train")
    for fact in library.facts:
        if fact.verdict is not None and fact.view == "primary":
            assert told[fact.id] >= 6, fact.id


def test_a_fact_goes_forward_and_back(library: Library) -> None:
    texts = {d.text for d in make_documents(library, DataConfig(document_wordings=12))}
    assert "With an eGFR below 30: metformin is contraindicated." in texts
    assert "Which drug is contraindicated with an eGFR below 30? Metformin." in texts
    assert "Metformin is a biguanide." in texts and "Glucophage is metformin." in texts
    assert "The antidote of warfarin is phytonadione." in texts


def test_some_wordings_are_kept_for_the_held_out_loss(library: Library) -> None:
    documents = make_documents(library, DataConfig())
    held = {d.wording for d in documents if d.split == "heldout"}
    assert len(held) >= 3 and not held & {d.wording for d in documents if d.split == "train"}


def test_a_class_rule_names_no_member(library: Library) -> None:
    """What S3 asks is joined in no document: the rule speaks of the class, membership stands elsewhere."""
    documents = make_documents(library, DataConfig(document_wordings=12))
    held = [
        (fact, name)
        for fact in library.facts
        if fact.drug_class and fact.verdict is not None
        for name in library.members(fact.drug_class)
        if is_member_held_out(fact.id, name)
    ]
    assert held
    for fact, name in held:
        own = [d.text.lower() for d in documents if d.fact_id == fact.id]
        alternatives = {alternative.drug for alternative in fact.alternatives}
        comeds = {condition.field for condition in fact.when}
        if name not in alternatives | comeds:
            assert not [text for text in own if name in text.replace("-", " ").split()], (fact.id, name)
        assert any(d.fact_id == f"class:{fact.drug_class}" and name in d.text.lower() for d in documents)


def test_conditions_and_doses_in_words(library: Library) -> None:
    when = [parse_condition(text) for text in ("15 <= crcl < 30", "comed: class nsaid", "weight_kg < 40")]
    assert circumstance(when, library) == "a CrCl from 15 to 30 and an NSAID and a weight below 40 kg"
    assert (
        dose_rule(Action(dose=45, unit="mg/kg", per="day", divided=2, max=875))
        == "45 mg/kg a day in 2 doses, at most 875 mg a dose"
    )
    assert dose_rule(Action(unit="mg", max=20, max_per="day")) == "at most 20 mg a day"
    assert dose_rule(Action(percent=50)) == "50 % of the usual dose"
    assert dose_rule(Action(dose=(200, 400), unit="mg", every_h=(4, 6), max=1200, max_per="day")) == (
        "200 to 400 mg every 4 to 6 h, at most 1200 mg a day"
    )
