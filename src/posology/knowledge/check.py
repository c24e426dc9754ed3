"""check_library(library) -> every problem that someone can mend, each with file, fact and remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from itertools import combinations
from pathlib import Path

from posology.knowledge.coverage import flat
from posology.knowledge.fact import NUMERIC_FIELDS, Condition, Drug, Fact, FactType, Verdict, parse_condition
from posology.knowledge.library import FOLDER, Library, Problem, read_folder
from posology.knowledge.units import comparable, per_body
from posology.naming import plain

MECHANISM_WORDS, MONITORING_WORDS, NOTE_WORDS = 7, 5, 6
REQUIRABLE = (*(name for name in NUMERIC_FIELDS if name != "age_months"), "child_pugh", "height_cm", "sex")
PHENOTYPES = (
    "poor metabolizer", "intermediate metabolizer", "normal metabolizer", "rapid metabolizer",
    "ultrarapid metabolizer", "poor function", "decreased function", "normal function", "positive", "negative",
    "deficient",
)  # fmt: skip
_GENE = re.compile(r"[A-Z][A-Z0-9]+(?:-[A-Z0-9]+\*\d+:\d+)?")
_SPAN = dict[str, tuple[float, bool, float, bool]]  # field -> (low, low is open, high, high is open)


def check_folder(folder: Path | None = None) -> tuple[Library, list[Problem]]:
    """Read a knowledge folder (default: the package's) and check it: what did not load, then what does not fit."""
    library, problems = read_folder(folder if folder is not None else FOLDER)
    return library, [*problems, *check_library(library)]


def check_library(library: Library) -> list[Problem]:
    """Problems in a loaded library, in file order. An empty list is a pass."""
    checks: tuple[Callable[[Fact, Library], Iterator[tuple[str, str]]], ...] = (
        _subject, _sources, _conditions, _requires, _action, _alternatives, _words, _dates,
    )  # fmt: skip
    problems = [
        Problem(library.files.get(fact.id, "?"), fact.id, message, remedy)
        for fact in library.facts
        for check in checks
        for message, remedy in check(fact, library)
    ]
    return [*problems, *_overlaps(library), *_doses_above_maximum(library), *_names(library)]


def _subject(fact: Fact, library: Library) -> Iterator[tuple[str, str]]:
    if fact.drug and fact.drug not in library.drugs:
        yield f"unknown drug {fact.drug!r}", "declare it in a [[drug]] table or use its declared name"
    if fact.drug_class and fact.drug_class not in library.classes:
        yield f"unknown class {fact.drug_class!r}", "declare it in a [[class]] table or use its declared name"
    if fact.type is FactType.ANTIDOTE and fact.antidote not in library.drugs:
        yield f"unknown antidote {fact.antidote!r}", "name a declared drug in `antidote`"
    for other in fact.conflicts_with:
        if other not in library.by_id:
            yield f"conflicts_with names no fact: {other!r}", "use the other fact's id"


def _sources(fact: Fact, library: Library) -> Iterator[tuple[str, str]]:
    for ref in fact.sources:
        if ref.id not in library.sources:
            yield f"unknown source {ref.id!r}", "declare it in a [[source]] table"
        if not ref.locator.strip():
            yield f"source {ref.id!r} has no locator", "say where in the source: a section, a table"


def _conditions(fact: Fact, library: Library) -> Iterator[tuple[str, str]]:
    for condition in flat(fact.when):
        yield from _names_in(condition, library)
    for condition in fact.when:
        if condition.low is not None and condition.high is not None and condition.low > condition.high:
            yield f"{condition.text!r} can never hold", "the low end comes first"
    spans = [_span_of(condition) for condition in fact.when if condition.kind in ("number", "child_pugh")]
    for one, two in combinations(spans, 2):
        if one.keys() == two.keys() and not _meet(one, two):
            yield f"two conditions on {next(iter(one))} exclude each other", "keep one range"
    texts = [condition.text for condition in fact.when]
    for text in sorted({text for text in texts if texts.count(text) > 1}):
        yield f"{text!r} stands twice in `when`", "keep one"
    if len([c for c in fact.when if c.kind == "indication"]) > 1:
        yield "two indications in one fact: a patient states one", "write one fact an indication"


def _names_in(condition: Condition, library: Library) -> Iterator[tuple[str, str]]:
    kind, name = condition.kind, condition.field
    if kind == "comed" and name not in library.drugs:
        yield f"{condition.text!r}: unknown drug {name!r}", "use a declared drug, or 'comed: class ...'"
    if kind == "comed_class" and name not in library.classes:
        yield f"{condition.text!r}: unknown class {name!r}", "declare it in a [[class]] table"
    if kind in ("condition", "indication") and (kind, name) not in library.terms:
        yield f"{condition.text!r}: unknown {kind} {name!r}", f'declare it in a [[term]] table, kind = "{kind}"'
    if kind == "allergy" and not (
        ("allergen", name) in library.terms or name in library.drugs or name in library.classes
    ):
        yield f"{condition.text!r}: unknown allergen {name!r}", 'declare it in a [[term]] table, kind = "allergen"'
    if kind == "genotype":
        if not _GENE.fullmatch(name):
            yield f"{condition.text!r}: {name!r} does not look like a gene", "write it as CYP2D6 or HLA-B*57:01"
        if condition.value not in PHENOTYPES:
            yield f"{condition.text!r}: unknown phenotype", f"one of: {', '.join(PHENOTYPES)}"


def _requires(fact: Fact, library: Library) -> Iterator[tuple[str, str]]:
    for name in fact.requires:
        if name not in REQUIRABLE:
            yield f"requires {name!r}", f"one of: {', '.join(REQUIRABLE)}"


def _action(fact: Fact, library: Library) -> Iterator[tuple[str, str]]:
    action = fact.action
    if action is None:
        return
    if action.of and action.of not in library.drugs:
        yield f"action doses unknown drug {action.of!r}", "use a declared drug"
    suffixes = {per_body(unit)[1] for unit in (action.unit, *(phase.unit for phase in action.phases))} - {""}
    if suffixes and fact.verdict is Verdict.ADJUST and "weight_kg" not in fact.requires:
        yield "a dose by weight that does not require the weight", 'add requires = ["weight_kg"]'
    if action.max_weight_kg is not None and "/kg" not in suffixes:
        yield "max_weight_kg on a dose that is not by weight", "remove it"
    if action.per == "dose" and action.divided > 1:
        yield 'divided counts only with per = "day"', 'set per = "day" or remove divided'
    if action.per == "day" and action.every_h is not None:
        yield 'every_h counts only with per = "dose"', "use divided for a day's dose"
    if len({per_body(phase.unit) for phase in action.phases}) > 1:
        yield "steps in different units", "use one unit for all phases"
    if not suffixes and action.dose is not None and action.max is not None:
        high = action.dose[1] if isinstance(action.dose, tuple) else action.dose
        if action.max_per == action.per and high > action.max:
            yield f"dose {high} is above its own max {action.max}", "one of the two is wrong"
    if isinstance(action.every_h, tuple) and action.every_h[0] >= action.every_h[1]:
        yield f"every_h {action.every_h}: the shorter interval comes first", "swap the two"
    if len(action.note.split()) > NOTE_WORDS:
        yield f"note of {len(action.note.split())} words", f"at most {NOTE_WORDS}"


def _alternatives(fact: Fact, library: Library) -> Iterator[tuple[str, str]]:
    for item in fact.alternatives:
        if item.drug not in library.drugs:
            yield f"alternative {item.drug!r} is no declared drug", "use a declared drug or drop it"
        elif not library.rules_for(item.drug):
            yield f"alternative {item.drug!r}: no rule knows it", "write its facts or drop it"
        if item.drug == fact.drug and not item.instead_of:
            yield f"alternative {item.drug!r} is the drug itself", "say instead_of, or drop it"
        if item.instead_of and item.instead_of not in library.drugs and item.instead_of not in library.classes:
            yield f"instead_of {item.instead_of!r} is no declared drug or class", "use a declared name"
        if item.unless:
            try:
                parsed = parse_condition(item.unless)
            except ValueError as error:
                yield f"unless {error}", "use the grammar of `when`"
            else:
                yield from _names_in(parsed, library)


def _words(fact: Fact, library: Library) -> Iterator[tuple[str, str]]:
    for name, text, limit in (
        ("mechanism", fact.mechanism, MECHANISM_WORDS),
        ("monitoring", fact.monitoring, MONITORING_WORDS),
    ):
        if len(text.split()) > limit:
            yield f"{name} of {len(text.split())} words: {text!r}", f"at most {limit}"
        if text != text.strip() or text.endswith("."):
            yield f"{name} {text!r} ends like a sentence", "a few words, no period"
    if fact.type is FactType.MONITORING and not fact.monitoring:
        yield "a monitoring fact that monitors nothing", "fill in `monitoring`"
    if fact.type is FactType.MAXIMUM and (fact.action is None or (fact.action.max is None and not fact.action.dose)):
        yield "a maximum fact without an amount", "give action = {max = ..., unit = ..., max_per = ...}"


def _dates(fact: Fact, library: Library) -> Iterator[tuple[str, str]]:
    if not _is_date(fact.as_of):
        yield f"as_of {fact.as_of!r} is no date", "YYYY, YYYY-MM or YYYY-MM-DD"
    if fact.verified.by != "none" and not (len(fact.verified.date) == 10 and _is_date(fact.verified.date)):
        yield f"verified by {fact.verified.by} without its date", 'add date = "YYYY-MM-DD"'


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat((text + "-01-01")[:10] if len(text) < 10 else text)
    except ValueError:
        return False
    return True


def _span_of(condition: Condition) -> _SPAN:
    low = float("-inf") if condition.low is None else condition.low
    high = float("inf") if condition.high is None else condition.high
    return {condition.field: (low, condition.low_open, high, condition.high_open)}


def _meet(one: _SPAN, two: _SPAN) -> bool:
    """Whether some value lies in both, on every field."""
    for name in one:
        low, low_open = max((one[name][0], one[name][1]), (two[name][0], two[name][1]))
        high, high_closed = min((one[name][2], not one[name][3]), (two[name][2], not two[name][3]))
        if low > high or (low == high and (low_open or not high_closed)):
            return False
    return True


def _overlaps(library: Library) -> Iterator[Problem]:
    """Primary facts of one drug and type that hold for the same patient and say different things, undeclared."""
    groups: dict[tuple[object, ...], list[tuple[Fact, _SPAN]]] = {}
    for fact in library.facts:
        if fact.view != "primary" or fact.verdict is None:
            continue
        numbers = [c for c in fact.when if c.kind in ("number", "child_pugh")]
        others = frozenset(c.text for c in fact.when if c not in numbers)
        span: _SPAN = {}
        for condition in numbers:
            span |= _span_of(condition)
        kind = FactType.INTERACTION if fact.type is FactType.NEGATIVE and "comed:" in str(others) else fact.type
        key = (fact.drug, fact.drug_class, kind, fact.jurisdiction, others, frozenset(span))
        groups.setdefault(key, []).append((fact, span))
    for group in groups.values():
        for (one, first), (two, second) in combinations(group, 2):
            declared = two.id in one.conflicts_with or one.id in two.conflicts_with
            if declared or not _meet(first, second):
                continue
            file = library.files.get(two.id, "?")
            if one.verdict is not two.verdict:
                message = f"overlaps {one.id} and says {two.verdict}, not {one.verdict}"
                yield Problem(file, two.id, message, "make the ranges disjoint, or declare it in conflicts_with")
            elif _two_doses(one, two):
                message = f"gives another dose than {one.id} for the same patient"
                yield Problem(file, two.id, message, 'narrow one of them, or make one view = "other"')


def _two_doses(one: Fact, two: Fact) -> bool:
    a, b = one.action, two.action
    if a is None or b is None or (one.verdict is not Verdict.ADJUST and one.type is not FactType.INDICATION):
        return False
    return a.model_copy(update={"note": ""}) != b.model_copy(update={"note": ""})


def _doses_above_maximum(library: Library) -> Iterator[Problem]:
    most: dict[str, list[Fact]] = {}
    for fact in library.facts:
        if fact.type is FactType.MAXIMUM and fact.view == "primary" and not fact.when:
            most.setdefault(fact.drug, []).append(fact)
    for fact in library.facts:
        action = fact.action
        if action is None or action.dose is None or per_body(action.unit)[1] or not fact.drug or action.of:
            continue
        high = action.dose[1] if isinstance(action.dose, tuple) else action.dose
        for maximum in most.get(fact.drug, []):
            cap = maximum.action
            if cap is None or cap.max is None or not comparable(cap.unit, action.unit) or cap.unit != action.unit:
                continue
            if cap.route and action.route and cap.route != action.route:
                continue
            every = action.every_h[1] if isinstance(action.every_h, tuple) else action.every_h
            given = high * (24 / every if every and cap.max_per == "day" and action.per == "dose" else 1)
            if given > cap.max * 1.0001:
                message = f"{given:g} {action.unit} is above the maximum of {cap.max:g} in {maximum.id}"
                remedy = "lower the dose, or give the maximum its own conditions"
                yield Problem(library.files.get(fact.id, "?"), fact.id, message, remedy)


def _names(library: Library) -> Iterator[Problem]:
    """Drugs and classes: known classes, at least one fact, no name with two meanings."""
    owner: dict[str, str] = {}
    for drug in library.drugs.values():
        for name in drug.classes:
            if name not in library.classes:
                yield Problem(
                    _file_of(drug, library), drug.name, f"unknown class {name!r}", "declare it in a [[class]]"
                )
        if not library.facts_for(drug.name):
            yield Problem(_file_of(drug, library), drug.name, "a drug without a fact", "write its facts or remove it")
        for name in {plain(text) for text in (drug.name, *drug.brands, *drug.aliases)}:
            if name in owner and owner[name] != drug.name:
                message = f"{name!r} also names {owner[name]}"
                yield Problem(_file_of(drug, library), drug.name, message, "a name belongs to one drug")
            owner.setdefault(name, drug.name)
    for source in library.sources.values():
        if not _is_date(source.date) or not source.title.strip() or not source.publisher.strip():
            yield Problem("sources", source.id, "needs a title, a publisher and a date", "date as YYYY, YYYY-MM or ISO")


def _file_of(drug: Drug, library: Library) -> str:
    """Where the drug's own facts stand (drugs are declared beside them)."""
    return next((library.files[fact.id] for fact in library.facts if fact.drug == drug.name), "facts")
