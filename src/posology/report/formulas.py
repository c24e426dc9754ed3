"""The equation of each stage as MathML, as objectives/losses.py computes it. Constants of ours: nothing from a run."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_TOKEN = re.compile(r"(?P<mi>[a-z]{2,}|[A-Za-zπρσεβΔ])|(?P<mn>\d+)|(?P<mo>\S)")
_KEPT = ' stretchy="false"'  # brackets keep the height of the line


def _row(*parts: str | Markup) -> Markup:
    """Plain letters, words, numbers and signs become MathML; what is Markup already stays."""
    made = Markup("")
    for part in parts:
        if isinstance(part, Markup):
            made += part
            continue
        for match in _TOKEN.finditer(part):
            tag = match.lastgroup
            made += Markup(f"<{tag}{_KEPT if tag == 'mo' else ''}>") + escape(match[0]) + Markup(f"</{tag}>")
    return Markup("<mrow>") + made + Markup("</mrow>")


def _element(tag: str, *rows: str | Markup) -> Markup:
    return Markup(f"<{tag}>") + Markup("").join(_row(row) for row in rows) + Markup(f"</{tag}>")


def _sub(base: str, below: str) -> Markup:
    return _element("msub", base, below)


def _over(top: str | Markup, bottom: str | Markup) -> Markup:
    return _element("mfrac", top, bottom)


def _sum(below: str) -> Markup:
    return _element("munder", "∑", below)


def _math(spoken: str, *lines: Markup) -> Markup:
    """Each line as a formula of its own; `spoken` says them all."""
    shown = Markup("").join(Markup('<math display="block">') + line + Markup("</math>") for line in lines)
    return Markup('<div role="math" aria-label="{}">').format(spoken) + shown + Markup("</div>")


_GIVEN = _row("question ,", _sub("x", "< t"), ")")

FORMULAS = {
    "pretrain": _math(
        "loss = minus the mean over all tokens of log p of a token given what came before",
        _row("L = −", _over("1", "N"), _sum("t"), "log p (", _sub("x", "t"), "∣", _sub("x", "< t"), ")"),
    ),
    "sft": _math(
        "loss = minus the mean over the answer's tokens of log p of a token given the question and what came before",
        _row("L = −", _over("1", "| A |"), _sum("t ∈ A"), _row("log p (", _sub("x", "t"), "∣"), _GIVEN),
    ),
    "reward": _math(
        "loss = minus log sigma of the chosen answer's score minus the rejected answer's",
        _row("L = − log σ (", _sub("r", "chosen"), "−", _sub("r", "rejected"), ")"),
    ),
    "ppo": _math(
        "loss = minus the smaller of rho A and clipped rho A, where rho is pi over old pi",
        _row("L = − min ( ρ A , clip ( ρ , 1 − ε , 1 + ε ) A )"),
        _row("ρ =", _over("π", _sub("π", "old"))),
    ),
    "dpo": _math(
        "loss = minus log sigma of beta times Delta of the chosen answer minus Delta of the rejected, "
        "where Delta is log of pi over reference pi",
        _row("L = − log σ ( β [", _sub("Δ", "chosen"), "−", _sub("Δ", "rejected"), "] )"),
        _row("Δ = log", _over("π", _sub("π", "ref"))),
    ),
}
