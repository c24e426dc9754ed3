"""What a report shows, as frozen values. Every number knows the file and the key that it came from.

A missing value is None, and is shown as missing: never as 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from posology.report.numbers import Number, Rows

ANSWERING = ("pretrain", "sft", "dpo", "ppo")  # stages that write answers, from the plainest to the most aligned
HEADLINE = ("accuracy", "safety", "specificity", "dose", "humility")
VERDICTS = ("FAIL", "NOT DEMONSTRATED", "PASS")


@dataclass(frozen=True)
class Check:
    """One line of a sanity list."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class StageView:
    """One stage's folder. `status` is "finished", "training" (begun, not finished) or "missing"."""

    name: str
    status: str
    train: Rows
    heldout: Rows
    manifest_file: str
    manifest: Mapping[str, object] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    members: tuple[StageView, ...] = ()

    def noted(self, key: str) -> Number | None:
        """A number from the stage's manifest, by its dotted key."""
        value: object = self.manifest
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return Number(float(value), self.manifest_file, key)

    def text(self, key: str) -> str:
        value = self.manifest.get(key)
        return value if isinstance(value, str) else ""

    @property
    def forced(self) -> bool:
        return self.manifest.get("forced") is True

    @property
    def steps(self) -> Number | None:
        """The last training step that was logged."""
        if not self.train.rows:
            return None
        return Number(self.train.rows[-1]["step"], self.train.file, "train: step of the last line")


@dataclass(frozen=True)
class Gate:
    """A condition that a measure must meet to count. `limit` is a floor, or a ceiling where `at_most`."""

    name: str
    passed: bool | None
    value: Number | None
    limit: float | None
    at_most: bool


@dataclass(frozen=True)
class Measure:
    """A share, or a mean, with its interval. Counts are None where the file gives none.

    `value` is None for a statistic that has no answer; `undefined` then says why.
    """

    name: str
    value: float | None
    file: str
    key: str
    low: float | None = None
    high: float | None = None
    k: float | None = None
    n: float | None = None
    facts: float | None = None
    target: float | None = None
    verdict: str = ""
    gates: tuple[Gate, ...] = ()
    undefined: str = ""

    @property
    def number(self) -> Number | None:
        return None if self.value is None else Number(self.value, self.file, self.key)


@dataclass(frozen=True)
class StageMarks:
    """A stage on the scorecard."""

    name: str
    headline: tuple[Measure, ...]  # the five measures, then usefulness
    splits: tuple[tuple[str, tuple[Measure, ...]], ...]
    extra: tuple[Measure, ...]
    confusion: tuple[tuple[str, Mapping[str, Number]], ...]  # gold verdict, predicted verdict -> answers

    def measure(self, name: str) -> Measure | None:
        return next((m for m in (*self.headline, *self.extra) if m.name == name), None)


@dataclass(frozen=True)
class Comparison:
    """Stage `a` against stage `b` on the same items: difference = a - b, with its interval."""

    a: str
    b: str
    measure: str
    difference: Number
    low: float | None
    high: float | None
    p_holm: float | None
    unit: str
    n: float | None


@dataclass(frozen=True)
class Miss:
    """A wrong answer of the exam, as the model wrote it."""

    stage: str
    case_id: str
    question: str
    answer: str
    gold: str
    kind: str
    why: str
    file: str
    key: str
    working: str = ""  # what the model compared before it answered


@dataclass(frozen=True)
class Card:
    """scorecard.json."""

    file: str
    stages: tuple[StageMarks, ...]
    reward: tuple[Measure, ...]
    baselines: tuple[tuple[str, tuple[Measure, ...]], ...]
    comparisons: tuple[Comparison, ...]
    misses: tuple[Miss, ...]
    reader: tuple[Measure, ...]  # the reader of answers, on answers that a person labelled
    best_stage: str
    other: tuple[tuple[str, str], ...]  # whatever else it holds: key, value

    def stage(self, name: str) -> StageMarks | None:
        return next((stage for stage in self.stages if stage.name == name), None)


@dataclass(frozen=True)
class Probe:
    """One way to hack a reward: how often the honest answer wins, or by how much two equal answers differ."""

    name: str
    wins: Measure | None
    gap: Number | None  # sd of the honest answers' scores
    shift: Number | None  # the same with its sign: above 0 the hacked answer scores higher
    limit: float | None
    n: float | None
    passed: bool | None


@dataclass(frozen=True)
class RewardView:
    """What the reward ensemble showed on pairs that it did not learn from."""

    heldout_facts: Measure | None
    heldout_wordings: Measure | None
    length_ruler: Measure | None
    by_corruption: tuple[Measure, ...]
    probes: tuple[Probe, ...]
    reliability: tuple[tuple[float, float], ...]  # sigma(margin), share that was right
    reliability_source: Number | None  # the expected calibration error
    file: str
    correlation: tuple[Number, ...]  # between two members each, on the reference answers
    reference_answers: Number | None
    aggregate: str


@dataclass(frozen=True)
class ShownAnswer:
    stage: str
    text: str
    reward: Number | None


@dataclass(frozen=True)
class Question:
    """One question, every stage's answer, and what the judge says."""

    text: str
    verdict: str
    why: str
    answers: tuple[ShownAnswer, ...]
    file: str
    key: str

    def answer(self, stage: str) -> ShownAnswer | None:
        return next((answer for answer in self.answers if answer.stage == stage), None)


@dataclass(frozen=True)
class ConfigView:
    """config.yaml: its text, and its values by dotted key."""

    file: str
    text: str
    values: Mapping[str, object]

    def number(self, key: str) -> Number | None:
        value = self.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return Number(float(value), self.file, key)


@dataclass(frozen=True)
class Overlap:
    """How many questions of a split come close to training, and in which way."""

    split: str
    questions: Number
    shared: Number
    close: Number


@dataclass(frozen=True)
class Leakage:
    """leakage.json: what the exam shares with training."""

    clean: bool
    leaks: tuple[str, ...]
    checks: tuple[str, ...]
    overlaps: tuple[Overlap, ...]
    file: str


@dataclass(frozen=True)
class Disputed:
    """An answer that the reward models and people rank differently."""

    question: str
    answer: str
    reward: Number
    people: Number


@dataclass(frozen=True)
class HumanView:
    """human.json: experts' scores against rewards."""

    correlations: tuple[Measure, ...]
    model_likes: tuple[Disputed, ...]
    people_like: tuple[Disputed, ...]
    file: str


@dataclass(frozen=True)
class FileView:
    """A file that the report was made from."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class RunView:
    """One run, as far as it has come."""

    name: str
    status: str
    config: ConfigView | None
    seed: Number | None
    machine: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    seconds: tuple[tuple[str, Number], ...]  # of each step of the pipeline
    records: tuple[tuple[str, Number], ...]  # how many the curriculum holds, by kind
    digests: tuple[tuple[str, str, str], ...]  # stage, "digest" or "fingerprint", hash
    stages: Mapping[str, StageView]
    naive: Mapping[str, StageView]  # the second arm's; empty in a run without one
    reward: RewardView | None
    naive_reward: RewardView | None
    card: Card | None
    questions: tuple[Question, ...]
    prompt_tokens: tuple[str, ...]  # the first question, cut by the run's own tokenizer
    leakage: Leakage | None
    human: HumanView | None  # None: no experts were asked
    checks: tuple[Check, ...] | None  # None: posology doctor has not looked at this run
    files: tuple[FileView, ...]
    damaged: tuple[str, ...]  # files that could not be read, and why

    @property
    def total_seconds(self) -> Number | None:
        if not self.seconds:
            return None
        return Number(sum(n.value for _, n in self.seconds), "manifest.json", "seconds, summed over the steps")

    @property
    def core_hours(self) -> Number | None:
        """What the run cost: its time on all the threads that it was given."""
        threads, total = self.asked("threads"), self.total_seconds
        if threads is None or total is None:
            return None
        return Number(threads.value * total.value / 3600, total.file, f"{total.key}, × threads in {threads.file}")

    @property
    def machine_words(self) -> str:
        """In short: "2 cores, x86_64"."""
        about = dict(self.machine)
        cores = f"{about['cores']} cores" if "cores" in about else ""
        return ", ".join(part for part in (cores, about.get("processor", "")) if part)

    def took(self, step: str) -> Number | None:
        return dict(self.seconds).get(step)

    def count(self, kind: str) -> Number | None:
        return dict(self.records).get(kind)

    def asked(self, key: str) -> Number | None:
        """A number of the config, by its dotted key."""
        return self.config.number(key) if self.config else None

    @property
    def vocabulary(self) -> Number | None:
        return self.stages["tokenizer"].noted("vocabulary") or self.asked("tokenizer.vocabulary")

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name, stage in self.stages.items() if stage.status != "finished")
