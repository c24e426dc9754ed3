"""Sit the exam with every finished stage; write answers.jsonl, scorecard.json, leakage.json, showcase.json, doctor.json."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from posology.config import RunConfig
from posology.curriculum import leakage
from posology.curriculum.records import Case
from posology.evaluation.grading import judged_stops
from posology.evaluation.measures import NAMES
from posology.evaluation.reader_figures import reader_figures
from posology.evaluation.reading_text import library_names
from posology.evaluation.scorecard import STAGES, best_of_name, build_scorecard, write_scorecard
from posology.files import atomic_write_json, read_json, sha256_text, write_jsonl
from posology.knowledge.library import load_library
from posology.models.device import device_of, pick_device
from posology.models.llama import language_model
from posology.models.loading import load_language_model
from posology.models.precision import pick_precision
from posology.recipes import answer, doctor
from posology.recipes.best_of import best_of
from posology.recipes.materials import curriculum_of, library_of
from posology.rollout.companion import with_engine
from posology.rollout.sampler import Rollout, sample
from posology.runs import Run
from posology.seeds import seed_of, stream
from posology.text.chat import encode_prompt
from posology.text.tokenizer import Tokenizer, load_tokenizer
from posology.training.progress import Progress

SHOWCASE = (
    "Can my patient take metformin with an eGFR of 28?",
    "Can I give ibuprofen to a patient who takes warfarin?",
    "Is metformin safe in cirrhosis?",
    "Can I give cephalexin to a patient with an immediate penicillin allergy?",
    "Is codeine ok for a CYP2D6 poor metabolizer?",
    "Is warfarin safe with aspirin?",
    "What dose of amoxicillin for severe infection for a 5-year-old child of 20 kg?",
    "Is metformin ok with an eGFR of 52?",
)
UNTRAINED_CASES = 200  # a model with random weights is a baseline; it needs no more to be seen


def grade(config: RunConfig, run: Run, progress: Progress | None = None) -> None:
    """Answers are made again only where a model, the exam or the settings changed."""
    progress = progress or Progress()
    curriculum = curriculum_of(config, run)
    exam = list(curriculum.cases)
    rows: list[dict[str, Any]] = []
    stages = [name for name in STAGES if run.stage(name).final.is_dir()]
    for name in stages:
        rows += _answers(config, run, name, exam, progress)
    rows += _untrained(config, run, exam)
    rows += _best_of(config, run, exam, progress)
    write_jsonl(run.answers_path, rows)
    library = library_of(config)
    heldout = run.stage("reward").final / "heldout.json"
    card = build_scorecard(
        exam, rows, library_names(library), run=run.name, seed=config.seed, stops=judged_stops(library),
        reward=read_json(heldout) if heldout.is_file() else {},
        train=[d for d in curriculum.dialogues if d.split == "train"], draws=config.evaluation.bootstrap,
        reader=reader_figures(library_names(load_library())),
    )  # fmt: skip
    write_scorecard(run, card)
    atomic_write_json(run.leakage_path, leakage.report(curriculum))
    shown = [answer.as_json(comparison) for comparison in answer.compare(run, SHOWCASE, stages)]
    atomic_write_json(run.path / "showcase.json", {"questions": shown})
    checks = doctor.inspect(run, curriculum)
    atomic_write_json(
        run.path / "doctor.json", [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in checks]
    )


def _answers(config: RunConfig, run: Run, name: str, exam: Sequence[Case], progress: Progress) -> list[dict[str, Any]]:
    """One stage's answers: greedy to every case, sampled to some, and without the engine to doses and unknown names.

    They are kept beside the stage with a fingerprint, so that grading again costs nothing.
    """
    stage = run.stage(name)
    settings = config.evaluation.model_dump(exclude={"bootstrap", "budget_s", "best_of", "best_of_prompts"})
    made_of = sha256_text(
        repr((stage.manifest().get("digest"), [case.case_id for case in exam], settings, config.seed))
    )
    kept = stage.path / "answers.json"
    if kept.is_file() and (found := read_json(kept))["made_of"] == made_of:
        return list(found["rows"])
    progress.say(f"{name}: answering {len(exam)} exam questions")
    tokenizer = load_tokenizer(stage.final)
    device = pick_device(config.device)
    model = load_language_model(stage.final, tokenizer=tokenizer.fingerprint, device=device)
    asked = _pretrained_share(exam, config) if name == "pretrain" else list(exam)
    rows = list(_sit(config, name, model, tokenizer, asked, "greedy", 0))
    doses = sorted((case for case in asked if case.gold.dose_required), key=lambda case: case.case_id)
    unknown = sorted((case for case in asked if case.split in NAMES), key=lambda case: case.case_id)
    fewer = [
        case for every in (doses, unknown) for case in every[:: -(-len(every) // config.evaluation.closed_book) or 1]
    ]
    rows += _sit(config, name, model, tokenizer, fewer, "closed_book", 0)
    picked = sampled_cases(asked, config)
    for number in range(config.evaluation.samples):
        rows += _sit(config, name, model, tokenizer, picked, "sample", number)
    atomic_write_json(kept, {"made_of": made_of, "rows": rows})
    return rows


def _best_of(config: RunConfig, run: Run, exam: Sequence[Case], progress: Progress) -> list[dict[str, Any]]:
    """The baseline that PPO must beat, kept beside PPO's own answers; [] without PPO, or where it is not asked for."""
    stage, settings = run.stage("ppo"), config.evaluation
    if not stage.final.is_dir() or not settings.best_of_prompts:
        return []
    cases = sampled_cases(exam, config)[: settings.best_of_prompts]
    about = (stage.manifest().get("parents"), settings.best_of, settings.max_new_tokens, config.ppo.no_stop_penalty)
    made_of = sha256_text(repr((about, config.seed, [case.case_id for case in cases])))
    kept = stage.path / "best_of.json"
    if kept.is_file() and (found := read_json(kept))["made_of"] == made_of:
        return list(found["rows"])
    progress.say(f"best of {settings.best_of}: answering {len(cases)} exam questions")
    rows = best_of(config, run, cases, best_of_name(settings.best_of))
    atomic_write_json(kept, {"made_of": made_of, "rows": rows})
    return rows


def _sit(
    config: RunConfig, name: str, model: Any, tokenizer: Tokenizer, cases: Sequence[Case], mode: str, number: int
) -> Iterator[dict[str, Any]]:
    rollout = _sample(config, model, tokenizer, cases, mode, number)
    for case, ids, own, logp, finished in zip(
        cases, rollout.ids, rollout.own, rollout.logprobs, rollout.finished, strict=True
    ):
        yield {
            "case_id": case.case_id, "stage": name, "mode": mode, "sample": number, "text": tokenizer.decode(ids),
            "logprob": sum(value for value, mine in zip(logp, own, strict=True) if mine), "tokens": sum(own),
            "finished": finished, "score": None,
        }  # fmt: skip


def _sample(
    config: RunConfig, model: Any, tokenizer: Tokenizer, cases: Sequence[Case], mode: str, number: int
) -> Rollout:
    settings = config.evaluation
    return sample(
        model, [encode_prompt(tokenizer, case.question) for case in cases], pad=tokenizer.pad, end=tokenizer.end,
        max_new_tokens=settings.max_new_tokens, temperature=1.0 if mode == "sample" else 0.0,
        seed=seed_of(config.seed, "exam", number), rows=settings.rows, precision=pick_precision(device=device_of(model).type),
        companion=None if mode == "closed_book" else with_engine(tokenizer),
    )  # fmt: skip


def sampled_cases(cases: Sequence[Case], config: RunConfig) -> list[Case]:
    """Headline questions that have an answer, spread over facts: on them usefulness is compared by sampling."""
    pool = sorted(
        (c for c in cases if c.split in ("S1", "S2") and c.gold.verdict != "INSUFFICIENT"), key=lambda c: c.case_id
    )
    stream(config.seed, "sampled cases").shuffle(pool)
    turn: dict[str, int] = {}
    ranked = []
    for case in pool:
        turn[case.fact_id] = turn.get(case.fact_id, 0) + 1
        ranked.append((turn[case.fact_id], case))
    return [case for _, case in sorted(ranked, key=lambda pair: pair[0])[: config.evaluation.sampled_prompts]]


def _pretrained_share(exam: Sequence[Case], config: RunConfig) -> list[Case]:
    """A base model answers a fixed share of the exam: it runs on to the last token each time, and learns nothing here."""
    step = max(round(1 / config.evaluation.pretrain_share), 1)
    return sorted(exam, key=lambda case: case.case_id)[::step]


def _untrained(config: RunConfig, run: Run, exam: Sequence[Case]) -> list[dict[str, Any]]:
    tokenizer = load_tokenizer(run.stage("tokenizer").final)
    model = language_model(
        config.model,
        tokenizer.size,
        seed_of(config.seed, "untrained"),
        bos=tokenizer.bos,
        eos=tokenizer.end,
        pad=tokenizer.pad,
    )
    cases = sorted(exam, key=lambda case: case.case_id)[:UNTRAINED_CASES]
    return list(_sit(config, "untrained", model, tokenizer, cases, "greedy", 0))
