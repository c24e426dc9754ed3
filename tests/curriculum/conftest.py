"""One small curriculum for all tests of this room, made once."""

from __future__ import annotations

import pytest

from posology.config import DataConfig
from posology.curriculum.build import Curriculum, build_curriculum
from posology.curriculum.supply import Supply
from posology.knowledge.library import Library, load_library

SMALL = DataConfig(questions=8, pairs=6, items=0.12, facts_limit=160)


@pytest.fixture(scope="session")
def library() -> Library:
    return load_library()


@pytest.fixture(scope="session")
def supply(library: Library) -> Supply:
    return Supply.make(library, 0, SMALL.facts_limit)


@pytest.fixture(scope="session")
def curriculum(library: Library) -> Curriculum:
    return build_curriculum(SMALL, 0, library)
