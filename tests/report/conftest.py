"""One finished example run, its view and its page, shared by the tests of this folder. Nothing changes them."""

from pathlib import Path

import pytest

from posology.report.gather import gather
from posology.report.page import render
from posology.report.view import RunView
from posology.runs import Run

from .example_run import make_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def view(run: Run) -> RunView:
    return gather(run)


@pytest.fixture(scope="session")
def page(view: RunView) -> str:
    return render(view)


@pytest.fixture
def empty(tmp_path: Path) -> Run:
    return make_run(tmp_path, (), graded=False, doctor=False)
