"""Pieces of a slice: every element exactly once, each from the right place."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from storage.grid import count_touched, grid_shape, pieces


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, slice]:
    length = draw(st.integers(1, 40))
    start = draw(st.integers(0, length))
    return length, slice(start, draw(st.integers(start, length)))


@given(spans(), spans(), st.integers(1, 12), st.integers(1, 12))
def test_pieces_cover_every_element_exactly_once(rows: tuple[int, slice], cols: tuple[int, slice], height: int, width: int) -> None:
    shape = rows[0], cols[0]
    padded = tuple(count * edge for count, edge in zip(grid_shape(shape, (height, width)), (height, width), strict=True))
    source = np.arange(padded[0] * padded[1]).reshape(padded)
    out = np.full((rows[1].stop - rows[1].start, cols[1].stop - cols[1].start), -1)
    count = 0
    for piece in pieces(rows[1], cols[1], (height, width)):
        i, j = piece.chunk
        chunk = source[i * height : (i + 1) * height, j * width : (j + 1) * width]
        assert (out[piece.target] == -1).all()
        out[piece.target] = chunk[piece.inside]
        count += out[piece.target].size > 0
    assert (out == source[rows[1], cols[1]]).all()
    assert count == count_touched(rows[1], height) * count_touched(cols[1], width)


def test_examples() -> None:
    assert grid_shape((5, 4), (2, 2)) == (3, 2)
    assert count_touched(slice(1, 5), 2) == 3
    assert count_touched(slice(3, 3), 2) == 0
