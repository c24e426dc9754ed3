from hypothesis import given
from hypothesis import strategies as st

from posology.text.chat import Encoded
from posology.text.packing import pack


def example(length: int, base: int) -> Encoded:
    return Encoded([base * 1000 + i for i in range(length)], [i % 3 != 0 for i in range(length)])


def test_two_examples_in_a_row_worked_by_hand() -> None:
    packed = pack([Encoded([1, 7, 8], [False, True, True]), Encoded([1, 9], [False, True])], 6, [1, 0])
    (row,) = packed.rows
    assert row.ids == [1, 9, 1, 7, 8]
    assert row.positions == [0, 1, 0, 1, 2]
    assert row.segments == [1, 1, 2, 2, 2]
    assert row.targets == [9, -100, 7, 8, -100]  # never the first token of the next example
    assert packed.fill == 5 / 6


@given(lengths=st.lists(st.integers(1, 40), max_size=150), row=st.integers(8, 48), seed=st.randoms())
def test_every_example_that_fits_is_packed_once_and_whole(lengths: list[int], row: int, seed: object) -> None:
    examples = [example(length, i) for i, length in enumerate(lengths)]
    order = list(range(len(lengths)))
    seed.shuffle(order)  # type: ignore[attr-defined]
    packed = pack(examples, row, order)
    assert packed.dropped == sum(length > row for length in lengths)
    assert sorted(i for group in packed.members for i in group) == [i for i, n in enumerate(lengths) if n <= row]
    for group, line in zip(packed.members, packed.rows, strict=True):
        assert 0 < len(line.ids) <= row
        assert line.ids == [token for i in group for token in examples[i].ids]
        assert line.scored == [s for i in group for s in examples[i].scored]
    assert packed == pack(examples, row, order)


def test_packing_leaves_little_room() -> None:
    lengths = [(i * 37) % 90 + 10 for i in range(400)]
    packed = pack([example(n, i) for i, n in enumerate(lengths)], 256, range(400))
    assert packed.fill > 0.93
    assert all(abs(group[0] - i * 4.6) < 60 for i, group in enumerate(packed.members))  # near the order asked for
