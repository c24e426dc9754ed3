"""Load the knowledge base and look things up in it.

A knowledge folder holds ``facts/*.toml`` (drugs, classes, terms and facts, one file per therapeutic area) and
``sources*.toml``. `read_folder` collects every problem it meets, for ``posology kb check``; `load_library` stops at
the first one. A fact without a source cannot be loaded. Not for care of patients.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from posology.config import UserError
from posology.knowledge.fact import Condition, Drug, DrugClass, Fact, FactType, Source, Term
from posology.naming import plain

FOLDER = Path(__file__).parent
TABLES: dict[str, type[BaseModel]] = {"drug": Drug, "class": DrugClass, "term": Term, "fact": Fact, "source": Source}


@dataclass(frozen=True)
class Problem:
    """Something wrong in the knowledge base: where, what, and what to do about it."""

    file: str
    fact: str  # the fact's (or drug's, source's ...) id; "" where the whole file is meant
    message: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.fact}" if self.fact else self.file
        return f"{place}: {self.message} (remedy: {self.remedy})"


@dataclass(frozen=True)
class Rule:
    """A fact as it applies to one drug, from either side of an interaction.

    `when` is the fact's own, or, on the mirrored side, with the comed condition naming the fact's drug or class.
    """

    fact: Fact
    when: tuple[Condition, ...]
    mirrored: bool = False


@dataclass(frozen=True, order=True)
class Bound:
    """Where a condition parts a number; `closed`: the number itself lies below ("30 or below" against "above 30")."""

    at: float
    closed: bool = False

    def passed(self, value: float) -> bool:
        """Whether `value` lies above it."""
        return value > self.at if self.closed else value >= self.at


@dataclass(frozen=True)
class Library:
    """Everything the judge may use. Lookups are case-insensitive and know brands and aliases."""

    drugs: dict[str, Drug]
    classes: dict[str, DrugClass]
    terms: dict[tuple[str, str], Term]  # (kind, name)
    sources: dict[str, Source]
    facts: tuple[Fact, ...]
    files: dict[str, str] = field(default_factory=dict)  # fact id -> file name

    @cached_property
    def by_id(self) -> dict[str, Fact]:
        return {fact.id: fact for fact in self.facts}

    @cached_property
    def drug_names(self) -> dict[str, str]:
        """Every way of writing a drug (generic, brand, alias), as `plain` makes it -> its name."""
        return _names((drug.name, (*drug.brands, *drug.aliases)) for drug in self.drugs.values())

    @cached_property
    def _class_names(self) -> dict[str, str]:
        names = _names((name, (item.label,)) for name, item in self.classes.items())
        return {**{f"{key}s": name for key, name in names.items()}, **names}

    @cached_property
    def _term_names(self) -> dict[str, dict[str, str]]:
        kinds = {kind for kind, _ in self.terms}
        return {
            kind: _names((term.name, term.aliases) for term in self.terms.values() if term.kind == kind)
            for kind in kinds
        }

    @cached_property
    def _members(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(drug.name for drug in self.drugs.values() if name in drug.classes) for name in self.classes}

    @cached_property
    def _rules(self) -> dict[str, tuple[Rule, ...]]:
        return _index_rules(self)

    def resolve_drug(self, text: str) -> str | None:
        """The library's name of a drug written as a generic name, brand or alias in any case; None: unknown."""
        return self.drug_names.get(plain(text))

    def resolve_class(self, text: str) -> str | None:
        """The library's name of a drug class ("NSAIDs" -> "nsaid"); None: unknown."""
        return self._class_names.get(plain(text))

    def resolve_term(self, kind: str, text: str) -> str | None:
        """The library's name of a condition, indication or allergen; None: unknown."""
        return self._term_names.get(kind, {}).get(plain(text))

    def members(self, drug_class: str) -> tuple[str, ...]:
        """The drugs of a class; () for an unknown class."""
        return self._members.get(drug_class, ())

    def classes_of(self, drug: str) -> tuple[str, ...]:
        return self.drugs[drug].classes if drug in self.drugs else ()

    def is_a(self, drug: str, name: str) -> bool:
        """Whether `drug` is `name` or a member of the class `name`."""
        return drug == name or name in self.classes_of(drug)

    @cached_property
    def _facts(self) -> dict[str, tuple[Fact, ...]]:
        return {
            drug: tuple(fact for fact in self.facts if fact.drug == drug or fact.drug_class in known.classes)
            for drug, known in self.drugs.items()
        }

    def facts_for(self, drug: str) -> tuple[Fact, ...]:
        """The facts written about the drug or one of its classes, in file order."""
        return self._facts.get(drug, ())

    @cached_property
    def _monitored(self) -> dict[str, tuple[str, ...]]:
        always = ((drug, [f for f in facts if f.type is FactType.MONITORING]) for drug, facts in self._facts.items())
        return {drug: tuple(dict.fromkeys(f.monitoring for f in facts if not f.when)) for drug, facts in always}

    def monitored(self, drug: str) -> tuple[str, ...]:
        """What the drug's facts say to monitor whoever takes it: "kidney function" for dabigatran."""
        return self._monitored.get(drug, ())

    def rules_for(self, drug: str) -> tuple[Rule, ...]:
        """The facts that may decide about the drug: its own, its classes', and interactions from the other side."""
        return self._rules.get(drug, ())

    @cached_property
    def _limits(self) -> dict[str, dict[str, frozenset[Bound]]]:
        return {drug: _index_limits(self.rules_for(drug)) for drug in self.drugs}

    def limits_for(self, drug: str) -> dict[str, frozenset[Bound]]:
        """The bounds, by the patient's field, of every number on which a verdict about the drug may turn; Child-Pugh
        counts A = 1, B = 2, C = 3, and has an entry without bounds where facts ask for it and all grades are alike."""
        return self._limits.get(drug, {})

    @cached_property
    def _asking_allergies(self) -> frozenset[str]:
        asked = ((drug, part.kind) for drug in self.drugs for rule in self.rules_for(drug) for part in rule.when)
        return frozenset(drug for drug, kind in asked if kind == "allergy")

    def asks_allergies(self, drug: str) -> bool:
        """Whether some fact about the drug turns on an allergy."""
        return drug in self._asking_allergies

    @cached_property
    def _weighed(self) -> frozenset[str]:
        dosed = ((drug, rule.fact.action) for drug in self.drugs for rule in self.rules_for(drug) if not rule.mirrored)
        return frozenset(drug for drug, action in dosed if action is not None and action.scales_with)

    def is_weighed(self, drug: str) -> bool:
        """Whether some dose of the drug is worked out from the patient's weight."""
        return drug in self._weighed

    def interaction_pairs(self) -> frozenset[frozenset[str]]:
        """The pairs of drugs on which some fact gives a verdict, facts about classes expanded to their members."""
        return frozenset(
            frozenset((name, other))
            for name, rules in self._rules.items()
            for rule in rules
            if not rule.mirrored and rule.fact.verdict is not None
            for condition in rule.when
            if condition.kind in ("comed", "comed_class")
            for other in (self.members(condition.field) if condition.kind == "comed_class" else (condition.field,))
            if other != name
        )


def _names(entries: Iterable[tuple[str, Iterable[str]]]) -> dict[str, str]:
    """Every way of writing -> name; a real name is never shadowed by another entry's alias."""
    known = [(name, tuple(others)) for name, others in entries]
    aliases = {plain(other): name for name, others in known for other in others}
    return {**aliases, **{plain(name): name for name, _ in known}}


def _index_rules(library: Library) -> dict[str, tuple[Rule, ...]]:
    direct: dict[str, list[Rule]] = {name: [] for name in library.drugs}
    mirrored: dict[str, list[Rule]] = {name: [] for name in library.drugs}
    for fact in library.facts:
        own = library.members(fact.drug_class) if fact.drug_class else (fact.drug,)
        for name in own:
            if name in direct:
                direct[name].append(Rule(fact, fact.when))
        comeds = [condition for condition in fact.when if condition.kind in ("comed", "comed_class")]
        if fact.verdict is None or len(comeds) != 1:
            continue
        others = library.members(comeds[0].field) if comeds[0].kind == "comed_class" else (comeds[0].field,)
        rule = Rule(fact, tuple(_from_other_side(fact) if c is comeds[0] else c for c in fact.when), mirrored=True)
        for name in others:
            if name in mirrored:
                mirrored[name].append(rule)
    return {name: (*direct[name], *mirrored[name]) for name in library.drugs}


def _index_limits(rules: Iterable[Rule]) -> dict[str, frozenset[Bound]]:
    found: dict[str, set[Bound]] = {}
    deciding = [rule for rule in rules if rule.fact.view == "primary" and rule.fact.verdict is not None]
    for condition in (part for rule in deciding for whole in rule.when for part in (whole, *whole.parts)):
        if condition.kind == "child_pugh":
            low = None if condition.low is None else condition.low + condition.low_open
            above = None if condition.high is None else condition.high + (not condition.high_open)
            bounds = found.setdefault(condition.field, set())
            bounds |= {Bound(grade) for grade in (low, above) if grade is not None and 1 < grade <= len("ABC")}
        elif condition.kind == "number" and condition.field != "trimester":
            bounds = found.setdefault(condition.field, set())
            bounds |= {Bound(condition.low, condition.low_open)} if condition.low is not None else set()
            bounds |= {Bound(condition.high, not condition.high_open)} if condition.high is not None else set()
    return {name: frozenset(bounds) for name, bounds in found.items()}


def _from_other_side(fact: Fact) -> Condition:
    if fact.drug_class:
        return Condition(kind="comed_class", field=fact.drug_class, text=f"comed: class {fact.drug_class}")
    return Condition(kind="comed", field=fact.drug, text=f"comed: {fact.drug}")


def read_folder(folder: Path) -> tuple[Library, list[Problem]]:
    """Read a knowledge folder; entries that do not validate are left out and reported."""
    problems: list[Problem] = []
    entries: dict[str, list[tuple[str, Any]]] = {name: [] for name in TABLES}
    paths = [*sorted((folder / "facts").glob("*.toml")), *sorted(folder.glob("sources*.toml"))]
    if not paths:
        problems.append(Problem(str(folder), "", "no facts/*.toml here", "name a folder that holds facts/ and sources"))
    for path in paths:
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            problems.append(Problem(path.name, "", f"not TOML: {error}", "mend the syntax at that line"))
            continue
        for name, rows in tables.items():
            if name not in TABLES or not isinstance(rows, list):
                known = ", ".join(f"[[{table}]]" for table in TABLES)
                problems.append(Problem(path.name, name, "unknown table", f"the tables are {known}"))
                continue
            for row in rows:
                _read_row(path.name, name, row, entries, problems)
    return _assemble(entries, problems), problems


def _read_row(
    file: str, table: str, row: Any, entries: dict[str, list[tuple[str, Any]]], problems: list[Problem]
) -> None:
    try:
        entries[table].append((file, TABLES[table].model_validate(row)))
    except ValidationError as error:
        label = str(row.get("id") or row.get("name") or "?") if isinstance(row, dict) else "?"
        for detail in error.errors():
            place = ".".join(str(part) for part in detail["loc"])
            message = f"{place}: {detail['msg']}" if place else str(detail["msg"])
            remedy = "the schema is at the head of knowledge/fact.py"
            problems.append(Problem(file, label, " ".join(message.split()), remedy))


def _assemble(entries: dict[str, list[tuple[str, Any]]], problems: list[Problem]) -> Library:
    drugs = _unique("drug", entries["drug"], lambda item: item.name, problems)
    classes = _unique("class", entries["class"], lambda item: item.name, problems)
    terms = _unique("term", entries["term"], lambda item: (item.kind, item.name), problems)
    facts = _unique("fact", entries["fact"], lambda item: item.id, problems)
    # Two files may name the same source: each therapeutic area declares what it cites.
    sources = {source.id: source for _, source in reversed(entries["source"])}
    files = {fact.id: file for file, fact in reversed(entries["fact"])}
    return Library(drugs, classes, terms, sources, tuple(facts.values()), files)


def _unique(table: str, rows: list[tuple[str, Any]], key: Any, problems: list[Problem]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    first: dict[Any, str] = {}
    for file, item in rows:
        name = key(item)
        if name in found:
            label = name if isinstance(name, str) else ": ".join(name)
            message = f"this {table} is already declared in {first[name]}"
            problems.append(Problem(file, label, message, "keep one of the two"))
            continue
        found[name], first[name] = item, file
    return found


@lru_cache(maxsize=8)
def _load(folder: Path) -> Library:
    library, problems = read_folder(folder)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        first = problems[0]
        place = f"{first.file}: {first.fact}" if first.fact else first.file
        raise UserError(f"knowledge base: {place}: {first.message}{more}", f"{first.remedy}; see `posology kb check`")
    return library


def load_library(folder: Path | str | None = None) -> Library:
    """The knowledge base of a folder (default: the package's own), cached. UserError names the first problem."""
    return _load(Path(folder).resolve() if folder is not None else FOLDER)
