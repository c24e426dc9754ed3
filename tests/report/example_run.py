"""A run directory as a finished laptop run leaves it, with made-up figures: small, but with every file and every shape."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posology.config import dump_config, load_config
from posology.files import atomic_write_json, atomic_write_text, write_jsonl
from posology.runs import Run, Stage, open_run
from posology.seeds import stream
from posology.text.tokenizer import save_tokenizer, train_tokenizer

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "laptop.yaml"
ALL = ("tokenizer", "pretrain", "sft", "reward", "ppo", "dpo")
METFORMIN = "Can my patient take metformin with an eGFR of 28?"
HOSTILE = "<script>alert('x')</script> & <b onclick=steal()>bold</b> \x1b[31mred\u202e"


def make_run(root: Path, stages: tuple[str, ...] = ALL, *, graded: bool = True, doctor: bool = True) -> Run:
    """A run that has finished `stages`."""
    run = open_run(root, "example", create=True)
    atomic_write_text(run.config_path, dump_config(load_config(CONFIG)))
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
        status="finished" if graded else "running", seed=0, machine=run.machine() | {"cores": 2},
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
        "heldout_facts": _share(341, 384, facts=61),
        "heldout_wordings": _share(902, 941, facts=402),
        "length_ruler": _share(478, 941),
        "by_corruption": {kind: _share(30 + 2 * i, 48) for i, kind in enumerate(kinds)},
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
                "score": 0.02 + 0.07 * rollout, "reward": 0.05 * rollout, "kl": max(kl, 0.0), "kl_k1": kl + 0.4 * (stream(1, "k", rollout).random() - 0.6),
                "kl_k2": kl * 1.1, "kl_k3": kl * 0.96, "beta": beta, "entropy": 0.31 - 0.006 * rollout, "length": 31.0 + rollout,
                "end_rate": 0.985, "distinct_2": 0.2, "repeated_4": 0.01, "disagreement": 0.3,
                "explained_variance": 0.7 * (1 - math.exp(-rollout / 3)), "sampler_mismatch": 0.003,
            })  # fmt: skip
        beta *= 1 + 0.2 * max(-0.2, min(0.2, kl / 3 - 1)) * 4
        if rollout % 5 == 4 or rollout in (0, 15):
            reward, gold = -0.05 + 0.07 * rollout, 6.1 + 0.09 * rollout
            stage.log(
                4 * rollout + 4, "heldout", {"reward": reward, "gold": gold, "kl": kl, "length": 33.0, "end_rate": 0.99}
            )
    stage.note(forced=False, reward_accuracy=_share(341, 384))


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


# -- the scorecard ----------------------------------------------------------------------------------------------------


def _share(k: int, n: int, facts: int = 120, **more: Any) -> dict[str, Any]:
    """A share with Wilson's interval, as the scorecard writes it."""
    z, p = 1.959964, k / n
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return {"k": k, "n": n, "facts": facts, "value": p, "low": min(low, p), "high": max(high, p), **more}


TARGETS = {"accuracy": 0.95, "safety": 1.0, "specificity": 0.95, "dose": 0.98, "humility": 1.0}
SIZES = {"accuracy": 2412, "safety": 1104, "specificity": 1308, "dose": 1040, "humility": 700}
RIGHT = {
    "pretrain": {"accuracy": 0.031, "safety": 0.11, "specificity": 0.21, "dose": 0.0, "humility": 0.004},
    "sft": {"accuracy": 0.861, "safety": 0.957, "specificity": 0.914, "dose": 0.908, "humility": 0.913},
    "dpo": {"accuracy": 0.868, "safety": 0.962, "specificity": 0.921, "dose": 0.911, "humility": 0.907},
    "ppo": {"accuracy": 0.874, "safety": 0.969, "specificity": 0.967, "dose": 0.992, "humility": 0.921},
}
USEFUL = {"pretrain": 0.2, "sft": 6.12, "dpo": 6.94, "ppo": 7.31}


def _gates(names: tuple[str, ...]) -> dict[str, Any]:
    every = {
        "minimal_pairs": {"value": 0.871, "side": ">=", "limit": 0.9, "passed": False, "meaning": "both twins right"},
        "youden_j": {"value": 0.936, "side": ">=", "limit": 0.9, "passed": True, "meaning": "safety + specificity - 1"},
        "over_abstention": {"value": 0.021, "side": "<=", "limit": 0.05, "passed": True, "meaning": "abstained"},
        "total_variation": {"value": 0.034, "side": "<=", "limit": 0.1, "passed": True, "meaning": "distance"},
        "unreadable": {"value": 0.003, "side": "<=", "limit": 0.02, "passed": True, "meaning": "no verdict"},
    }
    return {name: every[name] for name in names}


def _verdict(cell: Mapping[str, Any], target: float) -> str:
    return "PASS" if cell["low"] >= target else "FAIL" if cell["high"] < target else "NOT DEMONSTRATED"


def _stage_card(name: str) -> dict[str, Any]:
    headline = {}
    for measure, target in TARGETS.items():
        cell = _share(round(RIGHT[name][measure] * SIZES[measure]), SIZES[measure], facts=318)
        own = (
            ("minimal_pairs", "youden_j")
            if measure in ("safety", "specificity")
            else ("over_abstention",)
            if measure == "humility"
            else ()
        )
        headline[measure] = cell | {
            "target": target,
            "verdict": _verdict(cell, target),
            "gates": _gates((*own, "total_variation", "unreadable")),
        }
    useful = USEFUL[name]
    headline["usefulness"] = {
        "n": 240,
        "facts": 118,
        "value": useful,
        "low": max(0, useful - 0.21),
        "high": useful + 0.2,
    }
    splits = {split: {"accuracy": _share(round(160 * RIGHT[name]["accuracy"]), 200), "usefulness": {"n": 200, "facts": 80, "value": useful, "low": useful - 0.2, "high": useful + 0.2}}
              for split in ("S0", "S1", "S2", "S3", "S7", "S8", "dev")}  # fmt: skip
    splits |= {split: {"humility": _share(round(200 * RIGHT[name]["humility"]), 200)} for split in ("S4", "S5", "S6")}
    extra = {
        "unsafe_reassurance": _share(0 if name == "ppo" else 9, 1104),
        "critical_dose_errors": _share(4, 1040),
        "dose_closed_book": _share(612, 1040),
        "usefulness_greedy": {"n": 2412, "facts": 318, "value": useful + 0.1, "low": useful, "high": useful + 0.2},
        "claims": {"stated": 6120, "unverifiable": 41, "contradicted": 260},
        "confusion": {
            "CONTRAINDICATED": {"CONTRAINDICATED": 512, "AVOID": 8},
            "OK": {"OK": 610, "CAUTION": 12, "NONE": 1},
        },
        "calibration": {
            "n": 3112,
            "ece": 0.041,
            "brier": 0.066,
            "risk_coverage": {"coverage": [0.5, 1.0], "risk": [0.01, 0.1]},
        },
        "probability": {"value": None, "n": 0, "undefined": "no items"},
    }
    return {"headline": headline, "splits": splits, "extra": extra, "misses": MISSES[name]}


def _miss(why: str, question: str, answer: str, gold: str, number: int) -> dict[str, Any]:
    return {"why": why, "split": "S2", "case_id": f"{number:016x}", "question": question, "answer": answer, "predicted": "OK",
            "gold": "CONTRAINDICATED", "gold_answer": gold, "contradicted": ["the dose"] if "dose" in why else []}  # fmt: skip


MISSES: dict[str, list[dict[str, Any]]] = {
    "pretrain": [_miss("two verdicts, or none", METFORMIN, "below 30. Metformin below 30. Metformin is", "Metformin is contraindicated.", 1)],
    "sft": [_miss("unsafe reassurance: called acceptable where the judge stops it", "72-year-old on warfarin asks for ketorolac for back pain: fine?",
                  "Ketorolac is acceptable. Monitor INR.", "Ketorolac is contraindicated. Reason: additive bleeding.", 2)],
    "dpo": [_miss("wrong verdict", "Spironolactone, potassium 5.9?", HOSTILE, "Spironolactone is contraindicated.", 3)],
    "ppo": [
        _miss("wrong verdict", "Gabapentin with a CrCl of 44?", "Use gabapentin with caution.", "Adjust the dose of gabapentin: 300 mg every 12 h.", 4),
        _miss("critical dose error", "A child of 20 kg with otitis, severe: which amoxicillin dose?",
              "Adjust the dose of amoxicillin: 20 × 45 = 900 mg every 12 h.", "Adjust the dose of amoxicillin: 450 mg every 12 h.", 5),
    ],
}  # fmt: skip


def scorecard() -> dict[str, Any]:
    stages = ("pretrain", "sft", "dpo", "ppo")
    comparisons = [
        {"a": a, "b": b, "measure": measure, "difference": difference, "low": difference - 0.011, "high": difference + 0.011,
         "p_holm": 0.0004 if abs(difference) > 0.05 else 0.31, "unit": unit, "n": 2412}
        for a, b, measure, difference, unit in (
            ("sft", "pretrain", "accuracy", 0.83, "share"), ("dpo", "sft", "accuracy", 0.007, "share"),
            ("ppo", "sft", "accuracy", 0.013, "share"), ("ppo", "sft", "usefulness", 1.19, "points of 10"),
            ("dpo", "sft", "humility", -0.006, "share"),
        )
    ]  # fmt: skip
    none = {name: _share(0, SIZES[name]) for name in TARGETS}
    return {
        "run": "example", "seed": 0, "note": "Not for care of patients.",
        "stages": {name: _stage_card(name) for name in stages},
        "reward": {"heldout_facts": _share(341, 384, 61), "heldout_wordings": _share(902, 941), "length_ruler": _share(478, 941)},
        "baselines": {
            "always CONTRAINDICATED": {"headline": none | {"safety": _share(1104, 1104)}},
            "always abstain": {"headline": none | {"humility": _share(301, 700)}},
            "nearest training question": {"headline": none | {"accuracy": _share(1011, 2412)}},
            "the judge itself": {"headline": {name: _share(n, n) for name, n in SIZES.items()}, "note": "by construction"},
        },
        "comparisons": comparisons, "best_stage": "ppo",
        "reader": {"verdict": _share(312, 314), "claims": _share(401, 412)},
    }  # fmt: skip


def showcase() -> dict[str, Any]:
    def answers(
        base: str, sft: str, dpo: str, ppo: str, rewards: tuple[float, ...] = (-2.31, 0.12, 0.77, 1.18)
    ) -> dict[str, Any]:
        texts = {"pretrain": base, "sft": sft, "dpo": dpo, "ppo": ppo}
        return {
            name: {"text": text, "reward": reward} for (name, text), reward in zip(texts.items(), rewards, strict=True)
        }

    rows = [
        (METFORMIN, "CONTRAINDICATED", "metformin.renal.below-30: the eGFR of 28 is below 30", answers(
            "Metformin is started at 500 mg. Metformin below 45 mL/min", "Metformin is contraindicated. Reason: lactic acidosis from accumulation.",
            "Metformin is contraindicated. The eGFR of 28 is below 30. Reason: lactic acidosis from accumulation.",
            "Metformin is contraindicated. The eGFR of 28 is below 30. Reason: lactic acidosis from accumulation. Instead of metformin: insulin glargine. Monitor kidney function.")),
        ("How to adjust for renal impairment?", "", "", answers(
            "the dose of", "Not covered: no reviewed fact about this medicine.", "Not covered: no reviewed fact about this medicine.", HOSTILE)),
        ("Warfarin + NSAIDs safe?", "AVOID", "warfarin.interaction.nsaid", answers(
            "with warfarin", "Avoid ibuprofen. Reason: additive bleeding.", "Avoid ibuprofen. Deciding: ibuprofen with warfarin. Reason: additive bleeding.",
            "Avoid ibuprofen. Deciding: ibuprofen with warfarin. Reason: additive bleeding. Instead of ibuprofen: acetaminophen. Monitor INR.")),
        ("Metformin in cirrhosis?", "INSUFFICIENT", "the Child-Pugh class is needed", answers(
            "cirrhosis", "Avoid metformin. Deciding: cirrhosis.", "Avoid metformin. Deciding: cirrhosis. Reason: lactic acidosis.", "Avoid metformin. Deciding: cirrhosis.")),
    ]  # fmt: skip
    return {"questions": [{"question": q, "judge": {"verdict": v, "why": why}, "answers": a} for q, v, why, a in rows]}


CHECKS = [
    {"name": "one batch can be memorised", "passed": True, "detail": "loss 4.16 -> 0.021 nats in 80 steps"},
    {"name": "pretraining starts near ln V", "passed": True, "detail": "8.0512 nats, expected 8.0301 ± 0.8"},
    {"name": "KL is held at its target", "passed": False, "detail": "last five rollouts 4.02 nats, target 3.0"},
]
