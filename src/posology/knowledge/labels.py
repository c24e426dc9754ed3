"""The contraindication sections of labels against the facts: each one found, explained, or missing.

Deterministic: the sections are cut into phrases, the terms of ``label_terms.toml`` are looked up in them, and
words that are neither a term nor filler make an unexplained finding, so that an unknown contraindication cannot pass
unseen. Cross-references, examples, explanations ("because of", "such as") and exceptions ("unless", "except") are left
aside. Labels of more than one medicine are too: which of the two a phrase means is not written. No sentence of a label
is kept.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from posology.config import UserError
from posology.files import read_jsonl
from posology.knowledge.audit import Audit, Finding, LabelDifference, parsed, read_toml
from posology.knowledge.fact import Condition, Fact, Frozen, Verdict
from posology.knowledge.library import FOLDER, Library, Rule

TERMS = "label_terms.toml"
SALTS = frozenset(
    [
        "acetate", "anhydrous", "besylate", "bisulfate", "calcium", "citrate", "etexilate", "fumarate", "gluconate", "hcl",
        "hemifumarate", "hydrochloride", "lysine", "magnesium", "maleate", "medoxomil", "mesylate", "phosphate",
        "potassium", "sodium", "succinate", "sulfate", "tartrate",
    ]
)  # fmt: skip
EVERYTHING = "*"  # the term of a difference that sets a whole label aside
UNREAD, NOTHING = "not understood", "nothing compared"
_BRACKETED = re.compile(
    r"\[\s*see\b[^\]]*\]|\(\s*see\b[^)]*\)|\((?:e\.? ?g|i\.e)\b[^)]*\)|\(\d[\d.]*\)"
    r"|\bsee (?:warnings|adverse|clinical|drug|precautions|use in)\b[^.\n]*?\([\d., ]+\)(?:,? and [a-z ]+\([\d., ]+\))*"
)
_ASIDES = re.compile(
    r"\b(?:because of|such as|since)\b[^.\n]*|\b(?:unless|except)\b[^.\n,;)]*|\bwithout an? (?:permanent )?pacem\w+"
)
_EXPLAINS = re.compile(
    r"\b(?:has|have) been reported\b|\bmay (?:involve|range|complicate)\b|\bincreases the risk\b|\bmore likely to\b"
    r"|\bhave produced\b|\bshould be given as\b|\btime course\b"
)


class Term(Frozen):
    """One thing that labels contraindicate: how they write it, and the conditions that say the same."""

    name: str
    words: tuple[str, ...]
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Lexicon:
    terms: tuple[Term, ...]
    filler: frozenset[str]


@dataclass(frozen=True)
class Section:
    """One contraindication section of one label."""

    product: str
    generic: str
    text: str


@dataclass(frozen=True)
class Reading:
    """What a section names: term names in the order of the lexicon, and the words that neither a term nor filler reads."""

    terms: tuple[str, ...]
    unread: tuple[str, ...]


def load_lexicon(folder: Path | None = None) -> Lexicon:
    """The terms of a knowledge folder, or the package's where the folder has none of its own."""
    path = (folder or FOLDER) / TERMS
    path = path if path.exists() else FOLDER / TERMS
    tables = read_toml(path)
    terms = tuple(parsed(path, Term, row) for row in tables.get("term", []))
    return Lexicon(terms, frozenset(str(word) for word in tables.get("filler", [])))


def read_sections(path: Path) -> list[Section]:
    """The contraindication sections of a JSONL file of label sections (label_drug, generic, section, text)."""
    sections = []
    for number, row in enumerate(read_jsonl(path), start=1):
        lacking = [name for name in ("label_drug", "generic", "section", "text") if not isinstance(row.get(name), str)]
        if lacking:
            raise UserError(
                f"{path}: record {number} has no text {lacking[0]!r}",
                "each line needs label_drug, generic, section and text",
            )
        title = row["section"].replace(" ", "").casefold()
        if title.startswith("contraindications"):
            sections.append(Section(row["label_drug"], row["generic"], row["text"]))
    return sections


def medicine(generic: str, library: Library) -> str | None:
    """The library's name of a label's generic name without its salt; None: unknown, or more than one medicine."""
    words = [word for word in re.split(r"[\s,]+", generic.casefold()) if word and word not in SALTS]
    return library.resolve_drug(generic) or library.resolve_drug(" ".join(words))


def read_section(text: str, lexicon: Lexicon, own_names: Iterable[str] = ()) -> Reading:
    """The terms that a section names. `own_names` are the product's names, which say nothing by themselves."""
    own = {word for name in own_names for word in re.findall(r"[a-z]+", name.casefold())}
    filler = lexicon.filler | own
    found: set[str] = set()
    unread = []
    for phrase in _phrases(text):
        rest = phrase
        for term in lexicon.terms:
            for words in term.words:
                rest, count = re.subn(_pattern(words), " ", rest)
                found |= {term.name} if count else set()
        left = [word for word in re.findall(r"[a-z]+", rest) if word not in filler and not _misspelt(word, own)]
        unread += [" ".join(left)] if left else []
    return Reading(tuple(term.name for term in lexicon.terms if term.name in found), tuple(dict.fromkeys(unread)))


def _pattern(words: str) -> str:
    """A term's words as a regular expression: a plural is the same word, and "*" stands for any ending."""
    return rf"\b{re.escape(words.removesuffix('*'))}" + (r"\w*" if words.endswith("*") else r"s?\b")


def _misspelt(word: str, own: set[str]) -> bool:
    """Whether a word is the product's name with a slip of the pen, or its beginning ("toprol" of "TOPROLXL")."""
    near = difflib.get_close_matches(word, own, n=1, cutoff=0.9)
    return bool(near) or (len(word) > 4 and any(name.startswith(word) for name in own))


def _phrases(text: str) -> Iterator[str]:
    """Phrases in lower case between commas, stops and brackets, without asides."""
    plain = re.sub(r"[-‐-―]", " ", text.casefold())
    plain = re.sub(r"\n\s*\d+(?:\.\d+)+ ", "\n", "\n" + plain)  # numbers of subsections
    plain = _ASIDES.sub(" ", _BRACKETED.sub(" ", plain))
    for sentence in re.split(r"\n|\. |\.$", plain):
        if _EXPLAINS.search(sentence):
            continue
        for phrase in re.split(r"[,;:()\[\]]|/(?= )", sentence):
            if words := " ".join(phrase.split()):
                yield words


def audit_labels(
    library: Library, sections: Sequence[Section], lexicon: Lexicon, reviewed: Iterable[LabelDifference] = ()
) -> Audit:
    """Compare the labels of every medicine that the library has, alone on its label, with its CONTRAINDICATED facts."""
    entries = tuple(reviewed)
    by_drug: dict[str, list[Section]] = {}
    for section in sections:
        name = medicine(section.generic, library)
        if name is not None:
            by_drug.setdefault(name, []).append(section)
    findings: list[Finding] = []
    unmatched: list[tuple[str, str]] = []
    used: set[LabelDifference] = set()
    names = {term.name for term in lexicon.terms}
    for drug in sorted(by_drug):
        own = [entry for entry in entries if entry.drug == drug]
        for finding, entry in _of_drug(library, drug, by_drug[drug], lexicon, own):
            findings.append(finding)
            used |= {entry} if entry else set()
        named = {finding.theirs for finding in findings if finding.subject == drug} & names
        if named:  # not where every label was set aside
            unmatched += _not_on_label(library, drug, lexicon, named)
    stale = tuple(
        f"[[label]] {e.drug} / {e.term}{f' / {e.label}' if e.label else ''}: no such difference any more; "
        "remove the entry"
        for e in entries
        if e not in used and e.drug in by_drug  # a file without the drug cannot say that an entry is stale
    )
    others = len({section.generic.casefold() for section in sections}) - len(
        {section.generic.casefold() for group in by_drug.values() for section in group}
    )
    note = (
        f"{len(by_drug)} medicines compared; {others} other generic names in the file are combinations or not ours; "
        f"{len(library.drugs) - len(by_drug)} of our medicines have no label in it"
    )
    return Audit(tuple(findings), tuple(unmatched), stale, (note,))


def _of_drug(
    library: Library, drug: str, sections: Sequence[Section], lexicon: Lexicon, entries: Sequence[LabelDifference]
) -> Iterator[tuple[Finding, LabelDifference | None]]:
    products: dict[str, list[str]] = {}  # term -> the products whose labels name it
    for section in sections:
        aside = next((e for e in entries if e.term == EVERYTHING and e.label == section.product), None)
        if aside is not None:
            yield _reviewed(drug, section.product, "the whole section", NOTHING, aside), aside
            continue
        reading = read_section(section.text, lexicon, (drug, section.product, section.generic))
        for name in reading.terms:
            products.setdefault(name, []).append(section.product)
        for words in reading.unread:
            remedy = f"nothing reads {words!r}; add it to {TERMS}"
            yield Finding(drug, section.product, NOTHING, UNREAD, "unexplained", remedy), None
    for term in lexicon.terms:
        if term.name not in products:
            continue
        place = ", ".join(dict.fromkeys(products[term.name]))
        best = _best_rule(library, drug, term)
        said = f"{best.fact.verdict} ({best.fact.id})" if best else "no fact"
        if best and best.fact.verdict is Verdict.CONTRAINDICATED:
            yield Finding(drug, place, said, term.name, "agrees"), None
            continue
        entry = next((e for e in entries if e.term == term.name), None)
        if entry is not None:
            yield _reviewed(drug, place, term.name, said, entry), entry
        else:
            yield Finding(drug, place, said, term.name, "unexplained", "missing from the facts"), None


def _reviewed(drug: str, place: str, term: str, said: str, entry: LabelDifference) -> Finding:
    return Finding(drug, place, said, term, entry.kind, entry.reason, f"{entry.source.id}, {entry.source.locator}")


def _best_rule(library: Library, drug: str, term: Term) -> Rule | None:
    """The rule of the drug on that term with the worst verdict, a US label's or a guideline's."""
    rules = [
        rule
        for rule in library.rules_for(drug)
        if rule.fact.verdict is not None
        and rule.fact.jurisdiction in ("US", "intl")
        and any(_answers(condition, term, drug) for condition in rule.when)
    ]
    return max(rules, key=lambda rule: (rule.fact.verdict or Verdict.OK).rank, default=None)


def _answers(condition: Condition, term: Term, drug: str) -> bool:
    wanted = {text.replace("{drug}", drug) for text in term.facts}
    return bool({condition.text, condition.text.partition(" (")[0], condition.patient_field} & wanted)


def _not_on_label(library: Library, drug: str, lexicon: Lexicon, named: set[str]) -> Iterator[tuple[str, str]]:
    """Our own contraindications that none of these labels names: newer, or another source's."""
    terms = [term for term in lexicon.terms if term.name in named]
    for fact in library.facts_for(drug):
        if fact.verdict is not Verdict.CONTRAINDICATED or fact.jurisdiction not in ("US", "intl"):
            continue
        if not any(_answers(condition, term, drug) for condition in fact.when for term in terms):
            yield fact.id, f"the label of {drug} here does not name it (ours: {_sources(fact)}, as of {fact.as_of})"


def _sources(fact: Fact) -> str:
    return ", ".join(ref.id for ref in fact.sources)
