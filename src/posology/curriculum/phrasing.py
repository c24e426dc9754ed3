"""The wordings of questions. Some train, some are kept for the exam (S1-S8) and some for development: never shared.

A frame asks ("Can {np} take {drug}?"); a structure says how the patient is described in its slot. Slots:

    np        a noun phrase: "a 62-year-old man with an eGFR of 28"
    sentence  a sentence: "My patient takes warfarin and has an eGFR of 28."
    chart     a list: "62 y, male, eGFR 28, on warfarin"
    when      after the drug: "with an eGFR of 28 in pregnancy"
    given     after "if": "the eGFR is 28 and the patient takes warfarin"
    comed     the one other drug, where the question is about a combination

``{drug}`` carries its indication where the question has one ("amoxicillin for pneumonia"); ``{Drug}`` begins with a
capital; ``{to}`` is "for", or "in" after an indication. Reserved frames and structures use only words that train too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from posology.curriculum.splits import Group

Use = Literal["verdict", "dose", "interaction"]
Slot = Literal["np", "sentence", "chart", "when", "given", "comed"]


@dataclass(frozen=True)
class Frame:
    """One way to ask. `name` is its id in every record made with it."""

    name: str
    use: Use
    slot: Slot
    text: str
    group: Group = "train"


def _frames(use: Use, group: Group, *rows: tuple[str, Slot, str]) -> tuple[Frame, ...]:
    return tuple(Frame(f"{use}.{name}", use, slot, text, group) for name, slot, text in rows)


FRAMES: tuple[Frame, ...] = (
    *_frames(
        "verdict", "train",
        ("can-take", "np", "Can {np} take {drug}?"),
        ("safe-for", "np", "Is {drug} safe {to} {np}?"),
        ("ok-for", "np", "Is {drug} ok {to} {np}?"),
        ("should-give", "np", "Should I give {drug} to {np}?"),
        ("can-give", "np", "Can I give {drug} to {np}?"),
        ("may-have", "np", "May {np} have {drug}?"),
        ("bare-for", "np", "{Drug} {to} {np}?"),
        ("safe-to-give", "np", "Is it safe to give {drug} to {np}?"),
        ("want-to-give", "np", "I want to give {drug} to {np}. Is that ok?"),
        ("allowed", "np", "Is {drug} allowed {to} {np}?"),
        ("what-about", "np", "What about {drug} {to} {np}?"),
        ("for-np-bare", "np", "For {np}: {drug}?"),
        ("then-give", "sentence", "{sentence} Can I give {drug}?"),
        ("then-safe", "sentence", "{sentence} Is {drug} safe?"),
        ("then-bare", "sentence", "{sentence} {Drug}?"),
        ("then-should", "sentence", "{sentence} Should I give {drug}?"),
        ("then-want", "sentence", "{sentence} I want to give {drug}. Ok?"),
        ("chart-bare", "chart", "Patient: {chart}. {Drug}?"),
        ("chart-ok", "chart", "{drug}, {chart}: ok?"),
        ("chart-safe", "chart", "Patient: {chart}. Is {drug} safe?"),
        ("drug-chart", "chart", "{Drug}: {chart}. Safe?"),
        ("when-ok", "when", "Is {drug} ok {when}?"),
        ("when-take", "when", "Can my patient take {drug} {when}?"),
        ("when-safe", "when", "{Drug} {when}: safe?"),
        ("when-give", "when", "May I give {drug} {when}?"),
        ("if-give", "given", "Can I give {drug} if {given}?"),
        ("if-safe", "given", "If {given}, is {drug} safe?"),
    ),
    *_frames(
        "verdict", "exam",
        ("for-np-ok", "np", "For {np}, is {drug} ok?"),
        ("should-have", "np", "Should {np} have {drug}?"),
        ("then-may", "sentence", "{sentence} May I give {drug}?"),
        ("chart-can", "chart", "Patient: {chart}. Can I give {drug}?"),
        ("when-safe-to-take", "when", "Is it safe to take {drug} {when}?"),
        ("if-should", "given", "If {given}, should I give {drug}?"),
    ),
    *_frames(
        "verdict", "dev",
        ("can-have", "np", "Can {np} have {drug}?"),
        ("then-about", "sentence", "{sentence} What about {drug}?"),
        ("chart-should", "chart", "{Drug}: {chart}. Should I give it?"),
        ("when-should", "when", "Should I give {drug} {when}?"),
    ),
    *_frames(
        "interaction", "train",
        ("taken-with", "comed", "Can {drug} be taken with {comed}?"),
        ("safe-with", "comed", "Is {drug} safe with {comed}?"),
        ("combine", "comed", "Can I combine {drug} with {comed}?"),
        ("both", "comed", "{Drug} and {comed}?"),
        ("add", "comed", "My patient takes {comed}. Can I add {drug}?"),
        ("already", "comed", "My patient is already on {comed}. Is {drug} ok?"),
        ("give-together", "comed", "May I give {drug} together with {comed}?"),
        ("problem", "comed", "Is there a problem with {drug} and {comed}?"),
        ("if-takes", "comed", "If my patient takes {comed}, can I add {drug}?"),
        ("safe-to-combine", "comed", "Is it safe to combine {drug} and {comed}?"),
        ("with-ok", "comed", "{Drug} with {comed}: ok?"),
        ("on-safe", "comed", "On {comed}: is {drug} safe?"),
    ),
    *_frames(
        "interaction", "exam",
        ("safe-to-add", "comed", "Is it safe to add {drug} to {comed}?"),
        ("may-combine", "comed", "May I combine {drug} and {comed}?"),
        ("already-give", "comed", "My patient is already on {comed}. Can I give {drug}?"),
        ("taken-together", "comed", "Can {drug} and {comed} be taken together?"),
    ),
    *_frames(
        "interaction", "dev",
        ("add-to", "comed", "Can I add {drug} to {comed}?"),
        ("takes-safe", "comed", "My patient takes {comed}. Is {drug} safe?"),
    ),
    *_frames(
        "dose", "train",
        ("what-dose", "np", "What dose of {drug} {to} {np}?"),
        ("how-much", "np", "How much {drug} {to} {np}?"),
        ("dose-for", "np", "{Drug} dose {to} {np}?"),
        ("the-dose", "np", "What is the dose of {drug} {to} {np}?"),
        ("can-take", "np", "What dose of {drug} can {np} take?"),
        ("how-much-give", "np", "How much {drug} can I give to {np}?"),
        ("order", "np", "Dose {drug} {to} {np}."),
        ("then-what", "sentence", "{sentence} What dose of {drug}?"),
        ("then-how-much", "sentence", "{sentence} How much {drug} should I give?"),
        ("then-dose", "sentence", "{sentence} {Drug} dose?"),
        ("chart-dose", "chart", "Patient: {chart}. Dose of {drug}?"),
        ("chart-what", "chart", "Patient: {chart}. What dose of {drug}?"),
        ("drug-chart", "chart", "{drug}, {chart}: dose?"),
        ("if-what", "given", "What dose of {drug} if {given}?"),
        ("when-dose", "when", "What is the dose of {drug} {when}?"),
        ("when-how-much", "when", "How much {drug} {when}?"),
    ),
    *_frames(
        "dose", "exam",
        ("for-np", "np", "For {np}, what dose of {drug}?"),
        ("should-take", "np", "How much {drug} should {np} take?"),
        ("then-the-dose", "sentence", "{sentence} What is the dose of {drug}?"),
        ("chart-how-much", "chart", "Patient: {chart}. How much {drug}?"),
        ("if-how-much", "given", "If {given}, how much {drug} should I give?"),
        ("when-what", "when", "What dose of {drug} {when}?"),
    ),
    *_frames(
        "dose", "dev",
        ("should-give", "np", "What dose of {drug} should I give to {np}?"),
        ("then-of", "sentence", "{sentence} Dose of {drug}?"),
        ("chart-the", "chart", "Patient: {chart}. What is the dose of {drug}?"),
        ("when-bare", "when", "{Drug} dose {when}?"),
    ),
)  # fmt: skip

# How a patient is described in a slot. The exam's own structures stand beside those that train.
STRUCTURES: dict[Slot, dict[Group, tuple[str, ...]]] = {
    "np": {"train": ("after", "after", "who"), "exam": ("after", "list"), "dev": ("after", "who")},
    "sentence": {"train": ("one", "one", "two"), "exam": ("one", "given"), "dev": ("one", "two")},
    "chart": {"train": ("forward", "shuffled"), "exam": ("shuffled", "backward"), "dev": ("forward",)},
    "when": {"train": ("all",), "exam": ("all",), "dev": ("all",)},
    "given": {"train": ("all",), "exam": ("all",), "dev": ("all",)},
    "comed": {"train": ("one",), "exam": ("one",), "dev": ("one",)},
}

# Which uses a case kind's questions draw from.
USES: dict[str, tuple[Use, ...]] = {
    "dose": ("dose",),
    "indication": ("dose", "verdict"),
    "interaction": ("interaction", "verdict"),
}


@lru_cache
def frames_for(kind: str, group: Group) -> tuple[Frame, ...]:
    """The frames that may ask a question of this case kind in this group."""
    uses = USES.get(kind, ("verdict",))
    return tuple(frame for frame in FRAMES if frame.use in uses and frame.group == group)
