"""Score summaries of clinical notes by their medications, against the note and against a reference summary.

    supported      the note tells of the same drug in a status that allows it and of every field stated (intake.support)
    precision      supported tuples / the summary's tuples
    recall         the note's drugs of which the summary holds a supported tuple / the note's drugs
    hallucination  unsupported tuples / the summary's tuples; and the share of summaries with at least one
    omission       the note's drugs that the summary does not name / the note's drugs
    wrong dose     tuples at fault in their dose / tuples that state a dose
The note's drugs are those that it tells of as the patient's: allergies and a relative's medicines do not count.
All rest on a reader by rules, whose own errors are `reader_grade`'s; they are shown together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from posology.evaluation.reader_grade import Agreement, agreement, reader_figures
from posology.evaluation.statistics import (
    BOOTSTRAP,
    Estimate,
    Paired,
    Undefined,
    as_json,
    compare_paired,
    holm,
    mean,
    proportion,
)
from posology.intake.drug_names import Vocabulary
from posology.intake.findings import Finding, Sided, unsupported_findings, unsupported_sides
from posology.intake.medications import Medication, read_medications
from posology.intake.support import Unsupported, tuple_of, unsupported

NOT_OWN = ("allergy", "family")


@dataclass(frozen=True)
class Note:
    """A note with the summary that somebody trusted wrote of it, if any."""

    id: str
    text: str
    reference: str = ""


@dataclass(frozen=True)
class SummaryScore:
    """One summary of one note."""

    id: str
    answer: str
    said: tuple[Medication, ...]
    wrong: tuple[Unsupported, ...]  # medications that the note does not support
    told_drugs: tuple[str, ...]  # the note's, in its order
    omitted: tuple[str, ...]  # of these, those that the summary does not name
    recalled: int  # of these, those that a supported tuple of the summary tells
    findings: tuple[Finding, ...]  # told as present, unsupported
    sides: tuple[Sided, ...]  # left for right
    reference: Agreement | None  # of equal tuples with the reference summary's
    rouge_l: float | None  # F-measure against the reference summary

    @property
    def hallucinated(self) -> bool:
        return bool(self.wrong)

    @property
    def unsupported_statements(self) -> int:
        """Medications, findings and sides together."""
        return len(self.wrong) + len(self.findings) + len(self.sides)

    @property
    def f1(self) -> float | None:
        """Of this note alone; None where neither side tells of a medication."""
        if not self.said and not self.told_drugs:
            return None
        precision = 1 - len(self.wrong) / len(self.said) if self.said else 0.0
        recall = self.recalled / len(self.told_drugs) if self.told_drugs else 0.0
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def score_summary(note: Note, answer: str, vocabulary: Vocabulary | None = None) -> SummaryScore:
    """Score one summary."""
    told = read_medications(note.text, vocabulary)
    said = read_medications(answer, vocabulary)
    wrong = unsupported(said, told)
    at_fault = {item.medication for item in wrong}
    own = tuple(dict.fromkeys(item.drug for item in told if item.status not in NOT_OWN))
    right = {item.drug for item in said if item not in at_fault}
    named = {item.drug for item in said}
    reference = None
    if note.reference:
        wanted = [tuple_of(item) for item in read_medications(note.reference, vocabulary)]
        reference = agreement([tuple_of(item) for item in said], wanted)
    return SummaryScore(
        id=note.id,
        answer=answer,
        said=said,
        wrong=wrong,
        told_drugs=own,
        omitted=tuple(drug for drug in own if drug not in named),
        recalled=sum(drug in right for drug in own),
        findings=unsupported_findings(answer, note.text),
        sides=unsupported_sides(answer, note.text),
        reference=reference,
        rouge_l=rouge_l(note.reference, answer) if note.reference else None,
    )


def rouge_l(reference: str, answer: str) -> float:
    """ROUGE-L F-measure without stemming (Lin 2004; the rouge-score package)."""
    from rouge_score.rouge_scorer import RougeScorer  # here: it loads NLTK

    return float(RougeScorer(["rougeL"], use_stemmer=False).score(reference, answer)["rougeL"].fmeasure)


# One system -----------------------------------------------------------------------------------------------------------

MEANING = {
    "precision": "supported tuples / the summary's tuples",
    "recall": "the note's drugs that a supported tuple tells / the note's drugs",
    "hallucination": "unsupported tuples / the summary's tuples",
    "summaries_hallucinating": "summaries with an unsupported tuple / summaries",
    "omission": "the note's drugs that the summary does not name / the note's drugs",
    "wrong_dose": "tuples at fault in their dose / tuples that state a dose",
    "other_unsupported": "summaries with a finding or a side that the note does not support / summaries",
    "rouge_l": "mean ROUGE-L F-measure against the reference summary",
}


def measure_system(scores: Sequence[SummaryScore], draws: int = BOOTSTRAP) -> dict[str, Any]:
    """A system's measures as JSON, each with k, n, the number of notes ("facts") and a 95 % interval over notes."""
    tuples = [(item not in {w.medication for w in s.wrong}, s.id) for s in scores for item in s.said]
    drugs = [(drug in _right(s), s.id) for s in scores for drug in s.told_drugs]
    left_out = [(drug in s.omitted, s.id) for s in scores for drug in s.told_drugs]
    doses = [
        (any(w.medication == item and w.fault == "dose" for w in s.wrong), s.id)
        for s in scores
        for item in s.said
        if item.dose is not None
    ]
    shares = {
        "precision": tuples,
        "recall": drugs,
        "hallucination": [(not right, note) for right, note in tuples],
        "summaries_hallucinating": [(s.hallucinated, s.id) for s in scores],
        "omission": left_out,
        "wrong_dose": doses,
        "other_unsupported": [(bool(s.findings or s.sides), s.id) for s in scores],
    }
    measures: dict[str, Estimate | Undefined] = {
        name: proportion([value for value, _ in pairs], [note for _, note in pairs], draws=draws)
        for name, pairs in shares.items()
    }
    with_reference = [s for s in scores if s.rouge_l is not None]
    measures["rouge_l"] = mean([s.rouge_l or 0.0 for s in with_reference], [s.id for s in with_reference], draws=draws)
    precision, recall = measures["precision"], measures["recall"]
    out: dict[str, Any] = {"notes": len(scores), "tuples": len(tuples)}
    out["measures"] = {name: as_json(estimate) for name, estimate in measures.items()}
    out["f1"] = _f1(precision, recall)
    matched = [s.reference for s in scores if s.reference is not None]
    out["against_reference"] = sum(matched[1:], matched[0]).as_json() if matched else None
    return out


def _right(score: SummaryScore) -> frozenset[str]:
    at_fault = {item.medication for item in score.wrong}
    return frozenset(item.drug for item in score.said if item not in at_fault)


def _f1(precision: Estimate | Undefined, recall: Estimate | Undefined) -> float | None:
    """The harmonic mean of the pooled precision and recall; None where either has no answer."""
    if isinstance(precision, Undefined) or isinstance(recall, Undefined):
        return None
    total = precision.value + recall.value
    return 2 * precision.value * recall.value / total if total else 0.0


# Systems against each other -------------------------------------------------------------------------------------------

COMPARED = ("summaries_hallucinating", "f1", "omission", "rouge_l")


def _value(score: SummaryScore, measure: str) -> float | None:
    if measure == "summaries_hallucinating":
        return float(score.hallucinated)
    if measure == "f1":
        return score.f1
    if measure == "rouge_l":
        return score.rouge_l
    return len(score.omitted) / len(score.told_drugs) if score.told_drugs else None


def compare_systems(systems: Mapping[str, Sequence[SummaryScore]], draws: int = BOOTSTRAP) -> list[dict[str, Any]]:
    """Every two systems on the notes that both have summarised: paired difference, interval, p and Holm's p over all."""
    rows: list[dict[str, Any]] = []
    for (first, one), (second, other) in combinations(systems.items(), 2):
        others = {score.id: score for score in other}
        both = [(score, others[score.id]) for score in one if score.id in others]
        for measure in COMPARED:
            kept = [(a, b, s.id) for s, o in both if (a := _value(s, measure)) is not None
                    and (b := _value(o, measure)) is not None]  # fmt: skip
            paired = compare_paired(
                [a for a, _, _ in kept], [b for _, b, _ in kept], [note for _, _, note in kept],
                binary=measure == "summaries_hallucinating", draws=draws,
            )  # fmt: skip
            rows.append({"first": first, "second": second, "measure": measure, **_paired_json(paired)})
    tested = [row for row in rows if row["p"] is not None]
    for row, adjusted in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = adjusted
    return rows


def _paired_json(paired: Paired | Undefined) -> dict[str, Any]:
    if isinstance(paired, Undefined):
        return {
            "n": 0,
            "difference": None,
            "low": None,
            "high": None,
            "p": None,
            "p_holm": None,
            "undefined": paired.reason,
        }
    return {
        "n": paired.n,
        "difference": paired.difference,
        "low": paired.low,
        "high": paired.high,
        "p": paired.p,
        "p_holm": None,
    }


def evaluate_summaries(
    notes: Mapping[str, Note], answers: Mapping[str, Mapping[str, str]], vocabulary: Vocabulary | None = None
) -> tuple[dict[str, Any], dict[str, list[SummaryScore]]]:
    """Everything as JSON (it holds no text of a note or a summary), and the scores for whoever shows the worst cases.

    `reference` holds the notes' own trusted summaries, scored alike, as the mark against which to read the systems.
    `answers`: system -> id -> summary; an id without a note is the caller's to refuse.
    """
    systems = {
        name: [score_summary(notes[key], answer, vocabulary) for key, answer in of.items()]
        for name, of in answers.items()
    }
    card = {
        "meaning": MEANING,
        "systems": {name: measure_system(scores) for name, scores in systems.items()},
        "reference": _floor(notes, vocabulary),
        "comparisons": compare_systems(systems),
        "reader": reader_figures(),
    }
    return card, systems


def _floor(notes: Mapping[str, Note], vocabulary: Vocabulary | None) -> dict[str, Any] | None:
    """The trusted summaries scored as a system: what they seem to invent is the reader's error, or the writer's."""
    scores = [
        score_summary(Note(note.id, note.text), note.reference, vocabulary) for note in notes.values() if note.reference
    ]
    return measure_system(scores) if scores else None


def worst_cases(scores: Sequence[SummaryScore], limit: int) -> list[SummaryScore]:
    """Those with most unsupported statements, then most drugs left out; only such as have either."""
    bad = [score for score in scores if score.unsupported_statements or score.omitted]
    return sorted(bad, key=lambda s: (-len(s.wrong), -s.unsupported_statements, -len(s.omitted)))[:limit]
