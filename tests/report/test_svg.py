"""matplotlib's drawings, fit for a page under a strict policy."""

import re

import pytest
from matplotlib.figure import Figure

from posology.report.svg import STAND_INS, draw, styled


def drawing() -> str:
    with styled():
        figure = Figure(figsize=(3, 2))
        axes = figure.add_subplot()
        axes.plot([0, 1, 2], [3, 1, 2], color=STAND_INS["ppo"], marker="o", linestyle="--", alpha=0.5)
        axes.set_title("a < b & c", color=STAND_INS["ink"])
    return str(draw(figure, "one", "Title <1>", "desc & more"))


def test_nothing_is_styled_inline_and_no_colour_is_left() -> None:
    svg = drawing()
    assert "style" not in svg
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    assert 'class="s-ppo"' in svg or 's-ppo"' in svg
    assert "http" not in svg and "<metadata" not in svg


def test_text_stays_text_and_is_escaped() -> None:
    svg = drawing()
    assert "a &lt; b &amp; c</text>" in svg
    assert "<title>Title &lt;1&gt;</title><desc>desc &amp; more</desc>" in svg


def test_ids_are_this_figures_own_and_every_reference_has_its_target() -> None:
    svg = drawing()
    ids = re.findall(r' id="([^"]+)"', svg)
    assert ids and all(name.startswith("one-") for name in ids)
    assert set(re.findall(r"#([\w-]+)", svg)) == set(ids)


def test_the_same_figure_is_the_same_bytes() -> None:
    assert drawing() == drawing()


def test_a_colour_outside_the_palette_is_our_mistake() -> None:
    with styled():
        figure = Figure(figsize=(3, 2))
        figure.add_subplot().plot([0, 1], [0, 1], color="#ff0000")
    with pytest.raises(KeyError):
        draw(figure, "x", "", "")
