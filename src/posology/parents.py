"""Where a stage starts: a stage of its run, another run's, or the folder of a model."""

from __future__ import annotations

from pathlib import Path

from posology.errors import UserError
from posology.files import verify_manifest
from posology.runs import NAIVE, STAGES, Run, Stage

MODEL_FILES = ("config.json", "adapter_config.json", "tokenizer.json", "ensemble.json", "member-0")


def resolve_parent(spec: str, run: Run) -> Path:
    """The folder of results that `spec` names: a stage of `run`, another run's ("runs/x/sft"), or any model's folder.

    UserError for one that is missing, unfinished or damaged; it names the command that makes it.
    """
    if spec in (*STAGES, *NAIVE):
        stage = run.stage(spec)
        _require_whole(stage, f"run {run.name} has no finished stage {spec}", _commands(spec, run))
        return stage.final
    path = Path(spec)
    if path.name == "final" and (path.parent / "manifest.json").is_file():
        path = path.parent
    if path.name in (*STAGES, *NAIVE) and (path / "manifest.json").is_file():
        _require_whole(Stage(path, path.name), f"{path} is not finished", _commands(path.name, Run(path.parent)))
        return path / "final"
    if any((path / name).exists() for name in MODEL_FILES):
        return path
    kinds = "a parent is a stage of this run, a path such as runs/x/sft, or a folder with a model's config.json"
    raise UserError(f"no parent {spec!r}", f"{kinds}; {_commands('sft', run)}")


def _require_whole(stage: Stage, missing: str, hint: str) -> None:
    if stage.manifest().get("status") != "finished":
        raise UserError(missing, hint)
    if problems := verify_manifest(stage.final):
        raise UserError(f"{stage.final} is damaged: {problems[0]}", hint)


def _commands(stage: str, run: Run) -> str:
    config = run.config_path if run.config_path.is_file() else Path("configs/laptop.yaml")
    arguments = f"--config {config} --run {run.name}{' --naive' if stage in NAIVE else ''}"
    stage = stage.removesuffix("-naive")
    whole = f"`posology run {arguments}`"
    return (
        f"make it with {whole}" if stage == "tokenizer" else f"make it with `posology {stage} {arguments}`, or {whole}"
    )
