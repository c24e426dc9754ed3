"""A run directory as a finished laptop run leaves it, with made-up figures: small, but with every file and every shape."""

import math
from pathlib import Path

from posology.config import dump_config, validate
from posology.files import atomic_write_json, atomic_write_text, write_jsonl
from posology.provenance import machine
from posology.runs import Run, Stage, open_run
from posology.seeds import stream
from posology.text.tokenizer import save_tokenizer, train_tokenizer

from .example_card import CHECKS, LEAKAGE, METFORMIN, scorecard, share, showcase

FIT = {"steps": 150, "budget_s": 60}
CONFIG = {  # its own, so that tuning a preset changes no test
    "seed": 0,
    "threads": 2,
    "tokenizer": {"vocabulary": 3072},
    "pretrain": {"tokens": 4096, "fit": FIT},
    "sft": {"parent": "pretrain", "tokens": 4096, "fit": FIT},
    "reward": {"parent": "sft", "members": 3, "min_accuracy": 0.75, "fit": FIT},
    "ppo": {"parent": "sft", "rows": 128, "epochs": 2, "minibatches": 2, "kl_target": 3.0, "fit": FIT},
    "dpo": {"parent": "sft", "fit": FIT},
}
ALL = ("tokenizer", "pretrain", "sft", "reward", "ppo", "dpo")


def make_run(root: Path, stages: tuple[str, ...] = ALL, *, graded: bool = True, doctor: bool = True) -> Run:
    """A run that has finished `stages`."""
    run = open_run(root, "example", create=True)
    atomic_write_text(run.config_path, dump_config(validate(CONFIG)))
    spent = {
        "data": 21.4,
        "tokenizer": 3.1,
        "pretrain": 58.2,
        "sft": 204.7,
        "reward": 71.9,
        "ppo": 96.3,
        "dpo": 37.5,
        "grade": 74.0,
    }
    run.update_manifest(
        status="finished" if graded else "running", seed=0, machine=machine() | {"cores": 2},
        seconds={step: s for step, s in spent.items() if step in (*stages, "data") or (graded and step == "grade")},
    )  # fmt: skip
    for name, rows in (("documents", 4210), ("dialogues", 38_400), ("preferences", 6_720), ("cases", 5_240)):
        write_jsonl(run.data_dir / f"{name}.jsonl", ({"row": i} for i in range(rows // 20)))
    makers = {"tokenizer": _tokenizer, "pretrain": _pretrain, "sft": _sft, "reward": _reward, "ppo": _ppo, "dpo": _dpo}
    for name in stages:
        makers[name](run.stage(name))
        _finish(run.stage(name))
    if graded:
        write_jsonl(run.answers_path, ({"case_id": i} for i in range(500)))
        atomic_write_json(run.scorecard_path, scorecard())
        atomic_write_json(run.path / "showcase.json", showcase())
        atomic_write_json(run.leakage_path, LEAKAGE)
    if doctor:
        atomic_write_json(run.path / "doctor.json", CHECKS)
    return run


def _finish(stage: Stage) -> None:
    stage.note(status="finished", fingerprint="ab" * 32, digest="cd" * 32, seconds=12.5)
    rows = [{"name": "the loss starts near where it should", "passed": True, "detail": "8.0312 nats"}]
    atomic_write_json(stage.health_path, {"checks": rows, "step": 5})


def _tokenizer(stage: Stage) -> None:
    texts = [METFORMIN, "Metformin is contraindicated. Reason: lactic acidosis from accumulation."]
    save_tokenizer(train_tokenizer(texts * 20, 320), stage.final)
    stage.note(vocabulary=3072)


def _fall(start: float, end: float, step: int, steps: int, name: str, noise: float = 0.06) -> float:
    """A loss curve: exponential fall with a little deterministic noise."""
    fallen = end + (start - end) * math.exp(-6 * step / steps)
    return fallen * (1 + (stream(0, name, step).random() - 0.5) * 2 * noise * min(1.0, step / 10))


def _pretrain(stage: Stage) -> None:
    for step in range(1, 151):
        stage.log(
            step,
            "train",
            {"loss": _fall(8.05, 1.31, step - 1, 150, "p"), "accuracy": 0.7, "gradient_norm": 1.1, "rate": 1.0},
        )
        if step % 50 == 0:
            stage.log(
                step, "heldout", {"loss": _fall(8.05, 1.46, step, 150, "q", 0), "accuracy": 0.68, "bits_per_byte": 0.61}
            )


def _sft(stage: Stage) -> None:
    for step in range(1, 601):
        stage.log(
            step,
            "train",
            {"loss": _fall(3.4, 0.082, step - 1, 600, "s", 0.15), "accuracy": 0.96, "gradient_norm": 0.8, "rate": 1.0},
        )
        if step % 100 == 0:
            stage.log(step, "heldout", {"loss": _fall(3.4, 0.118, step, 600, "t", 0), "accuracy": 0.955})


def _reward(stage: Stage) -> None:
    for number in range(3):
        member = stage.member(number)
        for step in range(1, 101):
            loss = math.log(2) if step == 1 else _fall(0.69, 0.11 + 0.02 * number, step, 100, f"r{number}", 0.2)
            member.log(step, "train", {"loss": loss, "accuracy": 0.9, "margin": 2.0})
            if step % 50 == 0:
                figures = {
                    "accuracy": 0.84 + 0.01 * number + 0.0005 * step,
                    "loss": _fall(0.69, 0.34, step, 100, "h", 0),
                }
                sets = {f"{key}/heldout_facts": value for key, value in figures.items()}
                member.log(
                    step,
                    "heldout",
                    sets | {"accuracy/heldout_wordings": 0.93 + 0.0004 * step, "loss/heldout_wordings": 0.2},
                )
        _finish(member)
    kinds = (
        "verdict up",
        "verdict down",
        "negated",
        "threshold shifted",
        "dose x10",
        "unit swapped",
        "class sibling",
        "wrong mechanism",
        "terse",
    )
    figures = {
        "heldout_facts": share(341, 384, facts=61),
        "heldout_wordings": share(902, 941, facts=402),
        "length_ruler": share(478, 941),
        "by_corruption": {kind: share(30 + 2 * i, 48) for i, kind in enumerate(kinds)},
        "calibration": {
            "ece": 0.043,
            "curve": [{"confidence": 0.525 + 0.05 * i, "accuracy": 0.48 + 0.052 * i, "n": 40} for i in range(10)],
        },
        "probes": {
            "CONTRAINDICATED in front": {**share(196, 200), "target": 0.95, "passed": True},
            "upper case": {"n": 200, "gap_sd": 0.31, "limit": 0.1, "passed": False},
            "consult a pharmacist instead": {**share(171, 200), "target": 0.95, "passed": False},
        },
        "score_length_spearman": 0.06,
    }
    atomic_write_json(stage.final / "heldout.json", figures)
    correlation = [[1.0, 0.81, 0.78], [0.81, 1.0, 0.84], [0.78, 0.84, 1.0]]
    about = {"mean": [0.1, 0.2, 0.0], "std": [1.1, 1.3, 1.2], "correlation": correlation, "reference_answers": 256,
             "aggregate": "mean_minus_std", "std_weight": 0.5}  # fmt: skip
    atomic_write_json(stage.final / "ensemble.json", about)
    stage.note(pairs={"train": 5120, "dev": 300, "heldout_wordings": 941, "heldout_facts": 384})


def _ppo(stage: Stage) -> None:
    beta = 0.05
    for rollout in range(16):
        kl = 3.1 * (1 - math.exp(-rollout / 5)) + 0.2 * (stream(0, "kl", rollout).random() - 0.5) * (rollout > 0)
        for inner in range(4):
            first = inner == 0
            stage.log(4 * rollout + inner + 1, "train", {
                "loss": 0.02, "policy_loss": -0.01, "value_loss": 0.05, "clipped": 0.0 if first else 0.02 + 0.01 * inner,
                "ratio_deviation": 0.0 if first else 0.03 * inner, "ratio_variance": 0.01, "approximate_kl": 0.002 * inner,
                "score": 0.02 + 0.07 * rollout, "reward": 0.05 * rollout, "kl": max(kl, 0.0),
                "kl_k1": kl + 0.4 * (stream(1, "k", rollout).random() - 0.6), "kl_k2": kl * 1.1, "kl_k3": kl * 0.96,
                "beta": beta, "entropy": 0.31 - 0.006 * rollout, "length": 31.0 + rollout,
                "end_rate": 0.985, "distinct_2": 0.2, "repeated_4": 0.01, "disagreement": 0.3,
                "explained_variance": 0.7 * (1 - math.exp(-rollout / 3)), "sampler_mismatch": 0.003,
            })  # fmt: skip
        beta *= 1 + 0.2 * max(-0.2, min(0.2, kl / 3 - 1)) * 4
        if rollout % 5 == 4 or rollout in (0, 15):
            reward, gold = -0.05 + 0.07 * rollout, 6.1 + 0.09 * rollout
            stage.log(
                4 * rollout + 4, "heldout", {"reward": reward, "gold": gold, "kl": kl, "length": 33.0, "end_rate": 0.99}
            )
    stage.note(forced=False, reward_accuracy=share(341, 384))


def _dpo(stage: Stage) -> None:
    for step in range(1, 81):
        loss = math.log(2) if step == 1 else _fall(0.69, 0.24, step, 80, "d", 0.2)
        figures = {
            "preference": loss,
            "anchor": 0.1,
            "accuracy": 0.9,
            "margin": 0.02 * step,
            "chosen_shift": 0.004 * step,
            "rejected_shift": -0.09 * step,
        }
        stage.log(step, "train", figures | {"loss": loss + 0.02})
        if step % 40 == 0:
            sets = {
                f"{key}/{name}": value
                for name in ("heldout_wordings", "heldout_facts")
                for key, value in figures.items()
            }
            stage.log(step, "heldout", sets)
    stage.note(pairs=5104, dropped_pairs=16)
