"""How rows of tokens become one stream without padding and without repeats. Legend: B rows, T places, N tokens of the
stream, S segments of a block, L its longest segment.

A segment of the stream is one example, or two that begin alike: the tokens of the first, then those of the second from
where they part (a preference pair shares its prompt and the answer up to the edit: about 40 % of its tokens). The
second one's own tokens see the shared beginning and themselves, so every token sees exactly what it saw in its row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SPREAD = 1.5  # longest over shortest segment of a block
WORTH = 8  # tokens that two rows must have in common at their beginning


@dataclass(frozen=True)
class Block:
    """Segments of similar length: stream[start:stop], padded to `count` x `length` places; `slots_N` says which.

    `fork_S` and `end_S`: a place from end_S on does not see places from fork_S to end_S (the first example's own).
    None where no segment holds two examples.
    """

    start: int
    stop: int
    count: int
    length: int
    slots_N: Tensor
    fork_S: Tensor | None
    end_S: Tensor | None

    def bias(self, dtype: torch.dtype) -> Tensor:
        """(1 or S, 1, L, L): 0 where a query (third axis) sees a key (fourth), -inf where it does not."""
        hidden = torch.ones(self.length, self.length, dtype=torch.bool).triu_(1)[None]
        if self.fork_S is not None and self.end_S is not None:
            place = torch.arange(self.length)
            late = (place >= self.end_S[:, None])[:, :, None]
            other = ((place >= self.fork_S[:, None]) & (place < self.end_S[:, None]))[:, None, :]
            hidden = hidden | (late & other)
        return torch.zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, float("-inf"))[:, None]


@dataclass(frozen=True)
class Layout:
    """`tokens_N`: for each token of the stream its place in the flattened rows. `where`: for each place of the rows its
    token in the stream, -1 on padding; with `shared` two places may have one token."""

    tokens_N: Tensor
    where: Tensor
    blocks: tuple[Block, ...]
    shared: bool


def layout_of(segments_BT: Tensor, ids_BT: Tensor | None = None, positions_BT: Tensor | None = None) -> Layout:
    """Sort the segments of all rows by length and group them into blocks. O(B T log(B T)), once a batch.

    With ids and positions, rows i and i + B / 2 share the tokens that they begin with (where each row holds one
    example and begins with it): in a batch of pairs the chosen answers stand above the rejected ones.
    """
    rows, width = segments_BT.shape
    half = rows // 2
    common_P = _common(segments_BT, ids_BT, positions_BT)
    row_B, first_P = torch.arange(rows), torch.arange(half)
    kept_BT = segments_BT > 0
    repeated_PT = torch.arange(width) < common_P[:, None]
    shared = bool(common_P.any())
    if shared:
        row_B[half:] = torch.where(common_P > 0, first_P, row_B[half:])
        kept_BT[half:] &= ~repeated_PT

    real = kept_BT.flatten().nonzero().squeeze(1)
    keys = (segments_BT + row_B[:, None] * (width + 1)).flatten()[real]
    names, segment_N, counts = torch.unique(keys, return_inverse=True, return_counts=True)
    by_length = torch.argsort(counts, stable=True)
    rank = torch.empty_like(by_length)
    rank[by_length] = torch.arange(len(counts))
    rank_N, order = torch.sort(rank[segment_N], stable=True)
    tokens_N = real[order]
    lengths_S = counts[by_length]
    start_S = torch.cumsum(lengths_S, 0) - lengths_S
    offset_N = torch.arange(len(tokens_N)) - start_S[rank_N]

    where = torch.full((rows * width,), -1)
    where[tokens_N] = torch.arange(len(tokens_N))
    fork_S = end_S = None
    if shared:
        table = where.view(rows, width)
        table[half:] = torch.where(repeated_PT, table[:half], table[half:])
        row_S = names[by_length] // (width + 1)
        pair_S = row_S.clamp_max(half - 1)
        two_S = (row_S < half) & (common_P[pair_S] > 0)
        fork_S = torch.where(two_S, common_P[pair_S], lengths_S)
        end_S = torch.where(two_S, (segments_BT[:half] > 0).sum(1)[pair_S], lengths_S)
    return Layout(tokens_N, where, _blocks(lengths_S, start_S, rank_N, offset_N, fork_S, end_S), shared)


def _common(segments_BT: Tensor, ids_BT: Tensor | None, positions_BT: Tensor | None) -> Tensor:
    """(B / 2,): how many tokens rows i and i + B / 2 begin with alike; 0 where that is not worth it or not known."""
    half = segments_BT.shape[0] // 2
    none_P = torch.zeros(half, dtype=torch.long)
    if ids_BT is None or positions_BT is None or segments_BT.shape[0] % 2 or half == 0:
        return none_P
    if bool((segments_BT > 1).any()) or not bool(segments_BT[:, 0].all()):
        return none_P
    alike = (ids_BT[:half] == ids_BT[half:]) & (positions_BT[:half] == positions_BT[half:])
    alike &= (segments_BT[:half] > 0) & (segments_BT[half:] > 0)
    common_P = alike.long().cumprod(1).sum(1)
    return common_P.where(common_P >= WORTH, none_P)


def _blocks(
    lengths_S: Tensor, start_S: Tensor, rank_N: Tensor, offset_N: Tensor, fork_S: Tensor | None, end_S: Tensor | None
) -> tuple[Block, ...]:
    """Cut the segments, shortest first, wherever one is much longer than the first of its block."""
    blocks = []
    sizes, starts = lengths_S.tolist(), start_S.tolist()
    begin = 0
    for end in range(1, len(sizes) + 1):
        if end == len(sizes) or sizes[end] > SPREAD * sizes[begin] + 4:
            start, stop, longest = starts[begin], starts[end - 1] + sizes[end - 1], sizes[end - 1]
            slots_N = (rank_N[start:stop] - begin) * longest + offset_N[start:stop]
            forks, ends = (None if part is None else part[begin:end] for part in (fork_S, end_S))
            blocks.append(Block(start, stop, end - begin, longest, slots_N, forks, ends))
            begin = end
    return tuple(blocks)
