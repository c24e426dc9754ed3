"""Sentences for pretraining: every fact forward and in reverse, with its number, its reason and what to do instead.

Class facts speak of the class alone; other sentences say which drugs are its members, so that a dialogue about a
member that no text ever joined to the rule asks for the step between them (S3). The last wordings of each kind are
reserved: they measure the held-out loss.
"""

from __future__ import annotations

from collections.abc import Iterator

from posology.config import DataConfig
from posology.curriculum.conditions import circumstance, dose_rule
from posology.curriculum.mentions import article
from posology.curriculum.questions import capital
from posology.curriculum.records import Document
from posology.curriculum.splits import first_facts, unit
from posology.knowledge.fact import Fact, FactType
from posology.knowledge.library import Library

HELD_OUT = 0.25  # share of facts that are also told in a reserved wording
_SAYS = {
    "CONTRAINDICATED": ("{D} is contraindicated", "contraindicated"), "AVOID": ("avoid {d}", "to be avoided"),
    "ADJUST": ("adjust the dose of {d}", "given at an adjusted dose"), "CAUTION": ("use {d} with caution", "used with caution"),
    "OK": ("{D} is acceptable", "acceptable"),
}  # fmt: skip

# {say}: "metformin is contraindicated"; {is_}: "contraindicated"; {c}: "an eGFR below 30"; {d}, {D}: the drug or class.
RULES: tuple[tuple[str, str], ...] = (
    ("with", "With {c}: {say}."),
    ("is-with", "{D} is {is_} with {c}."),
    ("which", "Which drug is {is_} with {c}? {D}."),
    ("question", "{D} with {c}? {Say}."),
    ("if", "If there is {c}, {say}."),
    ("reverse", "{Is_} with {c}: {d}."),
    ("patient", "A patient with {c} asks for {d}: {say}."),
    ("what-of", "What about {d} with {c}? {Say}."),
    ("list", "{d}, {c}: {say}."),
    ("given", "Given {c}, {d} is {is_}."),
    ("name", "Name a drug that is {is_} with {c}: {d}."),
    ("case", "{C}. {D}? {Say}."),
)  # fmt: skip
RULES_RESERVED: tuple[tuple[str, str], ...] = (
    ("reserved-then", "{C}: then {say}."),
    ("reserved-for", "For a patient with {c}, {d} is {is_}."),
    ("reserved-drug", "{D}: {is_} with {c}."),
)  # fmt: skip
DETAILS: tuple[tuple[str, str, str], ...] = (  # (needs, id, text)
    ("mechanism", "reason", "{D} with {c}. Reason: {mechanism}."),
    ("mechanism", "why", "Why is {d} {is_} with {c}? Because of {mechanism}."),
    ("instead", "instead", "{D} with {c}: instead of {old}, {new}."),
    ("own", "what-instead", "What instead of {d} with {c}? {New}."),
    ("monitoring", "monitor", "With {d} and {c}, monitor {monitoring}."),
    ("dose", "dose", "The dose of {d} with {c}: {dose}."),
    ("dose", "dose-which", "{Dose}: the dose of {d} with {c}."),
)  # fmt: skip
SILENT: dict[str, tuple[tuple[str, str], ...]] = {
    "monitoring": (
        ("monitor", "With {d}, monitor {x}."), ("what", "What to monitor with {d}? {X}."), ("on", "On {d}: monitor {x}."),
        ("reverse", "{X} is monitored with {d}."), ("needs", "{D} needs monitoring: {x}."),
    ),
    "antidote": (
        ("is", "The antidote of {d} is {x}."), ("what", "What is the antidote of {d}? {X}."), ("reverses", "{X} reverses {d}."),
        ("which", "Which drug does {x} reverse? {D}."), ("for", "For too much {d}: {x}."),
    ),
    "maximum": (
        ("is", "The maximum dose of {d} is {x}."), ("most", "Give at most {x} of {d}."), ("what", "What is the maximum dose of {d}? {X}."),
        ("reverse", "{X}: the maximum dose of {d}."), ("no-more", "No more {d} than {x}."),
    ),
}  # fmt: skip
MEMBERS = (
    ("is-a", "{D} is {a_class}."), ("belongs", "{D} belongs to the class {label}."), ("which", "Which drug is {a_class}? {D}."),
    ("class-of", "What is {d}? {A_class}."),
)  # fmt: skip
BRANDS = (
    ("is", "{Brand} is {d}."), ("brand-of", "{Brand} is a brand of {d}."), ("which", "Which drug is {Brand}? {D}."),
    ("sold", "{D} is sold as {Brand}."),
)  # fmt: skip


def make_documents(library: Library, config: DataConfig) -> list[Document]:
    """Every document, in the order of the facts; `config.document_wordings` rule sentences a fact."""
    chosen = first_facts(
        (f.id for f in library.facts if f.verdict is not None and f.view == "primary"), config.facts_limit
    )
    out: list[Document] = []
    for fact in library.facts:
        if fact.verdict is None:
            out += _silent(fact, library)
        elif fact.id in chosen:
            out += _rule(fact, library, config.document_wordings)
    return [*out, *_names(library)]


def _rule(fact: Fact, library: Library, wordings: int) -> Iterator[Document]:
    words = _words(fact, library)
    if not words["c"]:
        return
    start = int(unit("document", fact.id) * len(RULES))  # each fact begins elsewhere: all wordings are used
    for index in range(min(wordings, len(RULES))):
        name, text = RULES[(start + index) % len(RULES)]
        yield _document(text.format(**words), fact.id, f"rule.{name}")
    for needs, name, text in DETAILS:
        if words.get(needs):
            yield _document(text.format(**words), fact.id, f"detail.{name}")
    if unit("held-out document", fact.id) < HELD_OUT:
        name, text = RULES_RESERVED[int(unit("reserved document", fact.id) * len(RULES_RESERVED))]
        yield Document(capital(text.format(**words)), fact.id, f"rule.{name}", "heldout")


def _document(text: str, fact_id: str, wording: str) -> Document:
    return Document(capital(text), fact_id, wording)


def _words(fact: Fact, library: Library) -> dict[str, str]:
    """What the templates' slots hold for one fact."""
    d = subject(fact, library)
    assert fact.verdict is not None  # the silent facts go elsewhere
    say, state = (text.format(d=d, D=d) for text in _SAYS[fact.verdict.value])
    c = circumstance(fact.when, library)
    words = {
        "d": d,
        "D": capital(d),
        "say": say,
        "Say": capital(say),
        "is_": state,
        "Is_": capital(state),
        "c": c,
        "C": capital(c),
    }
    words |= {"mechanism": fact.mechanism, "monitoring": fact.monitoring, "instead": "", "dose": "", "Dose": ""}
    if fact.alternatives:
        new, old = fact.alternatives[0].drug, fact.alternatives[0].instead_of or d
        old = f"{article(library.classes[old].label)} {library.classes[old].label}" if old in library.classes else old
        words |= {
            "own": new if not fact.alternatives[0].instead_of else "",
            "instead": new,
            "new": new,
            "New": capital(new),
            "old": old,
        }
    if fact.action is not None:
        dose = dose_rule(fact.action)
        of = fact.action.of or ""
        words |= {"dose": dose, "Dose": capital(dose)} if of in ("", fact.drug) else {}
    return words


def subject(fact: Fact, library: Library) -> str:
    """The drug, or the class with its article: "metformin", "an NSAID"."""
    if fact.drug:
        return fact.drug
    label = library.classes[fact.drug_class].label
    return f"{article(label)} {label}"


def silent_value(fact: Fact) -> str:
    """What a fact without a verdict says: what to monitor, the antidote, the maximum."""
    if fact.type is FactType.MONITORING:
        return fact.monitoring
    if fact.type is FactType.ANTIDOTE:
        return fact.antidote
    return dose_rule(fact.action, maximum=True) if fact.action is not None else ""


def _silent(fact: Fact, library: Library) -> Iterator[Document]:
    value, d = silent_value(fact), subject(fact, library)
    if not value:
        return
    c = circumstance(fact.when, library)
    d = f"{d} with {c}" if c else d
    for name, text in SILENT[fact.type.value]:
        words = text.format(d=d, D=capital(d), x=value, X=capital(value))
        yield _document(words, fact.id, f"{fact.type.value}.{name}")


def _names(library: Library) -> Iterator[Document]:
    """Membership of classes, brands and other names."""
    for drug in library.drugs.values():
        for group in drug.classes:
            label = library.classes[group].label
            noun = f"{article(label)} {label}"
            for name, text in MEMBERS:
                words = text.format(d=drug.name, D=capital(drug.name), a_class=noun, A_class=capital(noun), label=label)
                yield _document(words, f"class:{group}", f"member.{name}")
        for brand in (*drug.brands, *drug.aliases):
            for name, text in BRANDS:
                words = text.format(d=drug.name, D=capital(drug.name), Brand=capital(brand))
                yield _document(words, f"drug:{drug.name}", f"brand.{name}")
