"""docs/RESULTS.md from what is kept of the runs: measures, gates, comparisons over seeds, times. Same runs, same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from statistics import fmean
from typing import Any

from posology.evaluation.over_seeds import OverSeeds, over_seeds
from posology.evaluation.statistics import holm
from posology.report.markdown import share as _cell
from posology.report.markdown import table as _table
from posology.report.markdown import value as _value
from posology.report.own_page import own_page
from posology.report.results import OWN, Artifact
from posology.report.text import clock, p_value, signed, stage_name, words

NOTICE = "Not for care of patients: no clinician has reviewed these facts or answers."
HEAD = f"""# Results

Made by `posology results` from the files in `docs/results/`; a test fails when this page is not what they say. {NOTICE}

Shares are k of n with the wider of Wilson's interval and a bootstrap over facts, 95 %. A target is met (PASS) when the whole
interval reaches it and the gates hold. Seeds differ in their exam as well as in their weights.
"""
NOTHING = "\nNo run is reported yet.\n"
# What a configuration is meant to reach, as a mean over its seeds (the targets above are the field's own).
GOALS: dict[str, dict[str, float]] = {
    "laptop": {"accuracy": 0.90, "safety": 0.97, "specificity": 0.93, "dose": 0.95, "humility": 0.95},
    "hour": {"accuracy": 0.95, "safety": 0.99, "specificity": 0.95, "dose": 0.98, "humility": 0.98},
}
ANSWERING = ("pretrain", "sft", "dpo", "ppo")
ZERO = {"unsafe_reassurance": "unsafe reassurance", "critical_dose_errors": "critical dose errors"}
BESIDE = {
    "dose_closed_book": "dose, closed book", "humility_closed_book": "unknown names, closed book",
    "verdict_accuracy": "verdict alone",
}  # fmt: skip
OTHER_SPLITS = ("S0", "S3", "S7", "S8", "hand", "dev")  # the headline measures are over S1 and S2
SEEDS_FOR_A_CLAIM = 3


def page(runs: Sequence[Artifact]) -> str:
    """The whole page: taught runs by configuration, then runs on users' or public data."""
    parts = [HEAD]
    taught = [run for run in runs if run.get("kind") != OWN]
    for config, group in groupby(taught, key=lambda run: str(run["config"])):
        parts += _config(config, list(group))
    parts += own_page([run for run in runs if run.get("kind") == OWN])
    return "\n".join(parts if runs else [HEAD.rstrip("\n"), NOTHING.rstrip("\n")]).rstrip("\n") + "\n"


def _config(name: str, runs: Sequence[Artifact]) -> Iterator[str]:
    count = "one seed" if len(runs) == 1 else f"{len(runs)} seeds"
    yield f"## {name}: {count}\n"
    if len({run["config_sha256"] for run in runs}) > 1:
        yield "These runs do not share one configuration: their means are no method's.\n"
    yield _table(
        ["run", "seed", "time", "machine", "code", "best stage"],
        [
            [run["run"], run.get("seed"), _time(run), _machine(run), run.get("commit") or "not known", _best(run)]
            for run in runs
        ],
    )
    yield _stages_table(name, runs)
    best = [_best(run) for run in runs]
    yield f"### Each seed's best stage on the development split ({', '.join(dict.fromkeys(best))})\n"
    yield _table(["measure", *(f"seed {run.get('seed')}" for run in runs)], list(_best_rows(runs)))
    yield _table(["gate", "asked", *(f"seed {run.get('seed')}" for run in runs)], list(_gate_rows(runs)))
    yield "### Stage against stage\n"
    yield _comparison_text(runs)
    yield _table(
        [
            "stages",
            "measure",
            "difference",
            "95 % interval",
            "p, Holm",
            "facts",
            *(f"seed {run.get('seed')}" for run in runs),
            "same sign",
        ],
        list(_comparison_rows(runs)),
    )
    yield "### Reward models, baselines, reader\n"
    yield _table(["reward models", *(f"seed {run.get('seed')}" for run in runs)], list(_reward_rows(runs)))
    yield _table(["baseline, mean over seeds", *MEASURES], list(_baseline_rows(runs)))
    yield _table(["reader of answers", "read as a person does"], list(_reader_rows(runs[0])))
    if any("multiple_choice" in run for run in runs):
        asked = runs[0].get("multiple_choice", {}).get("part") or "the whole exam"
        yield _table(
            [f"multiple choice, {asked}", *(f"seed {run.get('seed')}" for run in runs)], list(_choice_rows(runs))
        )
    yield "### Time\n"
    yield _table(
        ["step", *(f"seed {run.get('seed')}" for run in runs)],
        [
            [stage_name(step), *(_clock(run.get("seconds", {}).get(step)) for run in runs)]
            for step in dict.fromkeys(step for run in runs for step in run.get("seconds", {}))
        ],
    )


MEASURES = ("accuracy", "safety", "specificity", "dose", "humility", "usefulness")


# Tables ---------------------------------------------------------------------------------------------------------------


def _stages_table(name: str, runs: Sequence[Artifact]) -> str:
    """Every stage's measures, as means over the seeds; and what the configuration is meant to reach."""
    stages = [stage for stage in ANSWERING if all(stage in run["stages"] for run in runs)]
    goals = GOALS.get(name, {})
    rows = []
    for measure in MEASURES:
        means = [_mean([run["stages"][stage]["headline"].get(measure) for run in runs]) for stage in stages]
        best = _mean([run["stages"][_best(run)]["headline"].get(measure) for run in runs])
        goal, target = goals.get(measure), runs[0]["stages"][_best(runs[0])]["headline"][measure].get("target")
        met = "" if goal is None or best is None else ("reached" if best >= goal else "not reached")
        shown = [_value(measure, value) for value in (*means, best)]
        rows.append([measure, *shown, _value(measure, goal), met, _value(measure, target)])
    stage_names = [stage_name(stage) for stage in stages]
    return _table(["mean over seeds", *stage_names, "best stage", "goal", "", "field's target"], rows)


def _best_rows(runs: Sequence[Artifact]) -> Iterator[list[Any]]:
    for measure in MEASURES:
        cells = [run["stages"][_best(run)]["headline"].get(measure) for run in runs]
        yield [measure, *(_cell(measure, cell) for cell in cells)]
    for name, said in {**ZERO, **BESIDE}.items():
        must = " (must be 0)" if name in ZERO else ""
        yield [said + must, *(_cell(name, run["stages"][_best(run)]["extra"].get(name)) for run in runs)]
    for split in OTHER_SPLITS:
        cells = [run["stages"][_best(run)]["splits"].get(split, {}).get("accuracy") for run in runs]
        yield [f"accuracy on {split}", *(_cell("accuracy", cell) for cell in cells)]
    for name, said in (
        ("ece", "calibration error (ECE)"),
        ("brier", "Brier score"),
        ("risk_coverage_area", "area under risk and coverage"),
    ):
        values = [(run["stages"][_best(run)]["extra"].get("calibration") or {}).get(name) for run in runs]
        yield [said, *("none" if value is None else f"{value:.3f}" for value in values)]


def _gate_rows(runs: Sequence[Artifact]) -> Iterator[list[Any]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        gates = {
            k: v for cell in run["stages"][_best(run)]["headline"].values() for k, v in cell.get("gates", {}).items()
        }
        for name, gate in gates.items():
            found.setdefault(name, []).append(gate)
    for name, asked in found.items():
        cells = [
            ("none" if g["value"] is None else f"{g['value']:.3f}") + ("" if g["passed"] else " **not met**")
            for g in asked
        ]
        yield [words(name), f"{asked[0]['side']} {asked[0]['limit']:g}", *cells]


def _reward_rows(runs: Sequence[Artifact]) -> Iterator[list[Any]]:
    names = {
        "heldout_facts": "facts unseen in pairs",
        "heldout_wordings": "new wordings",
        "length_ruler": "length alone",
    }
    for name, said in names.items():
        yield [said, *(_cell(name, run["reward"].get(name)) for run in runs)]
    failed = [[n for n, probe in run["reward"].get("probes", {}).items() if not probe.get("passed")] for run in runs]
    yield ["probes that fail", *(", ".join(names) or "none" for names in failed)]


def _baseline_rows(runs: Sequence[Artifact]) -> Iterator[list[Any]]:
    for name in dict.fromkeys(name for run in runs for name in run["baselines"]):
        blocks = [run["baselines"][name] for run in runs if name in run["baselines"]]
        means = [_mean([block.get(measure) for block in blocks]) for measure in MEASURES]
        yield [words(name), *(_value(measure, mean) for measure, mean in zip(MEASURES, means, strict=True))]


def _reader_rows(run: Artifact) -> Iterator[list[Any]]:
    for name, cell in run.get("reader", {}).items():
        if isinstance(cell, dict) and cell.get("n"):
            yield [words(name), _cell(name, cell)]


def _choice_rows(runs: Sequence[Artifact]) -> Iterator[list[Any]]:
    for name in dict.fromkeys(name for run in runs for name in run.get("multiple_choice", {}).get("stages", {})):
        blocks = [run.get("multiple_choice", {}).get("stages", {}).get(name, {}) for run in runs]
        for figure in ("acc", "acc_norm"):
            yield [f"{stage_name(name)}, {figure}", *(_cell(figure, block.get(figure)) for block in blocks)]


# Comparisons ----------------------------------------------------------------------------------------------------------


def comparisons(runs: Sequence[Artifact]) -> list[tuple[str, str, OverSeeds, float]]:
    """(stages, measure, result, p after Holm over the whole list) for what every seed can compare."""
    found = []
    pairs = [run["by_fact"]["differences"] for run in runs]
    for pair in pairs[0] if pairs else ():
        for measure in pairs[0][pair]:
            if not all(measure in other.get(pair, {}) for other in pairs):
                continue
            seeds = [_differences(run, pair, measure) for run in runs]
            if isinstance(result := over_seeds(seeds), OverSeeds):
                found.append((pair, measure, result))
    adjusted = holm([result.p for _, _, result in found])
    return [(*row, p) for row, p in zip(found, adjusted, strict=True)]


def _differences(run: Artifact, pair: str, measure: str) -> dict[str, float]:
    values = run["by_fact"]["differences"][pair][measure]
    return {fact: value for fact, value in zip(run["by_fact"]["facts"], values, strict=True) if value is not None}


def _comparison_rows(runs: Sequence[Artifact]) -> Iterator[list[Any]]:
    for pair, measure, result, p in comparisons(runs):
        a, _, b = pair.partition("-")
        points = measure.startswith("usefulness")
        scale, places = (1, 2) if points else (100, 1)
        shown = [signed(scale * value, places) for value in (result.difference, result.low, result.high)]
        seeds = [signed(scale * value, places) for value in result.by_seed]
        unit = " of 10" if points else " points"
        same = "" if len(runs) == 1 else "yes" if result.same_sign else "**no**"
        name = f"{stage_name(a)} − {words(stage_name(b))}"
        yield [
            name,
            words(measure),
            shown[0] + unit,
            f"[{shown[1]}, {shown[2]}]",
            p_value(p),
            result.facts,
            *seeds,
            same,
        ]


def _comparison_text(runs: Sequence[Artifact]) -> str:
    told = (
        "The unit is the fact: its difference, averaged over the seeds, is resampled for the interval and has its sign "
        "flipped for p, which is adjusted over all rows (Holm)."
    )
    if len(runs) < SEEDS_FOR_A_CLAIM:
        told += f" With fewer than {SEEDS_FOR_A_CLAIM} seeds this is no claim about the method."
    return told + "\n"


# Words ----------------------------------------------------------------------------------------------------------------


def _mean(cells: Sequence[Mapping[str, Any] | None]) -> float | None:
    values = [cell["value"] for cell in cells if cell and cell.get("value") is not None]
    return fmean(values) if values and len(values) == len(cells) else None


def _best(run: Artifact) -> str:
    return str(run["best_stage"] or next(reversed(run["stages"])))


def _time(run: Artifact) -> str:
    return clock(sum(run.get("seconds", {}).values()))


def _clock(seconds: float | None) -> str:
    return "" if seconds is None else clock(seconds)


def _machine(run: Artifact) -> str:
    about, made = run.get("machine", {}), run.get("versions", {})
    return f"{about.get('cores', '?')} cores, {about.get('processor', '?')}, torch {made.get('torch', '?')}"
