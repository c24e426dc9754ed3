from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from posology.config import UserError
from posology.models.loading import save_language_model
from posology.rollout.assistant import Assistant
from posology.rollout.companion import EngineTurn, with_engine
from posology.text.chat import encode_dialogue, encode_prompt
from posology.text.formulary import LONGEST, Formulary
from posology.text.spans import explained, render, span
from posology.text.tokenizer import Tokenizer, save_tokenizer
from posology.training.batches import pad_rows

QUESTION = "How much amoxicillin for 20 kg?"
ANSWER = "Adjust the dose: <|calc|>20*45/2<|equals|>450<|/calc|> mg every 12 h."
COMPARED = "Metformin at 28?"
MISREAD = "Metformin at 45?"  # the model has learnt to write 45.5
WORKING = span("Metformin", " metformin") + span("eGFR28?30,45", "<30")


@pytest.fixture(scope="module")
def final(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows three answers by heart (their values are the engine's), saved as a stage saves it."""
    from posology.config import ModelConfig
    from posology.models.llama import language_model

    model = language_model(ModelConfig(width=64, layers=2, heads=2, mlp_width=96, positions=160), tokenizer.size, 0)
    known = (
        (QUESTION, ANSWER),
        (COMPARED, WORKING + "Avoid metformin."),
        (MISREAD, WORKING.replace("28", "45.5").replace("<30", "45") + "Metformin is ok."),
    )
    rows = [encode_dialogue(tokenizer, question, answer) for question, answer in known]
    ids = pad_rows([row.ids for row in rows], tokenizer.pad)
    labels = ids.where(pad_rows([[int(own) for own in row.scored] for row in rows], 0).bool(), -100)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(100):
        optimiser.zero_grad()
        loss = model(ids, labels=labels).loss
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.05
    folder = tmp_path_factory.mktemp("run") / "final"
    save_language_model(model, folder, tokenizer=tokenizer.fingerprint)
    save_tokenizer(replace(tokenizer, formulary=Formulary({"metformin": "metformin"})), folder)
    return folder


def test_a_question_is_answered_with_the_calculators_value(final: Path) -> None:
    answer = Assistant.open(final).ask(QUESTION)
    assert answer.text == ANSWER
    assert answer.rendered == "Adjust the dose: 20 × 45 ÷ 2 = 450 mg every 12 h."
    assert answer.finished
    assert answer.calls == 1
    assert answer.tokens == len(answer.ids)


def test_the_value_is_the_engines_not_the_models(final: Path) -> None:
    class Seven(EngineTurn):
        def _worked_out(self) -> list[int]:
            return [*self.tokenizer.encode_text("7"), self.tokenizer.endcalc]

    wrong = Assistant.open(final, lambda tokenizer: lambda prompt: Seven(tokenizer, ""))
    assert "<|equals|>7<|/calc|>" in wrong.ask(QUESTION).text


@pytest.mark.parametrize("temperature", [0.0, 1.0, 3.0])
def test_the_pieces_of_a_stream_make_the_answer_with_its_working(final: Path, temperature: float) -> None:
    assistant = Assistant.open(final)
    for seed in range(4):
        pieces = list(assistant.stream(QUESTION, temperature, seed))
        assert "".join(pieces) == explained(assistant.ask(QUESTION, temperature, seed).text)
        assert all(pieces)
    if temperature == 0:
        assert len(pieces) > 5
        assert any("20 × 45 ÷ 2 = 450" in piece for piece in pieces)  # a calculation comes whole


def test_a_comparison_is_worked_out_by_the_engine_and_told_apart_from_the_answer(final: Path) -> None:
    assistant = Assistant.open(final)
    answer = assistant.ask(COMPARED)
    assert answer.text == WORKING + "Avoid metformin." and answer.rendered == "Avoid metformin."
    pieces = list(assistant.stream(COMPARED))
    told = "Working: metformin is covered; eGFR 28 is below 30 (limits 30 and 45).\n"  # as a whole, never in parts
    assert pieces[0].startswith(told) and "".join(pieces) == told + answer.rendered
    assert assistant.workings([COMPARED, QUESTION]) == [WORKING, ""]


def test_the_working_keeps_to_the_numbers_of_the_question(final: Path) -> None:
    """The model would write another: it does where the question has it."""
    held = Assistant.open(final)
    assert "eGFR45?30,45<|equals|>45" in held.ask(MISREAD).text
    free = Assistant.open(final, lambda tokenizer: lambda prompt: EngineTurn(tokenizer, "metformin 45.5"))
    assert "eGFR45.5?30,45<|equals|>45" in free.ask(MISREAD).text


def test_many_questions_are_answered_as_one_by_one(final: Path) -> None:
    assistant = Assistant.open(final)
    questions = [QUESTION, "Avoid ibuprofen?", "What of 12 kg?"]
    assert assistant.answer_many(questions) == [assistant.ask(question) for question in questions]
    assert assistant.answer_many([]) == []


def test_a_question_too_long_says_by_how_much(final: Path, tokenizer: Tokenizer) -> None:
    question = "@" * 100
    with pytest.raises(UserError, match=r"55 tokens too long"):  # 3 + 100 + 112 - 160
        Assistant.open(final).ask(question)
    with pytest.raises(UserError, match=r"55 tokens too long"):
        next(Assistant.open(final).stream(question))


def test_a_folder_without_a_model_or_with_another_tokenizer_is_refused(final: Path, tmp_path: Path, tiny: Any) -> None:
    with pytest.raises(UserError, match="no tokenizer in"):
        Assistant.open(tmp_path)
    save_tokenizer(Assistant.open(final).tokenizer, tmp_path)
    save_language_model(tiny(vocabulary=320), tmp_path, tokenizer="b" * 64)
    with pytest.raises(UserError, match="do not belong together"):
        Assistant.open(tmp_path)


@pytest.mark.parametrize(
    ("written", "inserted"),
    [
        ("<|calc|>20*45/2<|equals|>", "450<|/calc|>"),
        ("a <|calc|>1+1<|equals|>2<|/calc|> <|calc|>min(9,4)<|equals|>", "4<|/calc|>"),
        ("<|calc|>eGFR50?30,45<|equals|>", "45<|/calc|>"),
        ("<|calc|>eGFR?30,45<|equals|>", "<|/calc|>"),
        ("<|calc|>1/0<|equals|>", "<|/calc|>"),
        ("<|calc|>os.system<|equals|>", "<|/calc|>"),
        ("2*3<|equals|>", "<|/calc|>"),
    ],
)
def test_what_the_calculator_inserts(tokenizer: Tokenizer, written: str, inserted: str) -> None:
    turn = with_engine(tokenizer)([])
    *_, tokens = [turn.take(token) for token in tokenizer.encode_answer(written.replace("2<|/calc|>", ""))]
    assert tokenizer.decode(tokens) == inserted
    assert tokens[-1] == tokenizer.endcalc
    render(written + inserted)


def test_a_medicine_of_the_question_that_the_working_leaves_out_is_added(tokenizer: Tokenizer) -> None:
    known = replace(tokenizer, formulary=Formulary({"warfarin": "warfarin", "asa": "aspirin"}))
    turn = with_engine(known)(encode_prompt(known, "Can I add warfarin to ASA?"))
    *_, tokens = [turn.take(token) for token in known.encode_answer("<|calc|> ASA<|equals|>")]
    assert known.decode(tokens) == " aspirin, warfarin<|/calc|>"


def test_a_slip_of_the_models_own_is_no_medicine_of_the_question(tokenizer: Tokenizer) -> None:
    known = replace(tokenizer, formulary=Formulary({name: name for name in ("warfarin", "azithromycin")}))
    for question, value in (("Warfarin?", " unknown, warfarin"), ("Arithromycin?", " azithromycin")):
        turn = with_engine(known)(encode_prompt(known, question))
        *_, tokens = [turn.take(token) for token in known.encode_answer("<|calc|>arithromycin<|equals|>")]
        assert known.decode(tokens) == f"{value}<|/calc|>"


def test_another_medicine_of_the_question_does_not_stand_in_for_the_asked_one(tokenizer: Tokenizer) -> None:
    known = replace(tokenizer, formulary=Formulary({"warfarin": "warfarin", "asa": "aspirin"}))
    turn = with_engine(known)(encode_prompt(known, "Can I add zorbamol to ASA?"))
    written = known.encode_answer("<|calc|> ASA, ASA")
    for token in written[:-1]:
        assert turn.admits(token)
        turn.take(token)
    assert not turn.admits(written[-1]) and turn.admits(known.equals) and not turn.admits(known.end)


def test_a_count_is_written_whole_and_worked_out_by_the_numbers_above_it(tokenizer: Tokenizer) -> None:
    turn = with_engine(tokenizer)(encode_prompt(tokenizer, "Apixaban for an 82-year-old of 59 kg?"))
    above = "<|calc|>Apixaban<|equals|> unknown<|/calc|><|calc|>age 82?80<|equals|>80<|/calc|><|calc|>weight 59?≤60<|equals|>60<|/calc|>"
    for token in tokenizer.encode_answer(above):
        turn.take(token)
    turn.take(tokenizer.calc)
    counted = tokenizer.encode_text("count2?age≥80,weight≤60")
    begun = len(tokenizer.encode_text("count2?"))  # one token where training has such a count
    for place, token in enumerate(counted):
        assert place + 1 < begun or turn.admits(token)
        turn.take(token)
    assert turn.admits(tokenizer.equals)
    assert tokenizer.decode(turn.take(tokenizer.equals)) == "2<|/calc|>"


def test_an_answer_tells_only_what_its_working_compares(tokenizer: Tokenizer) -> None:
    """ "The CrCl is 60 or above" has nothing to stand on where the working holds the age alone."""
    turn = with_engine(tokenizer)(encode_prompt(tokenizer, "Amitriptyline at 24 years and a CrCl of 104?"))
    working = "<|calc|>Amitriptyline<|equals|> unknown<|/calc|><|calc|>age 24?65,80<|equals|><65<|/calc|>"
    for token in tokenizer.encode_answer(f"{working}Amitriptyline is acceptable.<|calc|>"):
        turn.take(token)
    assert not turn.admits(tokenizer.end) and turn.admits(tokenizer.encode_text("m")[0])
    assert not turn.admits(tokenizer.encode_text("CrCl")[0])
    assert not turn.admits(tokenizer.endcalc)
    for token in tokenizer.encode_answer("age?65<|/calc|>"):
        assert turn.admits(token)
        turn.take(token)


def test_nothing_but_text_is_written_in_a_working(tokenizer: Tokenizer) -> None:
    """Where the likeliest number is not the question's, one that is stands in for it, and not a mark or a line's end."""
    turn = with_engine(tokenizer)(encode_prompt(tokenizer, "Metformin at an eGFR of 9?"))
    for token in tokenizer.encode_answer("<|calc|>Metformin<|equals|> unknown<|/calc|><|calc|>eGFR "):
        turn.take(token)
    admitted = {tokenizer.decode([token]) for token in range(tokenizer.size) if turn.admits(token)}
    assert admitted == {"9"}


def test_a_lookup_that_would_outgrow_its_question_ends(tokenizer: Tokenizer) -> None:
    """A small model that does not know how an invented name goes on may write a part of it for ever."""
    known = replace(tokenizer, formulary=Formulary({"warfarin": "warfarin"}))
    turn = with_engine(known)(encode_prompt(known, "Zolzol?"))
    turn.take(known.calc)
    (zol, *_) = known.encode_text("z")
    written = 0
    while turn.admits(zol) and written < 100:
        turn.take(zol)
        written += 1
    assert "Zolzol?" in turn.question and written == min(len(turn.question), LONGEST)
    assert turn.admits(known.equals)


@pytest.mark.parametrize(("question", "opens"), [("Warfarin at 70?", True), ("Warfarin?", False)])
def test_nothing_is_compared_where_no_number_is_said(tokenizer: Tokenizer, question: str, opens: bool) -> None:
    known = replace(tokenizer, formulary=Formulary({"warfarin": "warfarin"}))
    turn = with_engine(known)(encode_prompt(known, question))
    assert turn.admits(known.calc)
    for token in known.encode_answer("<|calc|> warfarin<|equals|> warfarin<|/calc|>"):
        turn.take(token)
    assert turn.admits(known.calc) is opens
