"""The part of docs/RESULTS.md on runs of other people's data: what each stage did to losses, summaries and preferences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from posology.report.markdown import share, table, value
from posology.report.text import clock, p_value, signed, stage_name

HEAD = """## Real data

Small models on data that are hard for them: the figures show what each stage moves, and not a usable summariser. Rows of
more tokens than a stage reads are left out and counted. Intervals are 95 %; p-values are adjusted over a table (Holm).
"""
# Of a stage's evaluations. DPO's loss is preference and anchor together; its shifts are against the reference, in nats.
FIGURES = ("loss", "preference", "accuracy", "chosen_shift", "rejected_shift")
MEASURES = {
    "precision": "precision of medication tuples", "recall": "recall of the note's drugs", "hallucination": "unsupported tuples",
    "summaries_hallucinating": "summaries with an unsupported tuple", "omission": "drugs left out", "wrong_dose": "wrong dose",
    "other_unsupported": "other unsupported finding or side", "rouge_l": "ROUGE-L",
}  # fmt: skip


def own_page(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A section a run; nothing where there is none."""
    if runs:
        yield HEAD
    for run in runs:
        about = run.get("machine", {})
        yield f"### {run['run']}: seed {run.get('seed')}, {about.get('cores', '?')} cores, {about.get('processor', '?')}\n"
        if run.get("notice"):
            yield f"{run['notice']}\n"
        if "made_pairs" in run:
            yield _made(run["made_pairs"])
        yield table(["stage", "rows", "trained on", "left out", "settings", "time"], list(_stage_rows(run)))
        yield table(["held out", "figure", "before", "after", "kept"], list(_loss_rows(run)))
        if "summaries" in run:
            yield from _summaries(run["summaries"])
        if "pairs" in run:
            yield from _pairs(run["pairs"])


# Stages ---------------------------------------------------------------------------------------------------------------


def _stage_rows(run: Mapping[str, Any]) -> Iterator[list[Any]]:
    for name, stage in run["stages"].items():
        rows, stats, asked = stage["rows"].get("data", {}), stage["stats"], stage["settings"]
        used = next((stats[key] for key in ("examples", "pairs") if key in stats), None)
        left_out = {**rows.get("bad_by_reason", {}), **rows.get("unfit", {}), **stage["pairs"].get("without_pair", {})}
        if rows.get("blank"):
            left_out["blank"] = rows["blank"]
        weights = (
            "all weights" if asked["lora.kind"] == "none" else f"{asked['lora.kind']} of rank {asked['lora.rank']}"
        )
        cut = "by section, " if asked.get("split_sections") else ""
        settings = (
            f"{cut}{weights}, {asked['epochs']} epochs of {asked['batch']} rows at {asked['learning_rate']:g}, "
            f"up to {asked['max_tokens']} tokens"
        )
        told = "; ".join(f"{count:,} {reason}" for reason, count in left_out.items())
        yield [stage_name(name), rows.get("rows"), used, told, settings, _clock(stats.get("seconds"))]


def _made(about: Mapping[str, Any]) -> str:
    """How many rows gave pairs, and what became of the others."""
    kept, held = (sum(about[key].values()) for key in ("pairs", "held_out"))
    aside = "; ".join(f"{count:,} {reason}" for reason, count in about["set_aside"].items())
    return (
        f"Of {about['rows']:,} rows {kept:,} train and {held:,} are held out, by a hash of the row's id and seed "
        f"{about['seed']}. Set aside: {aside or 'none'}.\n"
    )


def _loss_rows(run: Mapping[str, Any]) -> Iterator[list[Any]]:
    """The first evaluation, before any step, and that of the step that is kept (the one with the lowest loss there)."""
    for name, stage in run["stages"].items():
        seen = stage["stats"].get("validation") or []
        if len(seen) < 2:
            continue
        kept = next((one for one in seen if one["step"] == stage["stats"].get("kept_step")), seen[-1])
        for figure in (key for key in seen[0] if key.partition("/")[0] in FIGURES):
            shown = [_number(figure, one.get(figure)) for one in (seen[0], kept)]
            kept_of = f"step {kept['step']} of {seen[-1]['step']}"
            yield [stage_name(name), figure.replace("_", " ").replace("/", ", "), *shown, kept_of]


def _number(figure: str, of: float | None) -> str:
    if of is None:
        return "none"
    return value(figure, of) if figure.startswith("accuracy") else f"{of:.3f} nats"


# Summaries ------------------------------------------------------------------------------------------------------------


def _summaries(card: Mapping[str, Any]) -> Iterator[str]:
    systems = dict(card["systems"])
    if card.get("reference"):
        systems["the notes' own summaries"] = card["reference"]
    counts = [f"{system['notes']:,} and {system['tuples']:,}" for system in systems.values()]
    rows = [["notes, and medication tuples told", *counts]]
    rows.append(["F1 of medication tuples", *(_f1(system.get("f1")) for system in systems.values())])
    for key, told in MEASURES.items():
        rows.append([told, *(share(key, system["measures"].get(key)) for system in systems.values())])
    yield table(["summaries", *systems], rows)
    compared = [
        [f"{row['first']} − {row['second']}", MEASURES.get(row["measure"], row["measure"]), row["n"], *_difference(row)]
        for row in card["comparisons"]
    ]
    failed = [f"{name} {count}" for name, count in card.get("left_out", {}).get("answers", {}).items() if count]
    if failed:
        yield f"Notes that did not fit with room for an answer, not counted: {', '.join(failed)}.\n"
    yield table(["paired, note by note", "measure", "notes", "difference", "95 % interval", "p, Holm"], compared)


def _f1(of: float | None) -> str:
    return "none" if of is None else value("f1", of)


def _difference(row: Mapping[str, Any]) -> list[str]:
    if row.get("difference") is None:
        return ["none", "", ""]
    shown = [signed(100 * row[key], 1) for key in ("difference", "low", "high")]
    return [f"{shown[0]} points", f"[{shown[1]}, {shown[2]}]", p_value(row["p_holm"])]


# Pairs ----------------------------------------------------------------------------------------------------------------


def _pairs(card: Mapping[str, Any]) -> Iterator[str]:
    judges = card["accuracy"]
    edits = list(dict.fromkeys(edit for by in judges.values() for edit in by))
    rows = [[edit, *(share("accuracy", by.get(edit)) for by in judges.values())] for edit in edits]
    yield table(["the better answer preferred", *judges], rows)
    words = "; ".join(f"{name}: {meaning}" for name, meaning in card["meaning"].items())
    yield f"{words}. {card['same_length']} of {card['pairs']} pairs have answers of one length; a tie is no win.\n"
    compared = [[f"{row['first']} − {row['second']}", row["n"], *_difference(row)] for row in card["comparisons"]]
    yield table(["paired, pair by pair", "pairs", "difference", "95 % interval", "p, Holm"], compared)


def _clock(seconds: float | None) -> str:
    return "" if seconds is None else clock(seconds)
