"""Counts of a curriculum, as tables: what is taught, what is preferred, what is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from posology.curriculum.build import Curriculum
from posology.curriculum.preferences import alarmed, longer
from posology.curriculum.records import Case, PairSplit, Preference

Table = tuple[str, list[str], list[list[object]]]
_VERDICTS = ("CONTRAINDICATED", "AVOID", "ADJUST", "CAUTION", "OK", "INSUFFICIENT")
_OPENINGS = (("is contraindicated", "CONTRAINDICATED"), ("Avoid ", "AVOID"), ("Adjust ", "ADJUST"), ("with caution", "CAUTION"),
             ("is acceptable", "OK"), ("Not ", "INSUFFICIENT"))  # fmt: skip


def summarise(curriculum: Curriculum) -> list[Table]:
    """Tables of the four kinds of record."""
    return [_records(curriculum), _dialogues(curriculum), _cases(curriculum), _pairs(curriculum), _rulers(curriculum)]


def spoken_verdict(answer: str) -> str:
    """The verdict of a canonical answer's first sentence; "-" for an answer without one."""
    first = answer.split(". ")[0]
    return next((verdict for words, verdict in _OPENINGS if words in first), "-")


def words(texts: Iterable[str]) -> float:
    """Mean words of texts; 0 for none."""
    counts = [len(text.split()) for text in texts]
    return sum(counts) / len(counts) if counts else 0.0


def _records(curriculum: Curriculum) -> Table:
    dialogues = [d for d in curriculum.dialogues if d.split == "train"]
    rows: list[list[object]] = [
        ["documents", len(curriculum.documents), f"{words(d.text for d in curriculum.documents):.1f}", ""],
        ["dialogues", len(dialogues), f"{words(d.prompt for d in dialogues):.1f}", f"{words(d.answer for d in dialogues):.1f}"],
        ["preferences", len(curriculum.preferences), f"{words(p.prompt for p in curriculum.preferences):.1f}",
         f"{words(p.chosen for p in curriculum.preferences):.1f}"],
        ["cases", len(curriculum.cases), f"{words(c.question for c in curriculum.cases):.1f}",
         f"{words(c.answer for c in curriculum.cases):.1f}"],
    ]  # fmt: skip
    return "Records", ["kind", "count", "words, question", "words, answer"], rows


def _dialogues(curriculum: Curriculum) -> Table:
    """Dialogues and headline cases by kind: is what is trained what is asked?"""
    taught = Counter(d.kind for d in curriculum.dialogues if d.split == "train")
    asked = Counter(c.kind for c in curriculum.cases)
    verdicts: dict[str, Counter[str]] = {}
    for d in curriculum.dialogues:
        verdicts.setdefault(d.kind, Counter())[spoken_verdict(d.answer)] += 1
    rows: list[list[object]] = [
        [kind, count, asked.get(kind, 0), *(verdicts[kind].get(verdict, 0) for verdict in _VERDICTS)]
        for kind, count in taught.most_common()
    ]
    return "Dialogues by kind", ["kind", "taught", "asked", *(v.lower() for v in _VERDICTS)], rows


def _cases(curriculum: Curriculum) -> Table:
    rows: list[list[object]] = []
    splits = dict.fromkeys(case.split for case in curriculum.cases)
    for split in splits:
        rows.append([split, *_case_row([case for case in curriculum.cases if case.split == split])])
    rows.append(["S1 + S2", *_case_row([case for case in curriculum.cases if case.split in ("S1", "S2")])])
    columns = ["split", "cases", "facts", *(v.lower() for v in _VERDICTS), "doses", "capped", "twins"]
    return "The exam", columns, rows


def _case_row(cases: list[Case]) -> list[object]:
    golds = Counter(case.gold.verdict for case in cases)
    doses = [case.gold.dose for case in cases if case.gold.dose_required]
    capped = sum(dose is not None and dose.cap_binding for dose in doses)
    facts = len({case.fact_id for case in cases})
    return [
        len(cases),
        facts,
        *(golds.get(v, 0) for v in _VERDICTS),
        len(doses),
        capped,
        sum(bool(case.twin) for case in cases),
    ]


def _pairs(curriculum: Curriculum) -> Table:
    splits: tuple[PairSplit, ...] = ("train", "heldout_wordings", "heldout_facts", "dev")
    counts = Counter((pair.corruption, pair.split) for pair in curriculum.preferences)
    names = sorted({pair.corruption for pair in curriculum.preferences})
    rows: list[list[object]] = [[name, *(counts.get((name, split), 0) for split in splits)] for name in names]
    return "Preference pairs by what is wrong with the second answer", ["corruption", *splits], rows


def ruler(pairs: Iterable[Preference]) -> tuple[float, float]:
    """Shares of pairs in which the longer answer, and the one saying "contraindicated", is the better one.

    Over the pairs that each ruler can tell apart; 0.5 where there are none.
    """
    kept = list(pairs)
    lengths, alarms = Counter(longer(pair) for pair in kept), Counter(alarmed(pair) for pair in kept)

    def share(counts: Counter[int]) -> float:
        told = counts[1] + counts[-1]
        return counts[1] / told if told else 0.5

    return share(lengths), share(alarms)


def _rulers(curriculum: Curriculum) -> Table:
    rows: list[list[object]] = []
    for split in dict.fromkeys(pair.split for pair in curriculum.preferences):
        longer_wins, alarm_wins = ruler(pair for pair in curriculum.preferences if pair.split == split)
        rows.append([split, f"{longer_wins:.3f}", f"{alarm_wins:.3f}"])
    columns = ["split", "the longer one wins", "the one saying contraindicated wins"]
    return "Rulers that must not win (0.45 to 0.55)", columns, rows
