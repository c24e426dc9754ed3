"""The commands of examples/*.sh parse, as bash gives them; and the public files are what the commands take them for."""

import os
import subprocess
from pathlib import Path

import pytest
import typer

from posology.cli.app import app
from posology.intake.options import ReadOptions, parse_columns
from posology.intake.read import read_examples, read_pairs, read_texts
from posology.intake.sections import split_sections
from posology.intake.tally import Tally

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.sh"))
RECORD = 'posology() { printf \'%s\\x1f\' "$@" >> "$CALLS"; printf \'\\n\' >> "$CALLS"; }; export -f posology; exec bash "$1"'


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_every_command_of_an_example_parses(script: Path, tmp_path: Path) -> None:
    for name in ("real-mts", "real-medec"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    calls = tmp_path / "calls"
    where = {"CALLS": str(calls), "RUNS": str(tmp_path / "runs"), "POSOLOGY_DATA": "/data"}
    subprocess.run(["bash", "-c", RECORD, "-", str(script)], env={**os.environ, **where}, check=True)
    found = [line.split("\x1f")[:-1] for line in calls.read_text().splitlines()]
    assert len(found) >= 5
    for arguments in found:
        command = typer.main.get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[arguments.pop(0)]
        command.make_context(command.name, arguments)  # raises for an unknown option or a missing argument


def test_the_public_files_are_what_the_examples_take_them_for(public_data: Path) -> None:
    def options(*names: str) -> ReadOptions:
        return ReadOptions(columns=parse_columns(names), on_bad_row="skip")

    dialogues = options("clinical_note=dialogue", "model_summary=section_text", "id=ID")
    assert sum(1 for _ in read_examples(public_data / "mts_dialog" / "validation.csv", dialogues)) == 100
    notes = list(read_texts(public_data / "aci_bench" / "valid.csv", options("text=note", "id=encounter_id")))
    assert len(notes) == 20 and all(len(split_sections(note.text)) > 1 for note in notes)
    tally = Tally()
    names = ("id=Text ID", "text=Text", "error_sentence=Error Sentence", "corrected_sentence=Corrected Sentence")
    corrected = list(read_pairs(public_data / "medec" / "validation.csv", options(*names, "edit=Error Type"), tally))
    assert (len(corrected), tally.rows, tally.skipped) == (319, 574, 255)
    assert {pair.edit for pair in corrected} == {
        "management", "diagnosis", "pharmacotherapy", "treatment", "causalOrganism",
    }  # fmt: skip
