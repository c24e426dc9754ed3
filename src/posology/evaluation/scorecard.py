"""Answers and cases -> scorecard.json: measures, gates, splits, baselines and comparisons for every stage.

Not for care of patients: the knowledge base has not been reviewed by a clinician, and neither has what it grades.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from posology.curriculum.records import Case, Dialogue
from posology.evaluation.baselines import UNTRAINED, baseline_answers
from posology.evaluation.claims import StopsFor
from posology.evaluation.grading import Graded, Groups, by_id, grade_answers, group, select
from posology.evaluation.measures import MEASURES, SEEN, SPLITS, UNKNOWN, extra, headline, measure_all, usefulness
from posology.evaluation.reading_text import Names
from posology.evaluation.scorers import ItemScore
from posology.evaluation.statistics import BOOTSTRAP, Paired, Undefined, as_json, compare_paired, holm
from posology.files import atomic_write_json, atomic_write_text
from posology.runs import Run

STAGES = ("pretrain", "sft", "dpo", "ppo")
COMPARED = (("sft", "pretrain"), ("dpo", "sft"), ("ppo", "sft"), ("ppo", "dpo"))  # (a, b): is a better than b?
BEST_OF = "best_of_"  # and how many: the stage whose answers the reward models chose among SFT's
CHOSEN = "of so many answers that SFT gave at temperature 1, the one that the reward models put first"
RIVALS = ("sft", "dpo", "ppo")  # compared with it
ABOUT = 0.01  # of accuracy: stages this near to the most accurate one are chosen between by usefulness
MISSES = 20  # worst answers kept on the card, a stage


def build_scorecard(
    cases: Sequence[Case] | Mapping[str, Case],
    rows: Iterable[Mapping[str, Any]],
    names: Names,
    *,
    run: str,
    seed: int,
    stops: StopsFor | None = None,
    reward: Mapping[str, Any] | None = None,
    train: Sequence[Dialogue] = (),
    reader: Mapping[str, Any] | None = None,
    draws: int = BOOTSTRAP,
    stages: Sequence[str] = STAGES,
    compared: Sequence[tuple[str, str]] = COMPARED,
) -> dict[str, Any]:
    """The scorecard as plain JSON values.

    `rows` are those of answers.jsonl; stages named "untrained" and "best_of_8" become baselines. `reward` is what the
    reward stage measured of itself, taken as it is. `train` gives the majority and nearest-question baselines something
    to learn from (without it they are left out). `reader` are the reader's own figures on hand-labelled answers.
    `stages` are those to grade, and `compared` the pairs (a, b) to set against each other.
    """
    exam = dict(cases) if isinstance(cases, Mapping) else by_id(cases)
    graded = group(grade_answers(exam, rows, names, stops))
    present = [stage for stage in stages if any(name == stage for name, _ in graded)]
    chosen = sorted({name for name, _ in graded if name.startswith(BEST_OF) and name not in present})
    against = [(stage, name) for name in chosen for stage in RIVALS if stage in present]
    card: dict[str, Any] = {
        "run": run,
        "seed": seed,
        "note": "Not for care of patients.",
        "stages": {stage: _stage(graded, stage, exam, draws) for stage in present},
        "reward": dict(reward or {}),
        "baselines": _baselines(exam, graded, names, stops, train, draws) | _chosen(graded, chosen, draws),
        "comparisons": comparisons(graded, [*present, *chosen], draws, [*compared, *against]),
    }
    card["by_fact"] = by_fact(
        graded, [pair for pair in (*compared, *against) if "pretrain" not in pair], [*present, *chosen]
    )
    if reader:
        card["reader"] = dict(reader)
    card["best_stage"] = best_stage(card)
    return card


def best_of_name(answers: int) -> str:
    """The name of the baseline that chooses among so many answers."""
    return f"{BEST_OF}{answers}"


def write_scorecard(run: Run, card: Mapping[str, Any]) -> None:
    """scorecard.json, and by_fact.json for comparisons over several seeds."""
    atomic_write_json(run.scorecard_path, {key: value for key, value in card.items() if key != "by_fact"})
    atomic_write_text(run.by_fact_path, json.dumps(card["by_fact"], ensure_ascii=False, separators=(",", ":")) + "\n")


def _stage(graded: Groups, stage: str, exam: Mapping[str, Case], draws: int) -> dict[str, Any]:
    greedy, sampled = select(graded, stage, "greedy"), select(graded, stage, "sample")
    items = [g.item for g in greedy]
    by_split = {split: [item for item in items if item.split == split] for split in SPLITS}
    return {
        "headline": headline(items, [g.item for g in sampled], draws),
        "splits": {split: measure_all(own, draws) for split, own in by_split.items() if own},
        "extra": extra(greedy, select(graded, stage, "closed_book"), draws)
        | {"cap_binding_share": _cap_binding(exam, greedy)},
        "misses": misses(greedy, exam)[:MISSES],
    }


def _cap_binding(exam: Mapping[str, Case], greedy: Sequence[Graded]) -> float | None:
    """Share of headline dose items in which the cap decides, not the weight (at least a quarter is asked for)."""
    doses = [exam[g.item.case_id].gold.dose for g in greedy if g.item.split in SEEN and g.item.dose_right is not None]
    return sum(dose is not None and dose.cap_binding for dose in doses) / len(doses) if doses else None


def _baselines(
    exam: Mapping[str, Case],
    graded: Groups,
    names: Names,
    stops: StopsFor | None,
    train: Sequence[Dialogue],
    draws: int,
) -> dict[str, Any]:
    out: dict[str, Any] = {}
    asked = {key: case for key, case in exam.items() if case.split in (*SEEN, *UNKNOWN)}
    for name, answers in baseline_answers(asked, train).items():
        rows = [{"case_id": case, "stage": name, "text": text} for case, text in answers.items()]
        out[name] = _baseline(grade_answers(exam, rows, names, stops), draws)
    if untrained := select(graded, UNTRAINED, "greedy"):
        out["untrained model"] = _baseline(untrained, draws)
    if "the judge itself" in out:
        out["the judge itself"]["note"] = "100 % by construction: the judge wrote the gold answers"
    return out


def _chosen(graded: Groups, names: Sequence[str], draws: int) -> dict[str, Any]:
    """What the reward models chose among SFT's answers: they are sampled, so usefulness is what they can show."""
    out: dict[str, Any] = {}
    for name in names:
        items = [g.item for g in select(graded, name, "sample")]
        out[name] = {"headline": {"usefulness": as_json(usefulness(items, draws))}, "extra": {}, "note": CHOSEN}
    return out


def _baseline(greedy: Sequence[Graded], draws: int) -> dict[str, Any]:
    items = [g.item for g in greedy]
    every = extra(greedy, (), draws)
    kept = {name: every[name] for name in ("unsafe_reassurance", "critical_dose_errors", "verdict_accuracy")}
    return {"headline": headline(items, items, draws), "extra": kept}


# Comparisons ----------------------------------------------------------------------------------------------------------


def comparisons(
    graded: Groups, stages: Sequence[str], draws: int = BOOTSTRAP, compared: Sequence[tuple[str, str]] = COMPARED
) -> list[dict[str, Any]]:
    """Stages on the same items, measure by measure: difference = a - b, p adjusted (Holm) over the whole list."""
    out: list[dict[str, Any]] = []
    tests: list[Paired] = []
    for a, b in compared:
        if a not in stages or b not in stages:
            continue
        for name in (*MEASURES, "usefulness", "usefulness_greedy"):
            paired = _paired(graded, a, b, name, draws)
            if isinstance(paired, Undefined):
                continue
            tests.append(paired)
            unit = "share" if name in MEASURES else "points of 10"
            out.append(
                {
                    "a": a, "b": b, "measure": name, "difference": paired.difference, "low": paired.low,
                    "high": paired.high, "p_holm": None, "unit": unit, "p_mcnemar": paired.p_mcnemar,
                    "p_sign_flip": paired.p_sign_flip, "n": paired.n, "facts": paired.facts, "a_only": paired.a_only,
                    "b_only": paired.b_only,
                }
            )  # fmt: skip
    for row, p in zip(out, holm([test.p for test in tests]), strict=True):
        row["p_holm"] = p
    return out


def _paired(graded: Groups, a: str, b: str, name: str, draws: int) -> Paired | Undefined:
    mode = "sample" if name == "usefulness" else "greedy"
    first, second = (_values(graded, stage, name, mode) for stage in (a, b))
    shared = sorted(first.keys() & second.keys())
    return compare_paired(
        [first[case][0] for case in shared],
        [second[case][0] for case in shared],
        [first[case][1] for case in shared],
        binary=name in MEASURES,
        draws=draws,
    )


def by_fact(graded: Groups, compared: Sequence[tuple[str, str]], stages: Sequence[str]) -> dict[str, Any]:
    """What comparisons over seeds are made of: for each "a-b" and measure, a fact's mean difference on shared items.

    {"facts": [fact, ...], "differences": {"ppo-sft": {"usefulness": [0.5, null, ...]}}}: null where nothing was asked.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for a, b in compared:
        if a not in stages or b not in stages:
            continue
        for name in (*MEASURES, "usefulness", "usefulness_greedy"):
            mode = "sample" if name == "usefulness" else "greedy"
            first, second = (_values(graded, stage, name, mode) for stage in (a, b))
            sums: dict[str, list[float]] = {}
            for case in sorted(first.keys() & second.keys()):
                sums.setdefault(first[case][1], []).append(first[case][0] - second[case][0])
            if sums:
                found.setdefault(f"{a}-{b}", {})[name] = {fact: sum(d) / len(d) for fact, d in sums.items()}
    facts = sorted({fact for measures in found.values() for values in measures.values() for fact in values})
    return {
        "facts": facts,
        "differences": {
            pair: {
                name: [_short(values[fact]) if fact in values else None for fact in facts]
                for name, values in measures.items()
            }
            for pair, measures in found.items()
        },
    }


def _short(value: float) -> float:
    """Four places, and a whole number without any: there are thousands of them."""
    return round(value) if value == round(value) else round(value, 4)


def _values(graded: Groups, stage: str, name: str, mode: Any) -> dict[str, tuple[float, str]]:
    """case -> (value, fact) of a measure over its headline splits; several samples count as their mean."""
    splits = MEASURES[name].splits if name in MEASURES else SEEN
    found: dict[str, tuple[list[float], str]] = {}
    for g in select(graded, stage, mode, splits):
        value = _value(g.item, name)
        if value is not None:
            found.setdefault(g.item.case_id, ([], g.item.fact_id))[0].append(value)
    return {case: (sum(values) / len(values), fact) for case, (values, fact) in found.items()}


def _value(item: ItemScore, name: str) -> float | None:
    if name in MEASURES:
        met = MEASURES[name].of(item)
        return None if met is None else float(met)
    return None if item.accurate is None else item.usefulness


# What a reader wants first --------------------------------------------------------------------------------------------


def misses(greedy: Sequence[Graded], exam: Mapping[str, Case]) -> list[dict[str, Any]]:
    """Wrong answers, worst first: unsafe reassurance, critical dose, missed stop, invented answer, the rest."""
    wrong = [g for g in greedy if not g.item.right and g.item.split != "dev"]
    wrong.sort(key=lambda g: (_severity(g), g.item.split, g.item.case_id))
    return [
        {
            "why": _WHY[_severity(g)], "split": g.item.split, "case_id": g.item.case_id,
            "question": exam[g.item.case_id].question, "answer": g.text, "predicted": g.item.predicted,
            "gold": g.item.gold, "gold_answer": exam[g.item.case_id].answer, "contradicted": list(g.item.contradicted),
        }
        for g in wrong
    ]  # fmt: skip


_WHY = (
    "unsafe reassurance: called acceptable where the judge stops it",
    "critical dose error",
    "a stop was missed",
    "an answer where nobody can know",
    "two verdicts, or none",
    "wrong verdict",
    "right verdict, wrong or missing claim",
)


def _severity(g: Graded) -> int:
    item = g.item
    checks = (
        bool(item.reassured), bool(item.dose_critical), item.safe is False and not item.unreadable,
        item.humble is False and not item.unreadable and not item.abstained, item.unreadable, not item.verdict_right,
        True,
    )  # fmt: skip
    return checks.index(True)


def best_stage(card: Mapping[str, Any]) -> str | None:
    """The most useful stage on the development split (without one: on S0) of those about as accurate as the most accurate.

    Completeness that was bought with wrong answers is no reason to choose a stage. Later stages win ties.
    """
    found = {stage: _on_development(card["stages"][stage]) for stage in STAGES if stage in card["stages"]}
    most = max((accuracy for accuracy, _ in found.values()), default=0.0)
    near = {stage: useful for stage, (accuracy, useful) in found.items() if accuracy >= most - ABOUT}
    return max(reversed(near), key=near.__getitem__, default=None)


def _on_development(block: Mapping[str, Any]) -> tuple[float, float]:
    """(accuracy, usefulness), each -1 where nothing was asked."""
    splits = block.get("splits", {})
    cells: Mapping[str, Any] = next(
        (splits[name] for name in ("dev", "S0") if splits.get(name, {}).get("usefulness")), {}
    )
    accuracy, useful = ((cells.get(name) or {}).get("value") for name in ("accuracy", "usefulness"))
    return (-1.0 if accuracy is None else float(accuracy)), (-1.0 if useful is None else float(useful))


def table(card: Mapping[str, Any]) -> list[list[str]]:
    """Rows for the terminal, the header first: stage, measure, value, 95 % interval, n, facts, target, verdict."""
    rows = [["stage", "measure", "value", "95 % interval", "n", "facts", "target", "verdict"]]
    for stage, block in card["stages"].items():
        for name, cell in block["headline"].items():
            percent = name != "usefulness"
            target = _number(cell["target"], True) if percent else ""
            ends = [_number(cell[end], percent) for end in ("low", "high")]
            interval = "" if cell["value"] is None else " to ".join(ends)
            rows.append(
                [stage, name, _number(cell["value"], percent), interval, str(cell["n"]), str(cell["facts"]), target,
                 cell.get("verdict", "")]
            )  # fmt: skip
    return rows


def _number(value: float | None, percent: bool) -> str:
    if value is None:
        return "none"
    return f"{100 * value:.1f} %" if percent else f"{value:.2f}"
