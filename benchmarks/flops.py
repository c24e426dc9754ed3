"""Floating-point operations of a training step with LoRA on a Llama.

Floating-point operations, 2 for a multiply and add. P: parameters of the layers' matrices, A: of the adapters, V: of the
output head; L layers, D width. Of rows with n tokens (real, or with padding), s of them scored:

    forward   F = 2 (P + A) sum n + 4 L D sum n^2 + 2 V sum s
    backward  B = 2 (P + 2 A) sum n + 8 L D sum n^2 + 2 V sum s

The second terms are attention's scores and weighted values, over all pairs of places as is usual (Chowdhery et al. 2022,
"PaLM", appendix B: 12 L D n a token, forward and backward). Backward is no 2 F: frozen matrices need no gradient of
their own, so that a LoRA step is about 4 P a token and not 6 P.

    model FLOPs     SFT: F + B. DPO: 2 F + B (the reference's pass is part of the method). Real tokens.
    hardware FLOPs  the same over all places, padding too, and F without the head once more: recomputed activations
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rows:
    """The rows that a step sends through the model: lengths without padding, their width with it, tokens scored."""

    lengths: tuple[int, ...]
    width: int
    scored: int

    @property
    def real(self) -> int:
        return sum(self.lengths)

    @property
    def places(self) -> int:
        return len(self.lengths) * self.width


@dataclass(frozen=True)
class Matrices:
    """Parameters that a token is multiplied with, and what attention costs."""

    layers: int
    adapters: int
    head: int
    depth: int
    width: int

    def forward(self, n: int, squares: int, scored: int) -> float:
        """F of the docstring above."""
        return 2 * (self.layers + self.adapters) * n + 4 * self.depth * self.width * squares + 2 * self.head * scored

    def backward(self, n: int, squares: int, scored: int) -> float:
        """B of the docstring above."""
        return (
            2 * (self.layers + 2 * self.adapters) * n + 8 * self.depth * self.width * squares + 2 * self.head * scored
        )


def matrices(shape: dict[str, int], rank: int = 16) -> Matrices:
    """Of a Llama with adapters on q and v. Grouped keys are not foreseen: 7B has none."""
    width, mlp, depth = shape["hidden_size"], shape["intermediate_size"], shape["num_hidden_layers"]
    layers = depth * (4 * width * width + 3 * width * mlp)
    return Matrices(layers, depth * 2 * 2 * width * rank, width * shape["vocab_size"], depth, width)


def operations(rows: Rows, about: Matrices, forwards: int) -> tuple[float, float]:
    """(model, hardware) FLOPs of a step with `forwards` forward passes and one backward pass."""
    real = (rows.real, sum(n * n for n in rows.lengths), rows.scored)
    every = (rows.places, len(rows.lengths) * rows.width**2, rows.scored)
    again = about.forward(every[0], every[1], 0)  # in the backward pass, from each layer's input
    model = forwards * about.forward(*real) + about.backward(*real)
    return model, forwards * about.forward(*every) + about.backward(*every) + again
