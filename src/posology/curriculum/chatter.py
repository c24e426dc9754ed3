"""What people say around a question, and whom they name: only in training.

A model that must say "not covered" about names it never saw learns, where it can, that any unfamiliar word means an
unknown medicine. So training questions hold unfamiliar words that mean nothing: made-up surnames, greetings, remarks, and
made-up words in the place of ordinary ones. The exam's questions have none of them; they profit from a model that looks
for the medicine in its place.
"""

from __future__ import annotations

import random

SURNAMES, BEFORE, AFTER = 0.08, 0.10, 0.06  # shares of training questions with a surname, a remark before, one after
BLURRED = 0.12  # share of training questions in whose wording a word or two are none

_ONSETS = "b br c ch d dr f fl g gr h j k kl kr l m n p pr r s sch sh sl st t th tr v w wh y z"
_VOWELS = "a ai au e ee ei i ie o oo ou u"
_CODAS = "ck d ff g hl k ld ll lm m n nd ng nn nt r rd rg rk rt s sk ss st t tt tz x"
_ENDINGS = ("", "", "er", "man", "son", "ley", "ton", "ez", "ova", "ski", "berg", "i", "o", "sen")
_WHO = (
    "a nurse", "a colleague", "the ward", "a student", "the family", "his wife", "her husband", "the night team",
    "a resident", "our intern", "the clinic", "a friend", "the front desk", "her son", "his daughter", "the pharmacy",
)  # fmt: skip
_DOES = (
    "asks",
    "wants to know",
    "called about this",
    "wonders",
    "needs an answer",
    "left a note",
    "just rang",
    "wrote to me",
)
_WHEN = (
    "today",
    "this morning",
    "last night",
    "on the phone",
    "before lunch",
    "after the round",
    "in a hurry",
    "again",
)
_REMARKS = (
    "Good morning.", "Hello.", "Good evening, quick one.", "Sorry to bother you.", "I hope you are well.",
    "The waiting room is full.", "It is raining outside.", "We are short of staff.", "The bus was late.",
    "The family brought flowers.", "The bed by the window is free.", "They live near the harbour.",
    "The neighbour drove them here.", "The garden keeps them busy.", "They used to teach music.",
    "Their dog is at home.", "The chart is on the table.", "The printer is broken.", "The holiday starts tomorrow.",
    "They work in a bakery.", "The room is cold.", "Breakfast was eaten.", "They slept well.", "The visit is short.",
)  # fmt: skip
_CLOSINGS = (
    "Thank you.", "Thanks.", "Many thanks in advance.", "A short answer is enough.", "Please be brief.", "I will call back.",
    "We decide in an hour.", "The relatives are waiting.", "Sorry for the rush.", "Greetings from the ward.",
    "I write this on my phone.", "Let me know.", "Tell me soon, please.",
)  # fmt: skip


def surname(rng: random.Random) -> str:
    """A made-up family name."""
    first = "".join(rng.choice(parts.split()) for parts in (_ONSETS, _VOWELS, _CODAS))
    return (first + rng.choice(_ENDINGS)).capitalize()


def nonsense(rng: random.Random) -> str:
    """A made-up word in small letters."""
    return surname(rng).lower()


def person(sex: str | None, rng: random.Random) -> str:
    """ "Mrs Brandt", "Mr Okaro", "Dr Lindov"."""
    titles = {"female": ("Mrs", "Ms"), "male": ("Mr",)}.get(sex or "", ("Mr", "Mrs", "Ms"))
    return f"{rng.choice(titles)} {surname(rng)}"


def blurred(wording: str, rng: random.Random) -> str:
    """A wording, at times with one or two of its own words replaced by made-up ones; its slots stay."""
    words = wording.split(" ")
    plain = [place for place, word in enumerate(words) if word.isalpha()]
    if rng.random() >= BLURRED or not plain:
        return wording
    for place in rng.sample(plain, min(rng.choice((1, 1, 2)), len(plain))):
        made = nonsense(rng)
        words[place] = made.capitalize() if words[place][0].isupper() else made
    return " ".join(words)


def around(question: str, rng: random.Random) -> str:
    """The question, at times with a remark before or after it."""
    if rng.random() < BEFORE:
        question = f"{_before(rng)} {question}"
    if rng.random() < AFTER:
        question = f"{question} {rng.choice(_CLOSINGS)}"
    return question


def _before(rng: random.Random) -> str:
    kind = rng.randrange(3)
    if kind == 0:
        return rng.choice(_REMARKS)
    who = rng.choice(_WHO) if kind == 1 else f"Dr {surname(rng)}"
    text = f"{who} {rng.choice(_DOES)} {rng.choice(_WHEN)}."
    return text[:1].upper() + text[1:]
