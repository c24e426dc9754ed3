"""matplotlib's SVG -> SVG that lives in a page: colours become classes, text stays text, nothing is styled inline.

A page under a strict content security policy runs no inline style. So a figure is drawn in stand-in colours, one a tone,
and each becomes a class ("f-" fills, "s-" strokes) that the stylesheet colours for light and dark.
"""

from __future__ import annotations

import io
import re
from contextlib import AbstractContextManager
from html import escape
from typing import Any
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

TONES = ("ink", "muted", "rule", "paper", "pretrain", "sft", "reward", "ppo", "dpo", "good", "bad")
STAND_INS = {tone: f"#0102{number:02x}" for number, tone in enumerate(TONES, start=1)}
_TONE_OF = {colour: tone for tone, colour in STAND_INS.items()}

UNIT = 72.0  # user units an inch: font sizes below are in these units
RC: Any = {  # matplotlib names its 300 settings in a type of its own
    "svg.fonttype": "none",  # text as text: small, selectable, and in the reader's own font
    "svg.hashsalt": "posology",  # ids that do not change from one drawing to the next
    "font.family": "DejaVu Sans",
    "xtick.labelsize": 11.5,
    "ytick.labelsize": 11.5,
    "font.size": 12.0,
    "axes.titlesize": 12.0,
    "axes.titlelocation": "left",
    "axes.titlecolor": STAND_INS["muted"],
    "axes.titlepad": 8.0,
    "axes.edgecolor": STAND_INS["rule"],
    "axes.labelcolor": STAND_INS["muted"],
    "axes.facecolor": "none",
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": STAND_INS["rule"],
    "grid.linewidth": 0.8,
    "xtick.color": STAND_INS["muted"],
    "ytick.color": STAND_INS["muted"],
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "text.color": STAND_INS["ink"],
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
}  # fmt: skip

_COLOUR = re.compile(r"#[0-9a-f]{6}")
_NUMBER = re.compile(r"-?\d+\.\d+")
_FONT = re.compile(r"(?:(?P<style>italic|oblique) )?(?:(?P<weight>bold|\d{3}) )?(?P<size>[\d.]+)px")
_REFERENCE = re.compile(r"#([\w.-]+)")
KEPT = ("x", "y", "width", "height", "d", "transform", "id", "clip-path", "cx", "cy", "r", "points")


def styled() -> AbstractContextManager[None]:
    """matplotlib's settings for as long as something is drawn."""
    return matplotlib.rc_context(RC)


def draw(figure: Figure, name: str, title: str, description: str) -> Markup:
    """The figure as an <svg> element. `name` keeps its ids apart from those of other figures on the page."""
    buffer = io.StringIO()
    with styled():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())
    used = {
        found for element in root.iter() for value in element.attrib.values() for found in _REFERENCE.findall(value)
    }
    body = "".join(_element(child, name, used) for child in root)
    head = f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    label = f"{title}. {description}"
    return Markup(
        f'<svg class="chart" viewBox="{root.attrib["viewBox"]}" role="img" aria-label="{escape(label)}">{head}{body}</svg>'
    )


def _element(element: ElementTree.Element, name: str, used: set[str]) -> str:
    tag = element.tag.rpartition("}")[2]
    if tag in ("metadata", "style"):
        return ""
    inside = escape(element.text or "", quote=False).strip("\n ") if tag in ("text", "tspan") else ""
    inside += "".join(_element(child, name, used) for child in element)
    if not inside and tag in ("g", "defs"):
        return ""
    attributes = "".join(f' {key}="{escape(value)}"' for key, value in _attributes(element, name, used).items())
    return f"<g>{inside}</g>" if tag == "g" and not attributes else f"<{tag}{attributes}>{inside}</{tag}>"


def _attributes(element: ElementTree.Element, name: str, used: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in element.attrib.items():
        key = key.rpartition("}")[2]
        if key == "href":
            found["href"] = f"#{name}-{value.removeprefix('#')}"
        elif key == "id":
            if value in used:
                found["id"] = f"{name}-{value}"
        elif key in KEPT:
            shown = _REFERENCE.sub(rf"#{name}-\1", value) if key == "clip-path" else value
            found[key] = _rounded(shown) if key in ("d", "transform", "x", "y", "points") else shown
    tones = [*_style(element.attrib.get("style", ""), found)]
    if tones:
        found["class"] = " ".join(tones)
    return found


def _style(style: str, found: dict[str, str]) -> list[str]:
    """Put a style's declarations into attributes; return the classes that its colours became."""
    classes = []
    for declaration in filter(None, (part.strip() for part in style.split(";"))):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key in ("fill", "stroke"):
            if colour := _COLOUR.fullmatch(value):
                classes.append(f"{key[0]}-{_TONE_OF[colour[0]]}")
            else:
                found[key] = value  # "none"
        elif key == "font":
            match = _FONT.match(value)
            assert match, f"matplotlib wrote a font that is not understood: {value}"
            found["font-size"] = f"{float(match['size']):g}"
            found |= {"font-weight": match["weight"]} if match["weight"] else {}
        elif key == "font-size":
            found[key] = value.removesuffix("px")
        elif key == "font-weight" or key == "text-anchor" or key.startswith(("stroke-", "fill-", "opacity")):
            found[key] = value
    return classes


def _rounded(text: str) -> str:
    """A tenth of a unit is finer than a screen shows, and half the bytes."""
    return _NUMBER.sub(lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), text)
