"""Questions about antidotes, monitoring and maximum doses: facts that no patient decides, forward and in reverse."""

from __future__ import annotations

from collections.abc import Iterator

from posology.curriculum.conditions import circumstance
from posology.curriculum.documents import silent_value, subject
from posology.curriculum.questions import as_written, capital
from posology.curriculum.records import Dialogue
from posology.curriculum.working import looked_up
from posology.knowledge.fact import Fact
from posology.knowledge.library import Library
from posology.seeds import stream
from posology.text.formulary import Formulary

SHARE = 0.03  # of all dialogues
QUESTIONS: dict[str, tuple[tuple[str, str, str], ...]] = {  # (id, question, answer)
    "monitoring": (
        ("what", "What should I monitor with {d}?", "Monitor {x}."),
        ("which", "Which values do I check with {d}?", "Monitor {x}."),
        ("on", "My patient is on {d}. What do I monitor?", "Monitor {x}."),
        ("bare", "{D}: monitor what?", "Monitor {x}."),
        ("needs", "What monitoring does {d} need?", "Monitor {x}."),
        ("takes", "My patient takes {d}. What should I check?", "Monitor {x}."),
    ),
    "antidote": (
        ("what", "What is the antidote of {d}?", "The antidote of {d} is {x}."),
        ("reverses", "What reverses {d}?", "The antidote of {d} is {x}."),
        ("too-much", "Too much {d} was given. What now?", "The antidote of {d} is {x}."),
        ("reverse", "Which drug does {x} reverse?", "{X} reverses {d}."),
        ("for", "What is {x} the antidote of?", "{X} reverses {d}."),
        ("bare", "Antidote of {d}?", "The antidote of {d} is {x}."),
    ),
    "maximum": (
        ("what", "What is the maximum dose of {d}?", "The maximum dose is {x}."),
        ("most", "How much {d} can I give at most?", "The maximum dose is {x}."),
        ("bare", "{D}: maximum dose?", "The maximum dose is {x}."),
        ("more", "What is the most {d} that I can give?", "The maximum dose is {x}."),
        ("should", "What maximum dose of {d} should I know?", "The maximum dose is {x}."),
        ("ceiling", "Maximum dose of {d}?", "The maximum dose is {x}."),
    ),
}  # fmt: skip


def knowledge_dialogues(library: Library, count: int, seed: int) -> list[Dialogue]:
    """About `count` dialogues: every question once (or as many as there are), those of one fact far apart."""
    found = [dialogue for fact in library.facts if fact.verdict is None for dialogue in _about(fact, library)]
    stream(seed, "knowledge").shuffle(found)
    return found[:count]


def _about(fact: Fact, library: Library) -> Iterator[Dialogue]:
    value, d = silent_value(fact), subject(fact, library)
    c = circumstance(fact.when, library)
    if not value:
        return
    asked = f"{d} with {c}" if c else d
    for name, question, answer in QUESTIONS[fact.type.value]:
        words = {"d": asked, "D": capital(asked), "x": value, "X": capital(value)}
        kind, text = fact.type.value, question.format(**words)
        names = (as_written(text, fact.drug),) if fact.drug and fact.drug in text.lower() else ()
        yield Dialogue(
            text, answer.format(**words), kind, fact.drug, (fact.id,), f"{kind}.{name}",
            working=looked_up(names, Formulary(library.drug_names)),
        )  # fmt: skip
