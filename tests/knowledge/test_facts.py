"""The shipped facts: DOMAIN's "facts that a test must hold", the guide's queries, size, and that each can be asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from posology.knowledge.check import check_folder
from posology.knowledge.fact import Condition, Fact, FactType, Verdict
from posology.knowledge.judge import Judgement, decides, judge
from posology.knowledge.library import Library, load_library
from posology.knowledge.patient import Allergy, Genotype, Patient

STOP, AVOID, ADJUST, CAUTION, OK, UNSURE = (
    Verdict.CONTRAINDICATED, Verdict.AVOID, Verdict.ADJUST, Verdict.CAUTION, Verdict.OK, Verdict.INSUFFICIENT,
)  # fmt: skip


def ask(drug: str, **patient: Any) -> Judgement:
    return judge(Patient(**patient), drug)


def dose_of(judgement: Judgement) -> str:
    return judgement.dose.text if judgement.dose else ""


def gene(name: str, phenotype: str) -> dict[str, Any]:
    return {"genotypes": (Genotype(name, phenotype),)}


def penicillin(reaction: Any) -> dict[str, Any]:
    return {"allergies": (Allergy("penicillin", reaction),)}


def test_size(real: Library) -> None:
    assert len(real.drugs) >= 120
    assert len(real.classes) >= 40
    assert len(real.facts) >= 1700
    assert len(real.interaction_pairs()) >= 700
    assert sum(fact.type is FactType.NEGATIVE for fact in real.facts) >= 150
    assert {fact.type for fact in real.facts} == set(FactType)


def test_every_fact_passes_the_check() -> None:
    _, problems = check_folder()
    assert [str(problem) for problem in problems] == []


def test_01_metformin_and_the_kidney() -> None:
    assert ask("metformin", egfr=28).verdict is STOP
    assert ask("metformin", egfr=29.9).verdict is STOP
    assert ask("metformin", egfr=30).verdict is AVOID  # do not start
    assert ask("metformin", egfr=44.9).verdict is AVOID
    assert ask("metformin", egfr=45).verdict is OK
    assert ask("metformin").missing == ("egfr",)


def test_01_metformin_and_the_liver_is_a_warning() -> None:
    assert ask("metformin", conditions=("cirrhosis",)).verdict is AVOID
    assert ask("metformin", conditions=("cirrhosis",), egfr=80, child_pugh="C").verdict is AVOID


def test_02_enoxaparin_below_30() -> None:
    treat = ask("enoxaparin", crcl=25, weight_kg=80, indication="venous thromboembolism treatment")
    assert (treat.verdict, dose_of(treat)) == (ADJUST, "80 mg once daily")
    prevent = ask("enoxaparin", crcl=25, indication="venous thromboembolism prophylaxis")
    assert (prevent.verdict, dose_of(prevent)) == (ADJUST, "30 mg once daily")
    above = ask("enoxaparin", crcl=30, weight_kg=80, indication="venous thromboembolism treatment")
    assert dose_of(above) == "80 mg every 12 h"


@pytest.mark.parametrize(
    ("age", "weight", "creatinine", "dose"),
    [
        (70, 80, 1.0, "5 mg every 12 h"),
        (80, 61, 1.4, "5 mg every 12 h"),
        (79, 60, 1.4, "5 mg every 12 h"),
        (80, 60, 1.0, "2.5 mg every 12 h"),
        (80, 80, 1.5, "2.5 mg every 12 h"),
        (60, 60, 1.5, "2.5 mg every 12 h"),
        (85, 50, 2.0, "2.5 mg every 12 h"),
    ],
)
def test_03_apixaban_two_of_three(age: float, weight: float, creatinine: float, dose: str) -> None:
    got = ask(
        "apixaban", indication="atrial fibrillation", age_years=age, weight_kg=weight, creatinine_mg_dl=creatinine
    )
    assert got.verdict is (OK if dose.startswith("5") else ADJUST)
    assert dose_of(got) == dose


def test_04_dabigatran_between_15_and_30() -> None:
    got = ask("dabigatran", indication="atrial fibrillation", crcl=22)
    assert (got.verdict, dose_of(got)) == (ADJUST, "75 mg every 12 h")
    with_inhibitor = ask("dabigatran", indication="atrial fibrillation", crcl=22, comeds=("verapamil",))
    assert with_inhibitor.verdict is AVOID
    assert dose_of(ask("dabigatran", indication="atrial fibrillation", crcl=60)) == "150 mg every 12 h"


def test_05_simvastatin() -> None:
    assert dose_of(ask("simvastatin", comeds=("amlodipine",))) == "at most 20 mg a day"
    assert dose_of(ask("simvastatin", comeds=("diltiazem",))) == "at most 10 mg a day"
    assert dose_of(ask("simvastatin", comeds=("diltiazem",), jurisdiction="UK")) == "at most 20 mg a day"
    other = ask("simvastatin", comeds=("diltiazem",)).other_doses  # both say adjust; the UK lets more be given
    assert [(fact.jurisdiction, fact.action.max) for fact in other if fact.action] == [("UK", 20)]
    assert ask("simvastatin", comeds=("amlodipine",)).other_doses == ()
    for comed in ("clarithromycin", "itraconazole", "ciclosporin", "gemfibrozil", "danazol"):
        assert ask("simvastatin", comeds=(comed,)).verdict is STOP
        assert ask(comed, comeds=("simvastatin",)).verdict is STOP


def test_06_clopidogrel_in_poor_metabolisers() -> None:
    patient = {"indication": "acute coronary syndrome", **gene("CYP2C19", "poor metaboliser")}
    got = ask("clopidogrel", **patient)
    assert got.verdict is AVOID
    assert {drug for drug, _ in got.alternatives} == {"prasugrel", "ticagrelor"}
    # prasugrel is contraindicated after a stroke
    after_stroke = ask("clopidogrel", conditions=("history of stroke",), **patient)
    assert {drug for drug, _ in after_stroke.alternatives} == {"ticagrelor"}


def test_07_codeine_and_tramadol() -> None:
    poor, fast = (ask("codeine", **gene("CYP2D6", p)) for p in ("poor metabolizer", "ultrarapid metabolizer"))
    assert (poor.verdict, poor.mechanism) == (AVOID, "diminished analgesia")
    assert fast.verdict is AVOID  # too much morphine
    assert any(word in f"{fast.mechanism} {fast.facts[0].effect}" for word in ("toxicity", "rapid"))
    for got in (poor, fast):
        drugs = {drug for drug, _ in got.alternatives}
        assert "tramadol" not in drugs and "morphine" in drugs
    for drug in ("codeine", "tramadol"):
        assert ask(drug, age_years=11).verdict is STOP
        assert ask(drug, age_years=40).verdict is not STOP


def test_08_hla_alleles() -> None:
    assert ask("allopurinol", **gene("HLA-B*58:01", "positive")).verdict is STOP
    abacavir = ask("abacavir", **gene("HLA-B*57:01", "positive"))
    assert abacavir.verdict is STOP
    assert "label-abacavir" in {ref.id for ref in abacavir.facts[0].sources}
    assert ask("carbamazepine", **gene("HLA-B*15:02", "positive")).verdict is AVOID
    for drug, allele in (("allopurinol", "HLA-B*58:01"), ("abacavir", "HLA-B*57:01"), ("carbamazepine", "HLA-B*15:02")):
        assert ask(drug, crcl=90, **gene(allele, "negative")).verdict is OK
        assert ask(drug, **gene(allele, "")).missing[0] == f"genotype:{allele}"


@pytest.mark.parametrize("drug", ["fluorouracil", "capecitabine"])
def test_09_fluoropyrimidines_and_dpyd(drug: str) -> None:
    assert ask(drug, crcl=90, **gene("DPYD", "poor metabolizer")).verdict is AVOID
    half = ask(drug, crcl=90, **gene("DPYD", "intermediate metabolizer"))
    assert (half.verdict, dose_of(half)) == (ADJUST, "50 % of the usual dose")
    assert ask(drug, crcl=90, **gene("DPYD", "normal metabolizer")).verdict is OK


def test_10_the_side_chain_decides_not_the_generation(real: Library) -> None:
    same, other = (ask(drug, **penicillin("immediate")) for drug in ("cephalexin", "cefazolin"))
    assert same.verdict is AVOID  # identical side chain; both are first-generation
    assert other.verdict is CAUTION
    risks = [(fact.risk.value, fact.risk.ci) for fact in (same.facts[0], other.facts[0]) if fact.risk]
    assert risks[0] == (16.45, (11.07, 23.75))
    low = [f.risk for f in real.facts if f.risk and f.risk.value == 2.11]
    assert low and all(risk.ci == (0.98, 4.46) for risk in low)
    for drug in ("cephalexin", "cefazolin", "ceftriaxone"):
        assert ask(drug, **penicillin("severe delayed")).verdict.stops
        assert ask(drug, **penicillin("unknown")).missing == ("reaction:penicillin",)


def test_11_warfarin_with_an_nsaid_and_with_paracetamol(real: Library) -> None:
    for drug, comed in (("warfarin", "ibuprofen"), ("naproxen", "warfarin"), ("warfarin", "NSAIDs")):
        got = ask(drug, comeds=(comed,))
        assert got.verdict is AVOID, "not CONTRAINDICATED"
    risk = ask("warfarin", comeds=("ibuprofen",)).facts[0].risk
    assert risk is not None and (risk.value, risk.ci) == (1.98, (1.55, 2.53))
    paracetamol = ask("warfarin", comeds=("paracetamol",))
    assert (paracetamol.verdict, paracetamol.monitoring) == (CAUTION, "INR")
    assert "parra-2007" in {ref.id for ref in paracetamol.facts[0].sources}


def test_12_amoxicillin_for_20_kg() -> None:
    severe = ask("amoxicillin", age_years=5, weight_kg=20, indication="severe infection")
    assert (severe.verdict, dose_of(severe)) == (ADJUST, "450 mg every 12 h")
    assert severe.dose is not None and severe.dose.expression == "min(20*45/2,875)"
    mild = ask("amoxicillin", age_years=5, weight_kg=20, indication="mild to moderate infection")
    assert dose_of(mild) == "250 mg every 12 h"
    heavy = ask("amoxicillin", age_years=11, weight_kg=39.5, indication="severe infection").dose
    assert heavy is not None and heavy.capped and heavy.high == 875
    assert ask("amoxicillin", age_years=5, indication="severe infection").missing == ("weight_kg",)
    assert ask("amoxicillin", age_years=14, weight_kg=40, indication="severe infection").verdict is OK


def test_13_acetylcysteine_in_three_steps() -> None:
    light = ask("acetylcysteine", weight_kg=20, indication="acetaminophen overdose").dose
    heavy = ask("acetylcysteine", weight_kg=130, indication="acetaminophen overdose").dose
    assert light is not None and (light.phases, light.phase_hours) == ((3000, 1000, 2000), (1, 4, 16))
    assert heavy is not None and heavy.phases == (15000, 5000, 10000) and heavy.capped
    assert ask("acetylcysteine", indication="acetaminophen overdose").missing == ("weight_kg",)


def test_14_nitrofurantoin_names_the_other_view() -> None:
    for crcl in (30, 45, 59):
        got = ask("nitrofurantoin", crcl=crcl)
        assert got.verdict is STOP
        assert got.conflict and got.conflict[0].verdict is not STOP
        assert "beers-2019" in {ref.id for fact in got.conflict for ref in fact.sources}
    below = ask("nitrofurantoin", crcl=20)
    assert (below.verdict, below.conflict) == (STOP, ())
    assert ask("nitrofurantoin", crcl=60).verdict is OK


def test_15_paracetamol_and_ibuprofen_for_children() -> None:
    for name in ("pain", "fever"):
        dose = ask("paracetamol", age_years=5, weight_kg=20, indication=name).dose
        assert dose is not None
        assert (dose.text, dose.max, dose.max_per) == ("200 to 300 mg every 4 to 6 h", 1500, "day")
        dose = ask("ibuprofen", age_years=5, weight_kg=20, indication=name).dose
        assert dose is not None
        assert (dose.low, dose.high, dose.every_h) == (100, 200, (6, 8))
        assert (dose.max, dose.max_per) in ((800, "day"), (400, "dose"))  # 40 mg/kg/day, or 400 mg a dose
    assert ask("ibuprofen", age_years=0.4, weight_kg=6, indication="fever").verdict.stops
    heavy = ask("paracetamol", age_years=11, weight_kg=60, indication="fever").dose
    assert heavy is not None and (heavy.max, heavy.max_per) == (4000, "day")


def test_16_tizanidine() -> None:
    for comed in ("ciprofloxacin", "fluvoxamine"):
        assert ask("tizanidine", comeds=(comed,)).verdict is STOP
        assert ask(comed, comeds=("tizanidine",)).verdict is STOP


def test_the_guides_queries() -> None:
    assert ask("", egfr=45).not_covered  # "how to adjust for renal impairment?": no drug, no rule
    assert ask("warfarin", comeds=("NSAID",)).verdict is AVOID
    metformin = ask("metformin", conditions=("cirrhosis",))
    assert metformin.verdict is AVOID and metformin.alternatives
    assert ask("ceftriaxone", **penicillin("immediate")).verdict is CAUTION
    assert ask("codeine", **gene("CYP2D6", "poor metabolizer")).verdict is AVOID


def test_the_issues_queries() -> None:
    got = ask("metformin", egfr=28)
    assert (got.verdict, got.mechanism) == (STOP, "lactic acidosis from accumulation")
    assert got.monitoring == "kidney function"
    assert ("insulin glargine", "metformin") in got.alternatives
    child = ask("amoxicillin", age_years=5, weight_kg=20)
    assert (child.verdict, child.missing) == (UNSURE, ("indication",))  # mild or severe decides the dose
    aspirin = ask("warfarin", comeds=("aspirin",))
    assert aspirin.verdict in (AVOID, CAUTION) and aspirin.monitoring == "INR"
    assert ask("metformin", conditions=("history of lactic acidosis",)).verdict.stops


# ---- every fact can be asked about ----

FILL = {"egfr": 90.0, "crcl": 95.0, "weight_kg": 70.0, "age_years": 40.0, "height_cm": 170.0, "creatinine_mg_dl": 0.9}


def inside(condition: Condition) -> float:
    low, high = condition.low, condition.high
    if low is not None and high is not None:
        return (low + high) / 2 if low < high and condition.field != "trimester" else low
    step = 1.0 if condition.field in ("trimester", "child_pugh") else 0.5
    if high is not None:
        return max(high - step, high / 2) if condition.high_open else high
    assert low is not None
    return low + step if condition.low_open else low


def fields_of(condition: Condition, name: str, library: Library) -> dict[str, Any]:
    """The patient's fields that make one condition hold."""
    kind, field = condition.kind, condition.field
    if kind == "number":
        value = inside(condition)
        if field == "age_months":
            return {"age_years": value / 12}
        return {field: int(value) if field == "trimester" else value}
    if kind == "comed_class":
        others = [member for member in library.members(field) if member != name]
        return {"comeds": (others[0] if others else field,)}
    return {
        "child_pugh": lambda: {"child_pugh": "ABC"[int(inside(condition)) - 1]},
        "pregnant": lambda: {"pregnant": True},
        "lactating": lambda: {"lactating": True},
        "sex": lambda: {"sex": field},
        "allergy": lambda: {"allergies": (Allergy(field, condition.value or "immediate"),)},  # type: ignore[arg-type]  # a condition's value is any text; here it is a reaction
        "genotype": lambda: {"genotypes": (Genotype(field, condition.value),)},
        "comed": lambda: {"comeds": (field,)},
        "condition": lambda: {"conditions": (field,)},
        "indication": lambda: {"indication": field},
        "count": lambda: {k: v for part in condition.parts for k, v in fields_of(part, name, library).items()},
    }[kind]()


def witness(fact: Fact, name: str, library: Library) -> Patient:
    """A patient to whom the fact applies, with ordinary values for what the drug needs to know."""
    fields: dict[str, Any] = {}
    for condition in fact.when:
        for key, value in fields_of(condition, name, library).items():
            fields[key] = (*fields[key], *value) if isinstance(value, tuple) and key in fields else value
    ages = [c for c in fact.when if c.field in ("age_years", "age_months")]
    if len(ages) > 1:  # a range written as two bounds
        scale = {"age_years": 1.0, "age_months": 12.0}
        low = max(c.low / scale[c.field] for c in ages if c.low is not None)
        high = min(c.high / scale[c.field] for c in ages if c.high is not None)
        fields["age_years"] = (low + high) / 2
    patient = Patient(**fields)
    for _ in range(3):
        missing = [name for name in judge(patient, name, library).missing if name in FILL]
        patient = replace(patient, **{field: FILL[field] for field in missing if getattr(patient, field) is None})
    return patient


def test_every_fact_speaks_for_some_patient(real: Library) -> None:
    silent = []
    for fact in real.facts:
        if fact.verdict is None or not decides(fact, "US"):
            continue
        for name in [fact.drug] if fact.drug else real.members(fact.drug_class):
            got = judge(witness(fact, name, real), name, real)
            if got.verdict.rank < fact.verdict.rank or fact.id not in {item.id for item in got.facts}:
                silent.append((fact.id, name, got.verdict.value, got.missing, got.not_covered))
            elif got.verdict is ADJUST:
                assert got.dose is not None, fact.id
    assert silent == []


def test_thresholds_leave_no_gap() -> None:
    """Between 5 and 120, a drug that must know its kidney function has a verdict at every value."""
    library = load_library()
    gaps = []
    for name in library.drugs:
        wanted = {f for fact in library.facts_for(name) if not fact.when[1:] for f in fact.requires}
        for field in ("egfr", "crcl"):
            if field not in wanted:
                continue
            for value in (5, 12, 15, 20, 29, 29.5, 30, 44, 45, 49.5, 50, 59, 59.5, 60, 80, 95, 120):
                got = judge(Patient(**{field: value}), name, library)
                if got.verdict is UNSURE and got.not_covered:
                    gaps.append((name, field, value, got.not_covered))
    assert gaps == []
