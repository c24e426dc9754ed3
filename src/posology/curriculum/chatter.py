"""What people say around a question, and whom they name: only in training.

A model that must say "not covered" about names it never saw learns, where it can, that any unfamiliar word means an
unknown medicine. So training questions hold unfamiliar words that mean nothing: made-up surnames, greetings, remarks, and
in the place of a wording's own words made-up ones or others of everyday language. The exam's questions have none of them;
they profit from a model that looks for the medicine in its place.
"""

from __future__ import annotations

import random

SURNAMES, BEFORE, AFTER = 0.08, 0.10, 0.06  # shares of training questions with a surname, a remark before, one after
BLURRED = 0.16  # share of training questions in whose wording a word or two are none, or others
ORDINARY = 0.5  # share of everyday words among those put in

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

_EVERYDAY = """
ask believe bring call care change check choose close come consider count decide doubt drop eat end fear feel find
finish follow forget get gone guess happen hear help hold hope keep know later learn leave like listen live look
lose make mean meet mention mind move name note notice offer open order pass pay pick place point prefer press
promise pull push put question quick read remember reply report rest return run say seem send set show sit sleep
sort speak stand stay still stop talk teach think touch travel try turn understand use visit wait walk want watch
wish wonder work write afraid alone already always angry away bad best better big busy clear clever cold common
dark different difficult easy early else even ever everyone far fast fine first free fresh full glad good great
happy hard heavy here high honest important indeed just kind large last late least little long low maybe more most
much near never new next nice now often old once only other outside perhaps please possible present private
probably public quiet rather ready real really right short sick simple simply slow small soon sorry strong sure
sweet than then there thing tired today together tomorrow tonight too true twice usual usually very warm weak well
whole wide wise yes yesterday yet young afternoon answer apple autumn bag ball bank basket bell bird book bottle
box bread bridge brother bus cake car chair child church city class clock coat coffee corner country cup day
dinner doctor door dress evening family farm father field floor flower friend garden glass ground group hand head
hill home hotel hour house idea kitchen lake letter light lunch market meeting milk minute moment money month
mother mountain music news night number office page paper park party phone picture plan plant plate rain reason
river road room school sea season shirt shoe shop side sister spring station stone story street student summer sun
table task team ticket time tower town train tree trip village voice wall water way weather week wind window
winter word year
"""
EVERYDAY = tuple(_EVERYDAY.split())


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
    """A wording, at times with one or two of its own words replaced by made-up or everyday ones; its slots stay."""
    words = wording.split(" ")
    plain = [place for place, word in enumerate(words) if word.isalpha()]
    if rng.random() >= BLURRED or not plain:
        return wording
    for place in rng.sample(plain, min(rng.choice((1, 1, 2)), len(plain))):
        made = rng.choice(EVERYDAY) if rng.random() < ORDINARY else nonsense(rng)
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
