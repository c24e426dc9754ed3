"""What the facts say about this patient, what they would need to know, and what they do not cover.

Three questions, each answered for one drug and one (normalised) patient:
- which rules fire, and which stand on the safe side of a cited threshold (`Assessed.fires`, `beyond`);
- which fields must be asked for before anything but a stop may be said (`demanded`);
- which stated circumstances no rule addresses (`uncovered`), and what would let one address them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from posology.knowledge.fact import Condition, Fact, FactType, Verdict
from posology.knowledge.formulas import ADULT_YEARS
from posology.knowledge.library import Library, Rule
from posology.knowledge.match import Match, allergen_is, evaluate, field_value
from posology.knowledge.patient import Allergy, Genotype, Patient
from posology.knowledge.units import per_body

REDUCED_KIDNEY = 60.0  # eGFR or CrCl below this must be addressed
PRESUMED_AGE = 40.0  # a question that gives no age is about an adult
PRESUMED_WEIGHT = 70.0
NOTHING = "nothing stated that a fact addresses"
CHILDS_DOSE = "dose for a child"
BODY_FIELDS = ("age_years", "age_months", "weight_kg")  # a fact that names one has children in mind, or leaves them out
KIDNEY_FIELDS = ("egfr", "crcl", "creatinine_mg_dl")
USUAL_TYPES = (FactType.PAEDIATRIC, FactType.INDICATION)  # ADJUST there is the usual dose by weight, no restriction
ASK_ORDER = (
    "egfr", "crcl", "weight_kg", "age_years", "child_pugh", "creatinine_mg_dl", "height_cm", "trimester", "indication",
)  # fmt: skip


@dataclass(frozen=True)
class Assessed:
    """A rule with the state of each of its conditions."""

    rule: Rule
    states: tuple[Match, ...]
    barred: bool = False  # an adult's fixed dose, and the patient is a child

    @property
    def holds(self) -> bool:
        return all(state is Match.HOLDS for state in self.states)

    @property
    def fires(self) -> bool:
        return self.holds and not self.barred

    @property
    def verdict(self) -> Verdict:
        assert self.rule.fact.verdict is not None  # `assess` leaves the silent facts out
        return self.rule.fact.verdict

    @property
    def pairs(self) -> Iterable[tuple[Condition, Match]]:
        return zip(self.rule.when, self.states, strict=True)


def assess(rules: Iterable[Rule], patient: Patient, library: Library) -> list[Assessed]:
    """Every rule that carries a verdict, with its conditions looked up.

    A child gets no adult's amount: a fact that gives one and says nothing of age or weight does not speak of children.
    """
    child = patient.age_years is not None and patient.age_years < ADULT_YEARS
    return [
        Assessed(
            rule,
            tuple(evaluate(condition, patient, library) for condition in rule.when),
            barred=child and gives_adult_amount(rule.fact),
        )
        for rule in rules
        if rule.fact.verdict is not None
    ]


def gives_adult_amount(fact: Fact) -> bool:
    """Whether a fact gives a fixed amount that its source set for adults.

    Not so where it is a child's dose, names an age or a weight, or doses by body size; a share of the usual dose, or
    a ceiling, is no amount by itself.
    """
    action = fact.action
    if action is None or action.dose is None or per_body(action.unit)[1] or fact.type is FactType.PAEDIATRIC:
        return False
    return not any(c.field in BODY_FIELDS for c in flat(fact.when))


def beyond(item: Assessed, patient: Patient) -> tuple[Condition, ...]:
    """The cited thresholds that this patient is on the safe side of; () where the fact gives no such comfort.

    Every other condition must hold. Only a restriction has a safe side: the far side of an OK fact says nothing.
    """
    fact = item.rule.fact
    if item.verdict is Verdict.OK or (item.verdict is Verdict.ADJUST and fact.type in USUAL_TYPES):
        return ()
    cleared = []
    for condition, state in item.pairs:
        if state is Match.HOLDS:
            continue
        if state is Match.UNKNOWN or not _on_safe_side(condition, patient):
            return ()
        cleared.append(condition)
    return tuple(cleared)


def _on_safe_side(condition: Condition, patient: Patient) -> bool:
    """Kidney: above the band. Liver: below it. Age: an adult below an older-adult bound or above a child's."""
    if condition.kind == "count":
        return all(part.kind in ("number", "child_pugh") for part in condition.parts)
    if condition.kind not in ("number", "child_pugh"):
        return False
    value = field_value(patient, condition.field)
    if value is None:
        return False
    above = condition.high is not None and value >= condition.high
    one_sided = condition.low is None or condition.high is None
    if condition.field in ("egfr", "crcl"):
        return above
    if condition.field in ("child_pugh", "creatinine_mg_dl"):
        return condition.low is not None and value <= condition.low
    if condition.field in ("age_years", "age_months"):
        adult = ADULT_YEARS * (12 if condition.field == "age_months" else 1)
        if above:
            return condition.high is not None and condition.high <= adult
        return condition.low is not None and condition.low >= adult and value >= adult
    return one_sided


def flat(conditions: Iterable[Condition]) -> Iterable[Condition]:
    """The conditions with the parts of "at least n of" in their place."""
    for condition in conditions:
        yield from condition.parts or (condition,)


def known(patient: Patient, name: str) -> bool:
    """Whether a required field is known."""
    if name == "age_months":
        return patient.age_years is not None
    return getattr(patient, name, None) not in (None, "")


def demanded(items: Sequence[Assessed], patient: Patient, library: Library) -> dict[str, int]:
    """Unknown `requires` fields of the facts that could still matter, with the rank of the worst such fact."""
    votes: dict[str, int] = {}
    for item in items:
        fact = item.rule.fact
        unknown = [name for name in fact.requires if not known(patient, name)]
        if unknown and _could_matter(item, patient, library):
            for name in unknown:
                votes[name] = max(votes.get(name, 0), item.verdict.rank)
    return votes


def _could_matter(item: Assessed, patient: Patient, library: Library) -> bool:
    fact = item.rule.fact
    presumed = patient
    if patient.age_years is None and not {"age_years", "age_months"} & set(fact.requires):
        presumed = replace(presumed, age_years=PRESUMED_AGE)
    grown_up = presumed.age_years is not None and presumed.age_years >= ADULT_YEARS
    if fact.type is FactType.PAEDIATRIC and grown_up and patient.weight_kg is None:
        presumed = replace(presumed, weight_kg=PRESUMED_WEIGHT)
    return all(evaluate(condition, presumed, library) is not Match.FAILS for condition in item.rule.when)


def ordered(*counts: dict[str, int]) -> list[str]:
    """Field names, those of the worst verdict first; ties in the order in which a pharmacist asks."""
    votes: dict[str, int] = {}
    for count in counts:
        for name, rank in count.items():
            votes[name] = max(votes.get(name, 0), rank)
    place = {name: index for index, name in enumerate(ASK_ORDER)}
    return sorted(votes, key=lambda name: (-votes[name], place.get(name, len(place)), name))


@dataclass(frozen=True)
class Circumstance:
    """Something stated that must be addressed by a fact: its label, and whether a condition is about it."""

    label: str
    about: Callable[[Condition], bool]


def circumstances(patient: Patient, library: Library) -> list[Circumstance]:
    """What a normalised patient states that a verdict short of a stop has to answer for."""
    found = [
        *(Circumstance(f"comed: {name}", _about_comed(name, library)) for name in patient.comeds),
        *(Circumstance(f"condition: {name}", _about("condition", name)) for name in patient.conditions),
        *(Circumstance(f"allergy: {a.allergen}", _about_allergy(a, library)) for a in patient.allergies),
        *(Circumstance(f"genotype: {g.gene}", _about_genotype(g)) for g in patient.genotypes),
    ]
    if patient.pregnant:
        found.append(Circumstance("pregnancy", lambda c: c.kind == "pregnant" or c.field == "trimester"))
    if patient.lactating:
        found.append(Circumstance("lactation", lambda c: c.kind == "lactating"))
    if patient.child_pugh is not None:
        found.append(Circumstance("child_pugh", lambda c: c.kind == "child_pugh"))
    if patient.indication:
        found.append(Circumstance(f"indication: {patient.indication}", _about("indication", patient.indication)))
    for name, value in (("egfr", patient.egfr), ("crcl", patient.crcl)):
        if value is not None and value < REDUCED_KIDNEY:
            found.append(Circumstance(name, lambda c: c.kind == "number" and c.field in KIDNEY_FIELDS))
            break  # one topic: a rule on either answers for both
    return found


def _about(kind: str, name: str) -> Callable[[Condition], bool]:
    return lambda c: c.kind == kind and c.field == name


def _about_comed(name: str, library: Library) -> Callable[[Condition], bool]:
    return lambda c: c.kind in ("comed", "comed_class") and library.is_a(name, c.field)


def _about_allergy(allergy: Allergy, library: Library) -> Callable[[Condition], bool]:
    def about(condition: Condition) -> bool:
        if condition.kind != "allergy" or not allergen_is(allergy.allergen, condition.field, library):
            return False
        return not condition.value or allergy.reaction in (condition.value, "unknown")

    return about


def _about_genotype(genotype: Genotype) -> Callable[[Condition], bool]:
    def about(condition: Condition) -> bool:
        if condition.kind != "genotype" or condition.field.upper() != genotype.gene:
            return False
        return genotype.phenotype in ("", condition.value)

    return about


def uncovered(
    found: Sequence[Circumstance],
    fired: Sequence[Assessed],
    answering: Sequence[Assessed],
    items: Sequence[Assessed],
    patient: Patient,
) -> tuple[list[str], dict[str, int]]:
    """Circumstances that no answering fact (one that fires, or whose safe side this is) addresses.

    Returns the labels that nothing could address, and, for the others, the fields that would let a fact speak
    (with the rank of the worst fact that asks for each). An indication is addressed by the safe side of a threshold
    only where no fact about that very indication waits for a value: it may hold the dose.
    """
    labels: list[str] = []
    votes: dict[str, int] = {}
    for circumstance in found:
        indication = circumstance.label.startswith("indication: ")
        if _addressed(circumstance, fired if indication else answering):
            continue
        asked: dict[str, int] = {}
        for item in items:
            on_it = any(circumstance.about(c) and state is not Match.FAILS for c, state in item.pairs)
            for name in (blockers(item, patient) or ()) if on_it else ():
                asked[name] = max(asked.get(name, 0), item.verdict.rank)
        if not asked and not _addressed(circumstance, answering):
            labels.append(circumstance.label)
        for name, rank in asked.items():
            votes[name] = max(votes.get(name, 0), rank)
    return labels, votes


def _addressed(circumstance: Circumstance, by: Sequence[Assessed]) -> bool:
    return any(circumstance.about(condition) for item in by for condition in flat(item.rule.when))


def blockers(item: Assessed, patient: Patient) -> tuple[str, ...] | None:
    """The fields that alone keep a fact from speaking; None where something known speaks against it."""
    names: list[str] = []
    for condition, state in item.pairs:
        if state is Match.UNKNOWN:
            names += [name for part in flat([condition]) if (name := _asked_as(part)) and not known(patient, name)]
        elif state is Match.FAILS:
            if condition.kind != "indication" or patient.indication:
                return None
            names.append("indication")
    return tuple(dict.fromkeys(names))


def _asked_as(condition: Condition) -> str:
    if condition.kind == "allergy":
        return f"reaction:{condition.field}"
    return "age_years" if condition.field == "age_months" else condition.patient_field


def raised_genotypes(items: Sequence[Assessed], patient: Patient) -> dict[str, int]:
    """Genes raised without a result on which the drug has facts ("genotype:GENE"), with the worst fact's rank."""
    raised = {g.gene for g in patient.genotypes if not g.phenotype}
    votes: dict[str, int] = {}
    for item in items:
        for condition in flat(item.rule.when):
            if condition.kind == "genotype" and condition.field.upper() in raised:
                name = f"genotype:{condition.field.upper()}"
                votes[name] = max(votes.get(name, 0), item.verdict.rank)
    return votes


def only_ways_to_dose(items: Sequence[Assessed], patient: Patient, *, children_only: bool = False) -> list[str]:
    """Where no fact fires: what the facts that dose by a required field would have to know.

    With `children_only` (a threshold already gives some comfort) a child's own doses alone are asked about.
    """
    votes: dict[str, int] = {}
    child = patient.age_years is not None and patient.age_years < ADULT_YEARS
    for item in items:
        if children_only and not (child and item.rule.fact.type is FactType.PAEDIATRIC):
            continue
        names = blockers(item, patient)
        if item.rule.fact.requires and names:
            for name in names:
                votes[name] = max(votes.get(name, 0), item.verdict.rank)
    return ordered(votes)
