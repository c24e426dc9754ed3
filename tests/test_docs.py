"""Documentation is checked: every command that the README shows parses, and every file that it names is there."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from posology.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"posology [a-z][^`|\n#]*")


ROOT_COMMAND = typer.main.get_command(app)
NAMES = set(ROOT_COMMAND.commands)


def commands() -> list[str]:
    found = [match.strip() for page in PAGES for match in COMMAND.findall(page.read_text())]
    return sorted({text for text in found if text.split()[1] in NAMES})


@pytest.mark.parametrize("text", commands())
def test_every_documented_command_parses(text: str) -> None:
    command = ROOT_COMMAND
    arguments = shlex.split(text)[1:]
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    command.make_context(command.name, arguments)  # raises for an unknown option or a missing argument


def test_the_readme_shows_commands_at_all() -> None:
    assert len(commands()) >= 8


@pytest.mark.parametrize(
    "name", ["configs/laptop.yaml", "configs/smoke.yaml", "docs/LOG.md", "LICENSE", "src/posology/training/fit.py"]
)
def test_named_files_exist(name: str) -> None:
    assert (ROOT / name).is_file()
