"""scorecard.json in the shapes that it may have."""

from posology.report.card import measure, read_card
from posology.report.gather import plain
from posology.report.view import RunView
from posology.text.spans import span

from .example_card import scorecard, share


def read(raw):
    return read_card(raw, "scorecard.json", plain)


def test_stages_stand_from_plainest_to_most_aligned() -> None:
    shuffled = scorecard()
    shuffled["stages"] = dict(sorted(shuffled["stages"].items(), reverse=True))
    assert [stage.name for stage in read(shuffled).stages] == ["pretrain", "sft", "dpo", "ppo"]


def test_a_gate_keeps_its_own_finding_and_limit() -> None:
    safety = read(scorecard()).stages[3].measure("safety")
    gates = {gate.name: gate for gate in safety.gates}
    assert (gates["minimal_pairs"].passed, gates["minimal_pairs"].limit, gates["minimal_pairs"].at_most) == (
        False,
        0.9,
        False,
    )
    assert (gates["unreadable"].passed, gates["unreadable"].at_most) == (True, True)
    assert gates["youden_j"].value.key == "stages.ppo.headline.safety.gates.youden_j"


def test_a_bare_gate_is_held_against_the_documented_limit() -> None:
    found = measure(
        "safety", {"value": 0.9, "gates": {"minimal_pairs": 0.89, "unreadable": 0.02, "youden_j": True}}, "f", "k"
    )
    assert [gate.passed for gate in found.gates] == [False, True, True]


def test_a_share_without_a_value_is_worked_out_and_undefined_stays() -> None:
    assert measure("a", {"k": 3, "n": 4}, "f", "k").value == 0.75
    undefined = measure("a", {"k": 0, "n": 0, "value": None, "undefined": "no items"}, "f", "k")
    assert undefined is not None and undefined.value is None and undefined.undefined == "no items"
    assert measure("a", {"curve": [1, 2]}, "f", "k") is None
    assert measure("a", True, "f", "k") is None
    assert measure("a", float("nan"), "f", "k") is None


def test_misses_of_stages_and_of_the_card_are_told_once() -> None:
    raw = scorecard()
    first = raw["stages"]["ppo"]["misses"][0]
    raw["misses"] = [{**first, "stage": "ppo", "kind": "dose"}]
    misses = read(raw).misses
    assert sum(miss.case_id == first["case_id"] for miss in misses) == 1
    assert len(misses) == 5


def test_what_a_model_compared_is_told_beside_its_answer() -> None:
    raw = scorecard()
    miss = raw["stages"]["ppo"]["misses"][0]
    miss["answer"] = span("eGFR28?30,45", "<30") + "Metformin is acceptable."
    found = next(one for one in read(raw).misses if one.case_id == miss["case_id"])
    assert found.answer == "Metformin is acceptable."
    assert found.working == "eGFR 28 is below 30 (limits 30 and 45)"


def test_splits_may_hold_one_figure_or_several() -> None:
    raw = scorecard()
    raw["stages"]["sft"]["splits"] = {"S1": share(3, 4), "S2": {"accuracy": share(1, 2), "usefulness": share(1, 4)}}
    splits = dict(read(raw).stages[1].splits)
    assert [m.value for m in splits["S1"]] == [0.75]
    assert [m.name for m in splits["S2"]] == ["accuracy", "usefulness"]


def test_a_card_of_unexpected_types_is_read_as_far_as_it_goes() -> None:
    card = read({"stages": {"sft": {"headline": {"accuracy": "n/a", "safety": [1]}}, "ppo": None}, "misses": "none",
                 "comparisons": [None, {"difference": "x"}], "baselines": [], "best_stage": None, "new": {"a": 1}})  # fmt: skip
    assert [stage.headline for stage in card.stages] == [(), ()]
    assert (card.misses, card.comparisons, card.baselines, card.best_stage) == ((), (), (), "")
    assert card.other == (("new", '{"a": 1}'),)


def test_probes_and_reliability_of_the_reward_models(view: RunView) -> None:
    assert view.reward is not None
    probes = {probe.name: probe for probe in view.reward.probes}
    assert probes["upper case"].gap.value == 0.31 and probes["upper case"].wins is None
    assert probes["CONTRAINDICATED in front"].wins.n == 200
    assert len(view.reward.reliability) == 10 and view.reward.reliability_source.value == 0.043
