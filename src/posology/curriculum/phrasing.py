"""The wordings of questions. Some train, some are kept for the exam (S1-S8) and some for development: never shared.

A frame asks ("Can {np} take {drug}?"); a structure says how the patient is described in its slot. Slots:

    np        a noun phrase: "a 62-year-old man with an eGFR of 28"
    sentence  a sentence: "My patient takes warfarin and has an eGFR of 28."
    chart     a list: "62 y, male, eGFR 28, on warfarin"
    when      after the drug: "with an eGFR of 28 in pregnancy"
    given     after "if": "the eGFR is 28 and the patient takes warfarin"
    comed     the one other drug, where the question is about a combination

``{drug}`` carries its indication where the question has one ("amoxicillin for pneumonia"); ``{Drug}``, ``{Np}`` and
``{When}`` begin with a capital; ``{to}`` is "for", or "in" after an indication. The exam's frames and structures use
only words that train too; development's also use words that no training text has.
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
        ("would-be-safe", "np", "Would {drug} be safe {to} {np}?"),
        ("could-start", "np", "Could {np} start {drug}?"),
        ("allowed-to", "np", "Is {np} allowed to take {drug}?"),
        ("may-start", "np", "May I start {drug} in {np}?"),
        ("do-i-give", "np", "Do I give {drug} to {np}?"),
        ("problem-for", "np", "Is {drug} a problem {to} {np}?"),
        ("thinking-of", "np", "I am thinking of {drug} {to} {np}. Is that safe?"),
        ("needs", "np", "{Np} needs {drug}. Is that safe?"),
        ("wants", "np", "{Np} wants to take {drug}. Ok?"),
        ("asks-for", "np", "{Np} asks for {drug}. Can I give it?"),
        ("check", "np", "Please check {drug} {to} {np}."),
        ("view", "np", "What is your view on {drug} {to} {np}?"),
        ("suitable", "np", "Is {drug} suitable {to} {np}?"),
        ("prescribe", "np", "Can I prescribe {drug} to {np}?"),
        ("have-here", "np", "I have {np} here. Is {drug} ok?"),
        ("about-np", "np", "This is about {np}. Do I avoid {drug}?"),
        ("reason-against", "np", "Is there a reason to avoid {drug} {to} {np}?"),
        ("how-safe", "np", "How safe is {drug} {to} {np}?"),
        ("then-give", "sentence", "{sentence} Can I give {drug}?"),
        ("then-safe", "sentence", "{sentence} Is {drug} safe?"),
        ("then-bare", "sentence", "{sentence} {Drug}?"),
        ("then-should", "sentence", "{sentence} Should I give {drug}?"),
        ("then-want", "sentence", "{sentence} I want to give {drug}. Ok?"),
        ("then-prescribed", "sentence", "{sentence} Should {drug} be prescribed?"),
        ("then-would", "sentence", "{sentence} Would {drug} be ok?"),
        ("then-start", "sentence", "{sentence} Can I start {drug}?"),
        ("then-suitable", "sentence", "{sentence} Is {drug} suitable?"),
        ("then-plan", "sentence", "{sentence} The plan is {drug}. Ok?"),
        ("drug-then", "sentence", "{Drug}? {sentence}"),
        ("ok-first", "sentence", "Is {drug} ok? {sentence}"),
        ("give-first", "sentence", "Can I give {drug}? {sentence}"),
        ("whether-first", "sentence", "I want to know whether {drug} is safe. {sentence}"),
        ("chart-bare", "chart", "Patient: {chart}. {Drug}?"),
        ("chart-ok", "chart", "{drug}, {chart}: ok?"),
        ("chart-safe", "chart", "Patient: {chart}. Is {drug} safe?"),
        ("drug-chart", "chart", "{Drug}: {chart}. Safe?"),
        ("chart-plan", "chart", "Patient: {chart}. Plan: {drug}. Ok?"),
        ("chart-colon", "chart", "{chart}: {drug}?"),
        ("chart-order", "chart", "Order: {drug}. Patient: {chart}. Safe?"),
        ("chart-start", "chart", "Patient: {chart}. Start {drug}?"),
        ("chart-last", "chart", "Is {drug} ok? Patient: {chart}."),
        ("chart-case", "chart", "Case: {chart}. Is {drug} suitable?"),
        ("when-ok", "when", "Is {drug} ok {when}?"),
        ("when-take", "when", "Can my patient take {drug} {when}?"),
        ("when-safe", "when", "{Drug} {when}: safe?"),
        ("when-give", "when", "May I give {drug} {when}?"),
        ("when-allowed", "when", "Is {drug} allowed {when}?"),
        ("when-problem", "when", "Is {drug} a problem {when}?"),
        ("when-used", "when", "Can {drug} be used {when}?"),
        ("when-first", "when", "{When}: is {drug} ok?"),
        ("when-how-safe", "when", "How safe is {drug} {when}?"),
        ("if-give", "given", "Can I give {drug} if {given}?"),
        ("if-safe", "given", "If {given}, is {drug} safe?"),
        ("ok-if", "given", "Is {drug} ok if {given}?"),
        ("if-avoid", "given", "If {given}, do I avoid {drug}?"),
        ("what-if", "given", "What if {given}: is {drug} safe?"),
        ("assume", "given", "Assume {given}. Is {drug} safe?"),
        ("let-us-say", "given", "Let us say {given}. Can I give {drug}?"),
        ("given-that", "given", "Given that {given}, is {drug} ok?"),
        ("may-be-given", "np", "May {drug} be given to {np}?"),
        ("could-be-used", "np", "Could {drug} be used {to} {np}?"),
        ("then-be-given", "sentence", "{sentence} Can {drug} be given?"),
        ("then-be-started", "sentence", "{sentence} Should {drug} be started?"),
        ("chart-be-used", "chart", "Patient: {chart}. May {drug} be used?"),
        ("if-be-given", "given", "If {given}, can {drug} be given?"),
        ("drug-np-ok", "np", "{Drug} {to} {np}: ok?"),
        ("drug-np-safe", "np", "{Drug} {to} {np}. Is that safe?"),
        ("drug-sentence", "sentence", "{Drug}: ok? {sentence}"),
        ("drug-chart-give", "chart", "{Drug}: {chart}. Can I give it?"),
        ("drug-chart-plan", "chart", "{Drug} is the plan. Patient: {chart}. Ok?"),
        ("drug-when", "when", "{Drug} {when}?"),
        ("drug-if", "given", "{Drug} if {given}: safe?"),
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
        ("worry", "np", "Do I have to worry about {drug} {to} {np}?"),
        ("then-taken", "sentence", "{sentence} Can {drug} be taken?"),
        ("suppose", "given", "Suppose {given}. Is {drug} ok?"),
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
        ("interact", "comed", "Do {drug} and {comed} interact?"),
        ("on-start", "comed", "On {comed}. Start {drug}?"),
        ("on-can-start", "comed", "Can a patient on {comed} start {drug}?"),
        ("with-avoid", "comed", "With {comed}, do I avoid {drug}?"),
        ("take-both", "comed", "Can my patient take both {drug} and {comed}?"),
        ("together-safe", "comed", "{Drug} together with {comed}: safe?"),
        ("current", "comed", "Current medicine: {comed}. New: {drug}. Ok?"),
        ("prescribe-on", "comed", "Can I prescribe {drug} to someone on {comed}?"),
        ("be-added", "comed", "Can {drug} be added to {comed}?"),
        ("be-given-with", "comed", "May {drug} be given with {comed}?"),
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
        ("at-once", "comed", "Is {drug} a problem for someone who takes {comed}?"),
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
        ("tell", "np", "Tell me the dose of {drug} {to} {np}."),
        ("work-out", "np", "Please work out the dose of {drug} {to} {np}."),
        ("need", "np", "I need the dose of {drug} {to} {np}."),
        ("gets", "np", "How much {drug} does {np} get?"),
        ("right", "np", "What is the right dose of {drug} {to} {np}?"),
        ("then-what", "sentence", "{sentence} What dose of {drug}?"),
        ("then-how-much", "sentence", "{sentence} How much {drug} should I give?"),
        ("then-dose", "sentence", "{sentence} {Drug} dose?"),
        ("then-tell", "sentence", "{sentence} Tell me the dose of {drug}."),
        ("then-right", "sentence", "{sentence} What is the right dose of {drug}?"),
        ("what-first", "sentence", "What dose of {drug}? {sentence}"),
        ("chart-dose", "chart", "Patient: {chart}. Dose of {drug}?"),
        ("chart-what", "chart", "Patient: {chart}. What dose of {drug}?"),
        ("drug-chart", "chart", "{drug}, {chart}: dose?"),
        ("chart-need", "chart", "Patient: {chart}. I need a dose of {drug}."),
        ("chart-last", "chart", "Dose of {drug}? Patient: {chart}."),
        ("if-what", "given", "What dose of {drug} if {given}?"),
        ("if-dose", "given", "If {given}, what is the dose of {drug}?"),
        ("assume", "given", "Assume {given}. What dose of {drug}?"),
        ("when-dose", "when", "What is the dose of {drug} {when}?"),
        ("when-how-much", "when", "How much {drug} {when}?"),
        ("when-right", "when", "What is the right dose of {drug} {when}?"),
        ("when-first", "when", "{When}: dose of {drug}?"),
        ("drug-np", "np", "{Drug} {to} {np}: what dose?"),
        ("drug-chart-much", "chart", "{Drug}: {chart}. How much?"),
        ("drug-when", "when", "{Drug} {when}: how much?"),
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
        ("suppose", "given", "Suppose {given}. How much {drug}?"),
    ),
)  # fmt: skip

# How a patient is described in a slot. The exam and development have structures of their own beside those that train.
STRUCTURES: dict[Slot, dict[Group, tuple[str, ...]]] = {
    "np": {
        "train": ("after", "after", "who", "bare", "dashes", "jotted", "jotted"),
        "exam": ("after", "list"), "dev": ("after", "commas"),
    },
    "sentence": {
        "train": ("one", "one", "two", "chart", "apart", "jotted", "jotted"),
        "exam": ("one", "given"), "dev": ("one", "see"),
    },
    "chart": {
        "train": ("forward", "shuffled", "and", "semicolons", "plus", "spaces", "minus", "jotted", "jotted", "jotted"),
        "exam": ("shuffled", "backward"), "dev": ("forward", "slashes"),
    },
    "when": {"train": ("all", "jotted"), "exam": ("all",), "dev": ("all",)},
    "given": {"train": ("all", "jotted"), "exam": ("all",), "dev": ("all",)},
    "comed": {"train": ("one",), "exam": ("one",), "dev": ("one",)},
}  # fmt: skip

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
