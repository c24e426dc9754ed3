"""Where a text names a medicine: a vocabulary of generic names, brands and spellings, and words that look like one.

The packaged vocabulary (drugs.toml) lives here and not in the knowledge base, because a note names many more medicines
than the knowledge base judges, and intake stands beside knowledge, not above it. A caller may pass its own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from posology.errors import UserError

PACKAGED = Path(__file__).with_name("drugs.toml")
_WORD = re.compile(r"#?[a-z0-9]+(?:'[a-z]+)?")
_JOINT = re.compile(r"[ \t./+&-]{1,3}|\s")  # between the words of one name; a comma parts two names

# Stems of the international and US naming schemes (WHO INN stem book; USAN stems): a word that ends so is probably a
# medicine, known or invented. Short or common stems are left out.
_SUFFIX = re.compile(
    r"^(?:cef[a-z]{4,}|[a-z]{2,}(?:pril(?:at)?|sartan|olol|vastatin|[ltuvxz]imab|umab|tinib|[a-z]anib|afenib|ciclib"
    r"|parib|gliptin|gliflozin|glitazone|glutide|enatide|conazole|prazole|nidazole|bendazole|cillin|penem|mycin|micin"
    r"|floxacin|[aeo]cycline|[aeiou]vir|virine|tegravir|triptan|setron|dipine|oxetine|faxine|azepam|azolam|barbital"
    r"|caine|curium|curonium|parin|xaban|gatran|platin|rubicin|taxel|limus|dronate|thiazide|semide|lukast|terol"
    r"|tropium|solone|phylline|fibrate|afil|peridol|peridone|triptyline|zapine|tiapine|piprazole|pramine|codone"
    r"|morphone|fungin|bactam|grelor|grel|stigmine|zodone|racetam|gabalin|orexant|vaptan|ercept|poetin|grastim|relin"
    r"|trexate|trexed|trozole|lutamide|steride|zosin))$"
)
_NOT_DRUGS = frozenset(  # words of medicine and of English that end like one
    """
    april spartan cholesterol ergosterol phytosterol cocaine reservoir souvenir
    """.split()
)
_NOT_NAMES = frozenset(  # words that stand before a dose without naming a medicine
    """
    dose dosage total daily about approximately another additional around only than then with without from once twice
    taking taken takes take tablet tablets capsule capsules pill pills patch cream ointment increased decreased reduced
    increase decrease lowered changed titrated given giving gave receive received receiving plus every each least most
    over under until oral intravenous subcutaneous topical inhaled liquid suspension solution injection infusion bolus
    loading maintenance extended release chewable generic brand strength mean maximum minimum being been were have after
    before morning evening bedtime night nightly weekly weight weighing weighed weighs level levels range value started
    starting start continue continued prescribed medication medications medicine drug drugs dosed rate estimated blood
    loss which their there these those where while about currently approximately using used uses added adding lesion
    mass stone graft node specimen placenta uterus prostate kidney spleen infant baby newborn tissue measured measures
    insulin steroid steroids antibiotic antibiotics sliding scale upto course doses also infused administered injected
    protein sugar fiber fibre sodium fat carbohydrate carbohydrates calories diet fluid fluids water saline dextrose
    glucose normal half contrast already
    """.split()
)
_NOT_TAKEN = re.compile(  # the name is part of another idea: a level, an illness, a kind of bacterium
    r"^[ -]{1,2}(?:serum )?(?:levels?|resistan(?:ce|t)|deficien(?:cy|t)|dependen(?:t|ce)|toxicity|troughs?|receptors?"
    r"|channels?|clinic|assay|screen(?:ing)?|sensitiv(?:e|ity)|overload|stores?|studies|metabolism|induced|overdose"
    r"|poisoning|ingestion|binding|antagonists?|agonists?|saturation|concentrations?|excretion|reducing|containing"
    r"|function|disease|storm|cancer|gland|nodules?|scan|ultrasound|surgery|hormones?|abuse|restricted|restriction"
    r"|antibod(?:y|ies)|titers?|secreti(?:ng|on)|rich|stones?|oxalate|scor(?:e|ing)|was \d|is \d|of \d[\d.]*(?! ?m?c?[gu]))\b"
)
_TAKEN = re.compile(  # evidence before a guarded name
    r"(?:\b(?:tak(?:e|es|ing|en)|on|start(?:ed|ing)?|continue[ds]?|add(?:ed)?|receiv(?:e[ds]?|ing)|given|gave"
    r"|administered|supplement(?:s|ed)?(?: with)?|prescribed|oral|iv|intravenous|topical|im|push(?:es)? of|dose of"
    r"|doses of|uses?|using) (?:(?:her|his|the|an?|some|daily|also|on|oral|iv|with|home|low-dose) ){0,3})$"
)
_FORM = re.compile(
    r"^[ -]{1,2}(?:tablets?|tabs?|supplement\w*|pills?|capsules?|drip|infusion|therapy|patch(?:es)?|gum|injections?"
    r"|replacement|repletion|cream|ointment|drops|gel|pump|lozenges?|\d[\d,.]* ?(?:m?c?g|units?|iu|meq|ml|mg)\b(?! ?/ ?d?l))"
)


@dataclass(frozen=True)
class Named:
    """A medicine named in a text, at [start, end). `drug` is the generic name, or the word itself where unknown."""

    drug: str
    start: int
    end: int
    known: bool


@dataclass(frozen=True, eq=False)  # one vocabulary equals itself
class Vocabulary:
    """Names of medicines as tuples of words."""

    names: Mapping[tuple[str, ...], str]  # every spelling -> the generic name
    by_first: Mapping[str, tuple[tuple[str, ...], ...]]  # first word -> names that begin so, longest first
    guarded: frozenset[tuple[str, ...]]
    classes: Mapping[str, tuple[str, ...]]  # class -> its generic names

    def generic(self, name: str) -> str | None:
        """The generic name behind a spelling; None where unknown."""
        return self.names.get(words_of(name))

    def siblings(self, drug: str) -> tuple[str, ...]:
        """The other medicines of a generic name's class, in the vocabulary's order."""
        return next((tuple(n for n in names if n != drug) for names in self.classes.values() if drug in names), ())


def words_of(name: str) -> tuple[str, ...]:
    """ "Toprol-XL" -> ("toprol", "xl")."""
    return tuple(_WORD.findall(name.lower()))


def make_vocabulary(classes: Mapping[str, Mapping[str, Iterable[str]]], guarded: Iterable[str] = ()) -> Vocabulary:
    """A vocabulary from class -> generic name -> other names. UserError where one spelling has two meanings."""
    names: dict[tuple[str, ...], str] = {}
    for members in classes.values():
        for generic, others in members.items():
            for spelling in (generic, *others, *_reversed(generic)):
                if names.setdefault(words_of(spelling), generic) != generic:
                    raise UserError(f"{spelling!r} names both {names[words_of(spelling)]} and {generic}")
    by_first: dict[str, list[tuple[str, ...]]] = {}
    for key in sorted(names, key=lambda words: (-len(words), words)):
        by_first.setdefault(key[0], []).append(key)
    return Vocabulary(
        names,
        {first: tuple(keys) for first, keys in by_first.items()},
        frozenset(words_of(name) for name in guarded),
        {label: tuple(members) for label, members in classes.items()},
    )


def _reversed(generic: str) -> tuple[str, ...]:
    """A combination of two may be written in either order."""
    parts = generic.split("/")
    return (f"{parts[1]}/{parts[0]}",) if len(parts) == 2 else ()


@lru_cache(maxsize=1)
def packaged_vocabulary() -> Vocabulary:
    """The vocabulary that posology ships."""
    data = tomllib.loads(PACKAGED.read_text(encoding="utf-8"))
    return make_vocabulary(data["classes"], data["guarded"])


def find_names(text: str, vocabulary: Vocabulary, listed: bool = False) -> tuple[Named, ...]:
    """Medicines named in folded text (`amounts.fold`), in order.

    `listed`: the text stands in a list of medicines, so guarded names ("potassium") count without other evidence.
    """
    words = [(match[0], match.start(), match.end()) for match in _WORD.finditer(text)]
    found: list[tuple[Named, bool]] = []  # with whether it needs evidence
    at = 0
    while at < len(words):
        key = _name_at(vocabulary, text, words, at)
        if key:
            start, end = words[at][1], words[at + len(key) - 1][2]
            if not _NOT_TAKEN.match(text[end:]):
                needs = key in vocabulary.guarded and not listed and not _taken(text, start, end)
                found.append((Named(vocabulary.names[key], start, end, True), needs))
            at += len(key)
            continue
        word, start, end = words[at]
        if _looks_like_a_drug(word, text, start, end) and not _NOT_TAKEN.match(text[end:]):
            found.append((Named(word, start, end, False), False))
        at += 1
    return tuple(name for number, (name, needs) in enumerate(found) if not needs or _among_drugs(text, found, number))


def _name_at(
    vocabulary: Vocabulary, text: str, words: list[tuple[str, int, int]], at: int
) -> tuple[str, ...]:
    """The longest name that begins at word `at`; () where there is none."""
    for key in vocabulary.by_first.get(words[at][0], ()):
        part = words[at : at + len(key)]
        if tuple(word for word, _, _ in part) == key and all(
            _JOINT.fullmatch(text, left[2], right[1]) for left, right in zip(part, part[1:], strict=False)
        ):
            return key
    return ()


def _taken(text: str, start: int, end: int) -> bool:
    return bool(_TAKEN.search(text[max(0, start - 60) : start]) or _FORM.match(text[end:]) or _dose_before(text, start))


_DOSE_BEFORE = re.compile(r"\d[\d,.]* ?-?(?:mg|mcg|g|grams?|units?|iu|meq|ml|amps?|ampules?)(?: of)? (?:iv |oral )?$")


def _dose_before(text: str, start: int) -> bool:
    return bool(_DOSE_BEFORE.search(text[max(0, start - 30) : start]))


def _among_drugs(text: str, found: list[tuple[Named, bool]], number: int) -> bool:
    """A guarded name counts when it stands in a list right beside a name that does."""
    here = found[number][0]
    for other in found[max(0, number - 1) : number] + found[number + 1 : number + 2]:
        name, needs = other
        gap = text[name.end : here.start] if name.end <= here.start else text[here.end : name.start]
        if not needs and re.fullmatch(r"[^.;:]{0,25}?(?:,|\band\b|,? and an?)[ \w-]{0,12}", gap):
            return True
    return False


_DOSED = re.compile(
    r"^ (?:at )?\d[\d,.]*(?: ?(?:-|to) ?\d[\d,.]*)? ?-?(?:mg|mcg)\b(?! ?/ ?d?l)"
)
_DOSE_OF = re.compile(r"\d[\d,.]* ?-?(?:mg|mcg)(?: of)? $")


def _looks_like_a_drug(word: str, text: str, start: int, end: int) -> bool:
    """A stem of the naming schemes, or a dose in mg or mcg right beside a word that is none of the usual ones."""
    if not word.isalpha() or len(word) < 5 or word in _NOT_DRUGS or word in _NOT_NAMES:
        return False
    if _SUFFIX.match(word):
        return len(word) >= 6
    if _DOSED.match(text[end : end + 30]):
        return not word.endswith(("ed", "ing", "ly"))
    return False
