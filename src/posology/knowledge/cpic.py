"""The pharmacogenomic facts against CPIC's own table: the same class of action, or a reviewed reason why not.

CPIC's table has one row per drug, population and combination of gene results, with the recommendation as text. The
text is read here into one of a few classes by fixed patterns; nothing of it is kept. A text that no pattern reads is
an unexplained finding, never a silent pass.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from posology.config import UserError
from posology.knowledge.audit import Audit, CpicDifference, Finding
from posology.knowledge.fact import Fact, FactType, Verdict
from posology.knowledge.library import Library
from posology.knowledge.match import phenotype_name

COLUMNS = ("drug", "gene_lookup", "population", "classification", "recommendation")
GENERAL = ("", "general")
# The indications of our facts as CPIC's clopidogrel guideline (2022) names its populations.
POPULATIONS = {
    "acute coronary syndrome": "CVI ACS PCI",
    "stroke prevention": "NVI",
    "stable cardiovascular disease": "CVI non-ACS non-PCI",
}
GENES_OF_CONDITIONS = {
    "g6pd deficiency": ("G6PD", "deficient"),
    "g6pd deficiency with chronic hemolysis": ("G6PD", "deficient with cnsha"),
}
# Of another gene in the same row: what leaves the recommendation to the gene of the fact.
UNREMARKABLE = ("normal metabolizer", "normal function", "negative", "no result")
# Activity scores up to which a phenotype reaches: CYP2D6 after the consensus of 2019, CYP2C9 and DPYD after CPIC.
SCORES = {
    "CYP2D6": ((0.0, "poor"), (1.0, "intermediate"), (2.25, "normal"), (99.0, "ultrarapid")),
    "CYP2C9": ((0.5, "poor"), (1.5, "intermediate"), (2.0, "normal")),
    "DPYD": ((0.5, "poor"), (1.5, "intermediate"), (2.0, "normal")),
}

STANDARD, LATER, CARE, NO_ADVICE, UNREAD = (
    "standard dose", "standard start, less later", "use with care", "no recommendation", "not understood",
)  # fmt: skip
CONTRAINDICATED, AVOID, CONSIDER, CHANGE = "contraindicated", "avoid", "consider an alternative", "change the dose"
# The verdicts that say the same as a class. CPIC leaves "consider an alternative" to the prescriber: so may a fact.
SAYS = {
    CONTRAINDICATED: (Verdict.CONTRAINDICATED,),
    AVOID: (Verdict.AVOID,),
    CONSIDER: (Verdict.AVOID, Verdict.CAUTION),
    CHANGE: (Verdict.ADJUST,),
    LATER: (Verdict.CAUTION,),
    CARE: (Verdict.CAUTION,),
    STANDARD: (Verdict.OK,),
    NO_ADVICE: (),
    UNREAD: (),
}
_PATTERNS = {
    CONTRAINDICATED: r"\b(?:is|are)(?: relatively)? contraindicated",
    AVOID: r"(?<!no reason to )\bavoid\b|\bdo not use\b|\bnot recommended\b"
    r"|(?<!or )\b(?:select|choose|prescribe|recommend|use) (?:an )?alternative\b",
    CONSIDER: r"\bconsider (?:an? )?(?:clinically appropriate )?(?:alternative\b|antidepressant not\b)",
    CHANGE: r"\d\s*%|\breduced? (?:starting )?dos|\blower (?:starting|maintenance) dose|\bslower titration"
    r"|\bas a starting dose|\blimit dose|\bincrease starting",
    CARE: r"\bwith caution|\bcautiously|\blowest recommended starting|\bincreased frequency of|\bclose monitoring",
    STANDARD: r"\bstandard (?:dos|starting|recommended)|\brecommended (?:starting|standard)|\bdesired starting dose"
    r"|\bno adjustments? needed|\bno reason to avoid|\bno indication to change|\bnormal starting dose|\blabel[- ]recommended",
}
_RAISED_IF_NEEDED = re.compile(r"\bconsider increasing [^.]*")  # for one indication, or where the usual dose fails


@dataclass(frozen=True)
class Recommendation:
    """One row of CPIC's table, read."""

    drug: str  # as the table writes it
    genes: tuple[tuple[str, str], ...]  # (gene, phenotype) in our words: ("HLA-B*57:01", "positive")
    written: tuple[str, ...]  # the same as the table writes it: "CYP2C9 1.5"
    population: str
    action: str  # one of the classes above


@dataclass(frozen=True)
class Key:
    """What a fact is looked up by."""

    drug: str
    genes: tuple[tuple[str, str], ...]
    populations: tuple[str, ...]  # () where the fact holds for all of them


def read_recommendations(path: Path) -> list[Recommendation]:
    """Read a CPIC export (CSV with COLUMNS, gene_lookup as JSON). UserError names file, line and value."""
    csv.field_size_limit(10**7)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            lacking = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
            if lacking:
                raise UserError(f"{path} has no column {lacking[0]!r}", f"a CPIC export has {', '.join(COLUMNS)}")
            return [_recommendation(path, reader.line_num, row) for row in reader]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "name a CPIC export, a CSV file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV in UTF-8: {error}", "export it again") from None


def _recommendation(path: Path, line: int, row: dict[str, str]) -> Recommendation:
    try:
        genes = json.loads(row["gene_lookup"])
        if not isinstance(genes, dict):
            raise ValueError("not an object")
    except (ValueError, TypeError):
        remedy = 'write it as {"CYP2D6": "0.0"}'
        raise UserError(f"{path}:{line}: gene_lookup {row['gene_lookup']!r} is no JSON object", remedy) from None
    read = tuple(gene_result(gene, str(value)) for gene, value in genes.items())
    written = tuple(f"{gene} {value}" for gene, value in genes.items())
    action = read_action(row["recommendation"] or "", row["classification"] or "")
    return Recommendation((row["drug"] or "").strip(), read, written, (row["population"] or "").strip(), action)


def gene_result(gene: str, value: str) -> tuple[str, str]:
    """A gene and its result in our words: ("HLA-B", "*57:01 positive") -> ("HLA-B*57:01", "positive")."""
    if match := re.fullmatch(r"(\*\S+) (positive|negative)", value.strip()):
        return gene + match[1], match[2]
    if gene in SCORES and (score := re.fullmatch(r"≥?\s*(\d+(?:\.\d+)?)", value.strip())):
        for most, name in SCORES[gene]:
            if float(score[1]) <= most:
                return gene, f"{name} metabolizer"
    return gene, phenotype_name(value)


def read_action(text: str, classification: str) -> str:
    """The class of action of a recommendation: of the actions that it names, the first; standard where it is alone."""
    text = " ".join(text.split()).casefold().partition("other considerations")[0].strip()
    if classification.casefold() in ("no recommendation", "n/a") or text in ("no recommendation", "n/a"):
        return NO_ADVICE
    text = _RAISED_IF_NEEDED.sub("", text)
    found = {name: match.start() for name, pattern in _PATTERNS.items() if (match := re.search(pattern, text))}
    standard = found.pop(STANDARD, None)
    if not found:
        return UNREAD if standard is None else STANDARD
    first = min(found, key=lambda name: found[name])
    return LATER if first == CHANGE and standard is not None and standard < found[first] else first


def audit_cpic(library: Library, table: Sequence[Recommendation], reviewed: Iterable[CpicDifference] = ()) -> Audit:
    """Compare every pharmacogenomic fact with the rows of its drug, gene, phenotype and population."""
    by_drug: dict[str, list[Recommendation]] = {}
    for row in table:
        name = library.resolve_drug(row.drug)
        if name is not None:
            by_drug.setdefault(name, []).append(row)
    entries = {(entry.fact, entry.population, entry.cpic): entry for entry in reviewed}
    findings: list[Finding] = []
    unmatched: list[tuple[str, str]] = []
    used: set[CpicDifference] = set()
    for fact in library.facts:
        if not is_pharmacogenomic(fact):
            continue
        for key in keys_of(fact, library):
            rows = [row for row in by_drug.get(key.drug, []) if fits(row, key)]
            if not rows:
                unmatched.append((fact.id, _why_unmatched(fact, key, by_drug)))
            for finding, entry in _findings(fact, rows, entries):
                findings.append(finding)
                used |= {entry} if entry else set()
    compared = {finding.subject for finding in findings}
    stale = tuple(
        f"[[cpic]] {e.fact} / {e.population} / {e.cpic}: no such difference any more; remove the entry"
        for e in entries.values()
        if e not in used and e.fact in compared  # a table without the drug cannot say that an entry is stale
    )
    return Audit(tuple(findings), tuple(unmatched), stale)


def is_pharmacogenomic(fact: Fact) -> bool:
    return fact.verdict is not None and (fact.type is FactType.PHARMACOGENOMICS or bool(_genes(fact)))


def _genes(fact: Fact) -> tuple[tuple[str, str], ...]:
    read = (
        (c.field, c.value) if c.kind == "genotype" else GENES_OF_CONDITIONS.get(c.field)
        for c in fact.when
        if c.kind in ("genotype", "condition")
    )
    return tuple(gene for gene in read if gene is not None)


def keys_of(fact: Fact, library: Library) -> Iterator[Key]:
    """(drug, genes, populations) of a fact; a fact about a class has one for every member."""
    indications = [c.field for c in fact.when if c.kind == "indication"]
    populations = tuple(POPULATIONS.get(name, name) for name in indications)
    for drug in (fact.drug,) if fact.drug else library.members(fact.drug_class):
        yield Key(drug, _genes(fact), populations)


def fits(row: Recommendation, key: Key) -> bool:
    """Whether a row speaks of the key's genes, with every other gene unremarkable, and of its population."""
    results = dict(row.genes)
    if not key.genes or any(results.get(gene) != phenotype for gene, phenotype in key.genes):
        return False
    wanted = {gene for gene, _ in key.genes}
    if any(phenotype not in UNREMARKABLE for gene, phenotype in row.genes if gene not in wanted):
        return False
    return row.population in GENERAL or not key.populations or row.population in key.populations


def _findings(
    fact: Fact, rows: Sequence[Recommendation], entries: Mapping[tuple[str, str, str], CpicDifference]
) -> Iterator[tuple[Finding, CpicDifference | None]]:
    """One finding for every population and class of action that CPIC's rows give, with the entry that explains it."""
    groups: dict[tuple[str, str], list[Recommendation]] = {}
    for row in rows:
        groups.setdefault((row.population or "general", row.action), []).append(row)
    for (population, action), members in groups.items():
        place = f"{population}: {', '.join(sorted({'+'.join(row.written) for row in members}))}"
        entry = entries.get((fact.id, population, action))
        if fact.verdict in SAYS[action]:
            yield Finding(fact.id, place, str(fact.verdict), action, "agrees"), None
        elif entry is None:
            yield Finding(fact.id, place, str(fact.verdict), action, "unexplained"), None
        else:
            source = f"{entry.source.id}, {entry.source.locator}"
            yield Finding(fact.id, place, str(fact.verdict), action, "explained", entry.reason, source), entry


def _why_unmatched(fact: Fact, key: Key, by_drug: dict[str, list[Recommendation]]) -> str:
    marked = "; the fact is marked as verified by CPIC" if fact.verified.by == "cpic" else ""
    if not key.genes:
        return f"the fact names no gene{marked}"
    if key.drug not in by_drug:
        return f"this table has no {key.drug}{marked}"
    said = ", ".join(" ".join(gene) for gene in key.genes)
    return f"no row for {key.drug}, {said}, {', '.join(key.populations) or 'any population'}{marked}"
