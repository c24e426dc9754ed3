"""The equation of each stage as MathML, as objectives/losses.py computes it. Constants of ours: nothing from a run."""

from __future__ import annotations

from markupsafe import Markup


def _math(*lines: str) -> Markup:
    """Lines of MathML, the last argument being how to say them."""
    *bodies, spoken = lines
    return Markup("").join(
        Markup(f'<math display="block"{f" aria-label={chr(34)}{spoken}{chr(34)}" if not i else ""}><mrow>{body}</mrow></math>')
        for i, body in enumerate(bodies)
    )


_LOSS = "<mi>L</mi><mo>=</mo><mo>−</mo>"
_CHOSEN, _REJECTED = "<msub><mi>r</mi><mtext>chosen</mtext></msub>", "<msub><mi>r</mi><mtext>rejected</mtext></msub>"
_SHIFT = (
    "<mi mathvariant='normal'>Δ</mi><mo>=</mo><mi>log</mi><mfrac><mi>π</mi>"
    "<msub><mi>π</mi><mtext>ref</mtext></msub></mfrac>"
)

FORMULAS = {
    "pretrain": _math(
        f"{_LOSS}<mfrac><mn>1</mn><mi>N</mi></mfrac><munder><mo>∑</mo><mi>t</mi></munder><mi>log</mi><mi>p</mi>"
        "<mo stretchy='false'>(</mo><msub><mi>x</mi><mi>t</mi></msub><mo>∣</mo><msub><mi>x</mi><mrow><mo>&lt;</mo><mi>t</mi></mrow></msub><mo stretchy='false'>)</mo>",
        "loss = minus the mean over all tokens of log p of a token given what came before",
    ),
    "sft": _math(
        f"{_LOSS}<mfrac><mn>1</mn><mrow><mo>|</mo><mi>A</mi><mo>|</mo></mrow></mfrac>"
        "<munder><mo>∑</mo><mrow><mi>t</mi><mo>∈</mo><mi>A</mi></mrow></munder><mi>log</mi><mi>p</mi>"
        "<mo stretchy='false'>(</mo><msub><mi>x</mi><mi>t</mi></msub><mo>∣</mo><mtext>question</mtext><mo>,</mo>"
        "<msub><mi>x</mi><mrow><mo>&lt;</mo><mi>t</mi></mrow></msub><mo stretchy='false'>)</mo>",
        "loss = minus the mean over the answer's tokens of log p of a token given the question and what came before",
    ),
    "reward": _math(
        f"{_LOSS}<mi>log</mi><mi>σ</mi><mo stretchy='false'>(</mo>{_CHOSEN}<mo>−</mo>{_REJECTED}<mo stretchy='false'>)</mo>",
        "loss = minus log sigma of the chosen answer's score minus the rejected answer's",
    ),
    "ppo": _math(
        f"{_LOSS}<mi>min</mi><mo stretchy='false'>(</mo><mi>ρ</mi><mi>A</mi><mo>,</mo><mi>clip</mi><mo stretchy='false'>(</mo><mi>ρ</mi><mo>,</mo>"
        "<mn>1</mn><mo>−</mo><mi>ε</mi><mo>,</mo><mn>1</mn><mo>+</mo><mi>ε</mi><mo stretchy='false'>)</mo><mi>A</mi><mo stretchy='false'>)</mo>",
        "<mi>ρ</mi><mo>=</mo><mfrac><mi>π</mi><msub><mi>π</mi><mtext>old</mtext></msub></mfrac>",
        "loss = minus the smaller of rho times A and clipped rho times A, where rho is pi over old pi",
    ),
    "dpo": _math(
        f"{_LOSS}<mi>log</mi><mi>σ</mi><mo stretchy='false'>(</mo><mi>β</mi><mo stretchy='false'>[</mo>"
        "<msub><mi mathvariant='normal'>Δ</mi><mtext>chosen</mtext></msub><mo>−</mo>"
        "<msub><mi mathvariant='normal'>Δ</mi><mtext>rejected</mtext></msub><mo stretchy='false'>]</mo><mo stretchy='false'>)</mo>",
        _SHIFT,
        "loss = minus log sigma of beta times Delta of the chosen answer minus Delta of the rejected, Delta = log pi over reference pi",
    ),
}
