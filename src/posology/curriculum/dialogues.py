"""Questions and expert answers for fine-tuning: numbers and doses often, yes-or-no facts less often, abstention in its share."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from posology.config import DataConfig
from posology.curriculum.answers import NOT_COVERED_COMBINATION, NOT_COVERED_DRUG
from posology.curriculum.mentions import Mention
from posology.curriculum.names import TRAINING_NAMES, training_inventions, typo
from posology.curriculum.phrasing import FRAMES, Frame
from posology.curriculum.questions import Slots, ask
from posology.curriculum.records import ELEMENTS, Dialogue, Split
from posology.curriculum.situations import Situation
from posology.curriculum.splits import Group, is_dev_fact, unit
from posology.curriculum.supply import Supply, asks_dose
from posology.curriculum.targets import Target
from posology.knowledge.fact import Verdict
from posology.knowledge.patient import Patient
from posology.seeds import stream

BRANDS, TYPOS = 0.04, 0.02  # shares of questions that write the drug so
DOSE_ASKED = 0.14  # of questions about other kinds, where a dose (or a stop) can answer
COMBINATIONS = 0.12  # of the unknown share: known medicines whose combination no fact covers
ABSTAINING_KINDS = ("unknown drug", "unknown combination", "missing")  # of dialogues whose answer gives no verdict
DEV_DIALOGUES = 400  # held-out loss while fine-tuning
_DOSE_FRAMES = {group: tuple(f for f in FRAMES if f.use == "dose" and f.group == group) for group in ("train", "dev")}


def weight(target: Target) -> float:
    """How many questions a target needs against a plain yes-or-no fact that stops nothing.

    What must not be missed is asked more often, and most of all what turns on several things at once.
    """
    stops = target.fact.verdict is not None and target.fact.verdict.stops
    if target.counts:
        return 12.0
    if target.by_weight:
        return 3.0
    if target.number_field:
        if stops and target.joined:
            return 4.0
        return 3.5 if target.fact.verdict is Verdict.ADJUST else 2.5
    if stops:
        return 3.0 if target.comed else 2.0
    return {"interaction": 0.9, "indication": 1.2}.get(target.kind, 1.0)


def make_dialogues(supply: Supply, config: DataConfig, seed: int, knowledge: Sequence[Dialogue]) -> list[Dialogue]:
    """All dialogues: `config.questions` a fact on average, abstention and knowledge within that number."""
    facts = {target.fact.id for target in supply.targets}
    total = config.questions * len(facts)
    unknown, missing = round(total * config.unknown_share), round(total * config.missing_share)
    rest = total - unknown - missing - len(knowledge)
    out = list(_answerable(supply, rest, seed))
    out += _unknown(supply, unknown, seed)
    out += _missing(supply, missing, seed)
    out += knowledge
    out += _dev(supply, round(DEV_DIALOGUES * min(1.0, config.items)), seed)
    return out


def elements_of(prompt: str, seed: int) -> tuple[str, ...]:
    """Which optional elements the expert gives: each with probability 1/2, fixed by the question's own words."""
    rng = stream(seed, "elements", prompt)
    return tuple(element for element in ELEMENTS if rng.random() < 0.5)


def surface(name: str, supply: Supply, rng: random.Random) -> str:
    """The drug as a question writes it: mostly its name, at times a brand or a misspelling."""
    chance = rng.random()
    drug = supply.library.drugs[name]
    if chance < BRANDS and drug.brands:
        return rng.choice(drug.brands)
    return typo(name, rng, "training") if chance > 1 - TYPOS else name


def dose_frame(situation: Situation, group: Group, rng: random.Random) -> Frame | None:
    """A frame that asks for the dose, for kinds whose frames ask for a verdict; None: leave it to the kind."""
    answers = situation.judgement.dose is not None or situation.judgement.verdict.stops
    return (
        rng.choice(_DOSE_FRAMES["dev" if group == "dev" else "train"])
        if answers and rng.random() < DOSE_ASKED
        else None
    )


def one_dialogue(
    supply: Supply, situation: Situation, rng: random.Random, seed: int, group: Group = "train", split: Split = "train",
) -> Dialogue | None:  # fmt: skip
    """One question about a situation with its answer; None where the wording asks for a dose that nobody cites."""
    frame = dose_frame(situation, group, rng)
    drug = surface(situation.drug, supply, rng) if split == "train" else situation.drug
    question = supply.question(situation, group, rng, drug=drug, frame=frame)
    wants = asks_dose(question)
    if wants and situation.judgement.dose is None and not situation.judgement.verdict.stops:
        return None
    script = supply.script(situation, asks_dose=wants)
    elements = tuple(name for name in elements_of(question.text, seed) if name in script.applicable)
    return Dialogue(
        question.text, script.text(elements), situation.kind, situation.drug, script.gold.facts, question.wording, elements, split,
        supply.working(question, script),
    )  # fmt: skip


def _answerable(supply: Supply, total: int, seed: int) -> Iterator[Dialogue]:
    whole = sum(weight(target) for target in supply.targets)
    carried = 0.0
    for target in supply.targets:
        carried += total * weight(target) / whole
        count, carried = int(carried), carried - int(carried)
        rng = stream(seed, "dialogues", target.fact.id, target.drug, target.comed)
        situations = [*supply.pools[target], *supply.near.get(target, ())]
        made: set[str] = set()
        for index in range(3 * count):
            if len(made) >= count:
                break
            dialogue = one_dialogue(supply, situations[index % len(situations)], rng, seed)
            if dialogue is not None and dialogue.prompt not in made:
                made.add(dialogue.prompt)
                yield dialogue


def _dev(supply: Supply, count: int, seed: int) -> Iterator[Dialogue]:
    """Reserved wordings of the development facts, for the held-out loss."""
    rng = stream(seed, "dialogues", "dev")
    targets = [target for target in supply.targets if is_dev_fact(target.fact.id)]
    for target in (rng.choice(targets) for _ in range(count if targets else 0)):
        dialogue = one_dialogue(supply, rng.choice(supply.pools[target]), rng, seed, "dev", "dev")
        if dialogue is not None:
            yield dialogue


def is_dev_name(name: str) -> bool:
    """Names of medicines that only the development split asks about."""
    return unit("dev name", name) < 0.1


def known_words(supply: Supply) -> list[str]:
    """Every way of writing the drugs of the knowledge base, in lower case."""
    drugs = supply.library.drugs.values()
    return sorted({name.lower() for drug in drugs for name in (drug.name, *drug.brands, *drug.aliases)})


def unknown_names(supply: Supply, seed: int, count: int) -> tuple[list[str], list[str]]:
    """(for training, for development): real names outside the knowledge base and invented ones."""
    invented = training_inventions(seed, count, known_words(supply))
    real = list(TRAINING_NAMES)
    train = [[n for n in names if not is_dev_name(n)] for names in (real, invented)]
    dev = [n for n in (*real, *invented) if is_dev_name(n)]
    weights = max(1, round(0.8 * len(train[1]) / len(train[0])))  # real names come back, inventions mostly do not
    return [*(train[0] * weights), *train[1]], dev


def _unknown(supply: Supply, count: int, seed: int) -> Iterator[Dialogue]:
    rng = stream(seed, "dialogues", "unknown")
    combinations = round(count * COMBINATIONS)
    names, _ = unknown_names(supply, seed, max(60, (count - combinations) // 2))
    everything = [situation for target in supply.targets for situation in supply.pools[target]]
    for index in range(count - combinations):
        situation = replace_drug(
            rng.choice(everything), names[index % len(names)] if index < len(names) else rng.choice(names)
        )
        question = ask(situation.kind, Slots(situation.drug, situation.patient), "train", rng, classes=supply.classes)
        yield Dialogue(
            question.text,
            NOT_COVERED_DRUG,
            "unknown drug",
            situation.drug,
            (),
            question.wording,
            working=supply.working(question),
        )
    drugs = sorted(supply.library.drugs)
    made = 0
    for _ in range(8 * combinations):
        if made >= combinations:
            break
        drug, other = rng.sample(drugs, 2)
        if rng.random() < 0.25:
            other = rng.choice(names)
        patient = Patient(comeds=(other,))
        judgement = supply.bench.judge(patient, drug)
        if judgement.verdict is Verdict.INSUFFICIENT and judgement.not_covered and not judgement.missing:
            question = ask("interaction", Slots(drug, patient), "train", rng, classes=supply.classes)
            yield Dialogue(
                question.text, NOT_COVERED_COMBINATION, "unknown combination", drug, (), question.wording,
                working=supply.working(question),
            )  # fmt: skip
            made += 1


def replace_drug(situation: Situation, name: str) -> Situation:
    """The same question about another name (its judgement no longer holds)."""
    comeds = tuple(comed for comed in situation.patient.comeds if comed != name)
    return replace(situation, drug=name, patient=replace(situation.patient, comeds=comeds))


def missing_pool(
    supply: Supply, rng: random.Random, count: int, among: Sequence[Target] = ()
) -> list[tuple[Situation, tuple[Mention, ...]]]:
    """Situations with a deciding value left out, over as many targets as there are (of `among`, or of all)."""
    out: list[tuple[Situation, tuple[Mention, ...]]] = []
    targets = [target for target in among or supply.targets if _may_lack(supply, target)]
    rng.shuffle(targets)
    for index in range(2 * count if targets else 0):
        if len(out) >= count:
            break
        found = supply.missing(rng.choice(supply.pools[targets[index % len(targets)]]), rng)
        if found is not None:
            out.append(found)
    return out


def _may_lack(supply: Supply, target: Target) -> bool:
    patient = supply.pools[target][0].patient
    return bool(
        target.number_field or target.fact.requires or patient.genotypes or patient.allergies or patient.child_pugh
    )


def _missing(supply: Supply, count: int, seed: int) -> Iterator[Dialogue]:
    rng = stream(seed, "dialogues", "missing")
    pool = missing_pool(supply, rng, min(count, 5000))
    for index in range(count if pool else 0):
        situation, said = pool[index % len(pool)]
        question = supply.question(situation, "train", rng, extra=said)
        script = supply.script(situation)
        yield Dialogue(
            question.text, script.text(()), "missing", situation.drug, script.gold.facts, question.wording,
            working=supply.working(question, script),
        )  # fmt: skip
