"""scorecard.json and the reward model's held-out figures -> frozen data.

The shape is the one that `posology evaluate` documents; keys that are not known here are kept as text and shown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from posology.report.numbers import Number
from posology.report.view import (
    ANSWERING,
    HEADLINE,
    Card,
    Comparison,
    Gate,
    Measure,
    Miss,
    Probe,
    RewardView,
    StageMarks,
)
from posology.text.spans import render, worked

# Limits where the file names none: (limit, it is a ceiling).
GATES = {
    "minimal_pairs": (0.90, False),
    "youden_j": (0.90, False),
    "over_abstention": (0.05, True),
    "total_variation": (0.10, True),
    "unreadable": (0.02, True),
}
OF_REWARD = {"by_corruption", "probes", "calibration"}  # shown with the reward models, from their own file
KNOWN = {"run", "seed", "note", "stages", "reward", "baselines", "comparisons", "misses", "best_stage", "reader"}


def read_card(raw: Mapping[str, Any], file: str, plain: Callable[[object], str]) -> Card:
    stages = _mapping(raw.get("stages"))
    names = [*(name for name in ANSWERING if name in stages), *(name for name in stages if name not in ANSWERING)]
    baselines = _mapping(raw.get("baselines"))
    reward = _mapping(raw.get("reward"))
    return Card(
        file=file,
        stages=tuple(_stage(name, _mapping(stages[name]), file) for name in names),
        reward=_measures({name: reward[name] for name in reward if name not in OF_REWARD}, file, "reward"),
        baselines=tuple((plain(name), _baseline(name, _mapping(marks), file)) for name, marks in baselines.items()),
        comparisons=_comparisons(raw.get("comparisons"), file, plain),
        misses=_all_misses(raw, stages, file, plain),
        reader=_measures(_mapping(raw.get("reader")), file, "reader"),
        best_stage=plain(raw.get("best_stage") or ""),
        other=tuple((plain(key), plain(_short(value))) for key, value in raw.items() if key not in KNOWN),
    )


def read_reward(heldout: Mapping[str, Any], file: str, ensemble: Mapping[str, Any], ensemble_file: str) -> RewardView:
    return RewardView(
        heldout_facts=measure("heldout_facts", heldout.get("heldout_facts"), file, "heldout_facts"),
        heldout_wordings=measure("heldout_wordings", heldout.get("heldout_wordings"), file, "heldout_wordings"),
        length_ruler=measure("length_ruler", heldout.get("length_ruler"), file, "length_ruler"),
        by_corruption=_measures(_mapping(heldout.get("by_corruption")), file, "by_corruption"),
        probes=tuple(_probe(name, _mapping(raw), file) for name, raw in _mapping(heldout.get("probes")).items()),
        reliability=_reliability(_mapping(heldout.get("calibration")).get("curve")),
        reliability_source=_ece(_mapping(heldout.get("calibration")).get("ece"), file),
        file=file,
        correlation=_correlation(ensemble.get("correlation"), ensemble_file),
        reference_answers=number(ensemble.get("reference_answers"), ensemble_file, "reference_answers"),
        aggregate=str(ensemble.get("aggregate", "")),
    )


def _probe(name: str, raw: Mapping[str, Any], file: str) -> Probe:
    key = f"probes.{name}"
    gap, limit = number(raw.get("gap_sd"), file, f"{key}.gap_sd"), finite(raw.get("limit"))
    wins = measure(name, raw, file, key) if gap is None else None
    passed = raw.get("passed")
    shift = number(raw.get("shift_sd"), file, f"{key}.shift_sd")
    return Probe(name, wins, gap, shift, limit, finite(raw.get("n")), passed if isinstance(passed, bool) else None)


def _reliability(raw: object) -> tuple[tuple[float, float], ...]:
    rows = [_mapping(row) for row in (raw if isinstance(raw, list) else [])]
    points = ((finite(row.get("confidence")), finite(row.get("accuracy"))) for row in rows)
    return tuple((x, y) for x, y in points if x is not None and y is not None)


def _ece(raw: object, file: str) -> Number | None:
    found = measure("ece", raw, file, "calibration.ece")
    return found.number if found else None


def measure(name: str, raw: object, file: str, key: str) -> Measure | None:
    """A plain number, or {"value", "low", "high", "k", "n", "facts", "target", "verdict", "gates"}; None for neither.

    A value that is null stays a measure: it was asked for, and has no answer.
    """
    if (bare := finite(raw)) is not None:
        return Measure(name, bare, file, key)
    given = _mapping(raw)
    value, k, n = (finite(given.get(part)) for part in ("value", "k", "n"))
    if value is None and k is not None and n:
        value = k / n
    if value is None and "value" not in given:
        return None
    gates = _mapping(given.get("gates"))
    low, high, facts, target = (finite(given.get(part)) for part in ("low", "high", "facts", "target"))
    verdict, undefined = (str(given.get(part) or "") for part in ("verdict", "undefined"))
    return Measure(
        name, value, file, key, low, high, k, n, facts, target, verdict,
        tuple(_gate(gate, found, file, f"{key}.gates.{gate}") for gate, found in gates.items()), undefined,
    )  # fmt: skip


def _measures(raw: Mapping[str, Any], file: str, key: str) -> tuple[Measure, ...]:
    """Every entry that is a measure, in the file's order."""
    found = (measure(name, value, file, f"{key}.{name}") for name, value in raw.items())
    return tuple(entry for entry in found if entry is not None)


def _gate(name: str, raw: object, file: str, key: str) -> Gate:
    """A gate's own limit and finding where the file gives them; DOMAIN.md's limit otherwise."""
    given = _mapping(raw)
    value = finite(given.get("value")) if given else finite(raw)
    limit, at_most = GATES.get(name, (None, False))
    at_most = {"<=": True, ">=": False}.get(str(given.get("side")), at_most)
    for part in ("limit", "target", "threshold", "min", "max"):
        if (stated := finite(given.get(part))) is not None:
            limit, at_most = stated, at_most or part == "max"
    passed = raw if isinstance(raw, bool) else next((given[p] for p in ("passed", "ok", "met") if p in given), None)
    if not isinstance(passed, bool):
        passed = None if value is None or limit is None else (value <= limit if at_most else value >= limit)
    return Gate(name, passed, None if value is None else Number(value, file, key), limit, at_most)


def _stage(name: str, raw: Mapping[str, Any], file: str) -> StageMarks:
    key = f"stages.{name}"
    headline, extra = _mapping(raw.get("headline")), _mapping(raw.get("extra"))
    order = [*(m for m in HEADLINE if m in headline), *(m for m in headline if m not in HEADLINE)]
    splits = []
    for split, marks in sorted(_mapping(raw.get("splits")).items()):
        whole = measure("", marks, file, f"{key}.splits.{split}")
        found = (whole,) if whole else _measures(_mapping(marks), file, f"{key}.splits.{split}")
        splits.append((split, found))
    return StageMarks(
        name,
        _measures({m: headline[m] for m in order}, file, f"{key}.headline"),
        tuple((split, found) for split, found in splits if found),
        _measures(_nested({k: v for k, v in extra.items() if k != "confusion"}), file, f"{key}.extra"),
        _confusion(_mapping(extra.get("confusion")), file, f"{key}.extra.confusion"),
    )


def _confusion(raw: Mapping[str, Any], file: str, key: str) -> tuple[tuple[str, Mapping[str, Number]], ...]:
    rows = []
    for gold, row in raw.items():
        cells = ((said, number(value, file, f"{key}.{gold}.{said}")) for said, value in _mapping(row).items())
        rows.append((gold, {said: number for said, number in cells if number is not None}))
    return tuple(rows)


def _baseline(name: str, raw: Mapping[str, Any], file: str) -> tuple[Measure, ...]:
    """Its headline measures; they stand under "headline", or alone."""
    if "headline" in raw:
        return _measures(_mapping(raw["headline"]), file, f"baselines.{name}.headline")
    return _measures(raw, file, f"baselines.{name}")


def _nested(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Groups inside `extra` laid flat: {"probe": {"upper_case": {...}}} -> {"probe.upper_case": {...}}."""
    flat: dict[str, Any] = {}
    for name, value in raw.items():
        given = _mapping(value)
        if given and "value" not in given and "k" not in given:
            flat |= {f"{name}.{part}": inner for part, inner in _nested(given).items()}
        else:
            flat[name] = value
    return flat


def _comparisons(raw: object, file: str, plain: Callable[[object], str]) -> tuple[Comparison, ...]:
    found = []
    for i, row in enumerate(raw if isinstance(raw, list) else []):
        difference = number(_mapping(row).get("difference"), file, f"comparisons[{i}].difference")
        if difference is not None:
            low, high, p = (finite(row.get(part)) for part in ("low", "high", "p_holm"))
            a, b, name, unit = (plain(row.get(part) or "") for part in ("a", "b", "measure", "unit"))
            found.append(Comparison(a, b, name, difference, low, high, p, unit, finite(row.get("n"))))
    return tuple(found)


def _all_misses(
    raw: Mapping[str, Any], stages: Mapping[str, Any], file: str, plain: Callable[[object], str]
) -> tuple[Miss, ...]:
    """The card's list and each stage's own, every answer once."""
    found = _misses(raw.get("misses"), "", file, "misses", plain)
    for name, marks in stages.items():
        found += _misses(_mapping(marks).get("misses"), name, file, f"stages.{name}.misses", plain)
    once = {(miss.stage, miss.case_id, miss.question): miss for miss in reversed(found)}
    return tuple(miss for miss in found if once[miss.stage, miss.case_id, miss.question] is miss)


def _misses(raw: object, stage: str, file: str, key: str, plain: Callable[[object], str]) -> list[Miss]:
    found = []
    for i, row in enumerate(raw if isinstance(raw, list) else []):
        given = _mapping(row)
        parts = {part: _said(given.get(part)) for part in ("stage", "case_id", "question", "answer", "kind", "why")}
        parts["stage"] = parts["stage"] or stage
        parts["kind"] = parts["kind"] or _said(given.get("split"))
        parts["gold"] = _said(given.get("gold_answer")) or _said(given.get("gold"))
        parts["working"] = "; ".join(worked(parts["answer"]))
        parts |= {part: render(parts[part]) for part in ("answer", "gold")}
        wrong = "; ".join(_said(part) for part in given.get("contradicted") or ())
        parts["why"] = f"{parts['why']}: {wrong}" if wrong and wrong not in parts["why"] else parts["why"]
        shown = {part: plain(text) for part, text in parts.items()}
        found.append(Miss(**shown, file=file, key=f"{key}[{i}]"))
    return found


def _said(value: object) -> str:
    """A text, or what a structured gold says."""
    given = _mapping(value)
    if given:
        return str(given.get("answer") or given.get("verdict") or _short(given))
    return "" if value is None else _short(value)


def _correlation(raw: object, file: str) -> tuple[Number, ...]:
    rows = raw if isinstance(raw, list) else []
    pairs = [(i, j) for i, row in enumerate(rows) if isinstance(row, list) for j in range(i + 1, len(row))]
    found = (number(rows[i][j], file, f"correlation[{i}][{j}]") for i, j in pairs)
    return tuple(number for number in found if number is not None)


def _mapping(raw: object) -> Mapping[str, Any]:
    return raw if isinstance(raw, dict) else {}


def finite(raw: object) -> float | None:
    """A number that is one: JSON as Python reads it may hold NaN."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        return None
    return float(raw)


def number(raw: object, file: str, key: str) -> Number | None:
    value = finite(raw)
    return None if value is None else Number(value, file, key)


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
