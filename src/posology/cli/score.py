"""`posology score`: pairs judged by a model, its reference, a reward model and the length ruler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posology.cli.own import AllowDownload, ChatTemplate, Device, MaxTokens, Pairs
from posology.cli.reading import Column, read_options
from posology.cli.stages import Runs
from posology.cli.summaries import in_percent, p_of
from posology.cli.terminal import NOT_FOR_CARE, console, table
from posology.config import ConfigError
from posology.files import atomic_write_json, write_jsonl
from posology.parents import resolve_parent
from posology.runs import Run, runs_folder

if TYPE_CHECKING:
    from rich.console import Console

ASKED = ("dpo", "ppo", "sft", "pretrain")  # of a run that is given as --model

Model = Annotated[
    str, typer.Option("--model", help="Trained on pairs: a run, a run's stage (runs/x/dpo), or a folder.")
]
Reference = Annotated[str, typer.Option("--reference", help="The model that training on pairs began with.")]
Reward = Annotated[str, typer.Option("--reward", help="A reward stage, such as runs/x/reward.")]
Card = Annotated[
    Path | None,
    typer.Option("--card", help="Write the figures there as JSON: runs/NAME/pairs.json, for posology results."),
]
Output = Annotated[Path | None, typer.Option("--output", help="JSONL of each pair's scores, without text.")]


def score(
    pairs: Pairs, model: Model, reference: Reference = "", reward: Reward = "", runs: Runs = Path("runs"),
    column: Column = None, max_tokens: MaxTokens = 512, chat_template: ChatTemplate = False, device: Device = "auto",
    output: Output = None, card_to: Card = None, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    allow_download: AllowDownload = False,
) -> None:  # fmt: skip
    """How often the better answer of a pair is preferred, by kind of edit. Rows that cannot be scored are counted."""
    if not pairs:
        raise ConfigError("--pairs is empty", "name the file of pairs")
    from posology.evaluation.preferences import judge_pairs
    from posology.recipes.own_materials import find_model
    from posology.recipes.own_score import score_pairs

    here = Run(runs_folder(runs) / "-")
    sources = [
        find_model(spec, here, ASKED, allow_download=allow_download) if spec else None for spec in (model, reference)
    ]
    policy, start = sources
    assert policy is not None
    lines, rows = score_pairs(
        Path(pairs), read_options(column, on_bad_row="skip"), policy, start,
        resolve_parent(reward, here) if reward else None, chat=chat_template, max_tokens=max_tokens, device=device,
    )  # fmt: skip
    if output is not None:
        write_jsonl(output, lines)
    made_by = {"policy": policy.described(), "reference": start.described() if start else None}
    card = {**judge_pairs(lines), "data": rows.manifest(), "models": made_by}
    if card_to is not None:
        atomic_write_json(card_to, card)
    if as_json:
        print(json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False))
        return
    _show(card, console())
    print(NOT_FOR_CARE)


def _show(card: dict[str, Any], out: Console) -> None:
    judges = card["accuracy"]
    edits = list(dict.fromkeys(edit for by in judges.values() for edit in by))
    rows = [[edit, *(_share(by.get(edit)) for by in judges.values())] for edit in edits]
    title = f"The better answer is preferred, in % of {card['pairs']} pairs with 95 % intervals"
    out.print(table(title, ["", *judges], rows, set(range(1, len(judges) + 1))))
    for name, meaning in card["meaning"].items():
        out.print(f"{name}: {meaning}")
    if card["comparisons"]:
        compared = [
            [
                f"{c['first']} - {c['second']}",
                in_percent({**c, "value": c["difference"]}),
                p_of(c["p"]),
                p_of(c["p_holm"]),
            ]
            for c in card["comparisons"]
        ]
        out.print(table("\nPaired, pair by pair", ["", "difference", "p", "Holm"], compared, {1, 2, 3}))


def _share(share: dict[str, Any] | None) -> str:
    return "–" if share is None or share["value"] is None else f"{share['k']}/{share['n']} {in_percent(share)}"
