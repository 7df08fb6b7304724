"""The geometry of results."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import BadInput, OutputSpec, default_chunks
from storage.codecs import LARGEST_CHUNK_BYTES


@given(st.integers(1, 10**7), st.integers(1, 10**7), st.sampled_from([1, 2, 4, 8]))
def test_default_chunks_are_cut_to_the_shape_and_4_to_16_mib(rows: int, cols: int, itemsize: int) -> None:
    edges = default_chunks((rows, cols), itemsize)
    nbytes = math.prod(edges) * itemsize
    assert nbytes <= 16 << 20
    assert nbytes >= 4 << 20 or edges == (rows, cols)
    for edge, length in zip(edges, (rows, cols), strict=True):
        assert edge == length or (edge < length and (edge.bit_count() == 1 or min(rows, cols) < edge))


def test_default_chunks_by_example() -> None:
    assert default_chunks((9000, 9000), 4) == (2048, 2048)
    assert default_chunks((9000, 9000), 8) == (1024, 1024)
    assert default_chunks((10**6, 256), 4) == (4096, 256)
    assert default_chunks((3, 5), 8) == (3, 5)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"dtype": "complex64"}, "complex64"),
        ({"shape": (0, 3)}, "at least 1"),
        ({"chunks": (2, 0)}, "at least 1"),
        ({"codec": "lzma"}, "not known"),
        ({"shard": (8, 6)}, r"shard \(8, 6\) must be whole multiples of chunks \(4, 4\)"),
        ({"shard": (0, 4)}, "whole multiples"),
        ({"chunks": (1 << 15, 1 << 14), "shape": (1 << 15, 1 << 14)}, str(LARGEST_CHUNK_BYTES)),
    ],
)
def test_results_that_cannot_be_stored_are_refused(change: dict, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        OutputSpec(**{"shape": (8, 8), "dtype": "float32", "chunks": (4, 4), "codec": "none", **change})


edges = st.integers(1, 12)


@given(st.integers(1, 40), edges, edges)
def test_a_triangle_is_every_file_with_an_element_on_or_below_the_diagonal(size: int, height: int, width: int) -> None:
    spec = OutputSpec((size, size), "float32", (height, width), "none", lower=True)
    below = {(row // height, col // width) for row in range(size) for col in range(row + 1)}
    assert set(spec.places) == below
    assert spec.keys == [f"c/{row}/{col}" for row, col in sorted(below)]
    cells = ((row, col) for row in range(size) for col in range(size))
    assert spec.elements == sum((row // height, col // width) in below for row, col in cells)
    whole = OutputSpec((size, size), "float32", (height, width), "none")
    assert whole.elements == size * size and len(whole.keys) == math.prod(whole.grid)


def test_the_files_of_a_triangle_of_shards_are_shards() -> None:
    spec = OutputSpec((10, 10), "float64", (2, 2), "none", shard=(4, 4), lower=True)
    assert spec.places == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]


def test_what_has_no_triangle_is_refused() -> None:
    with pytest.raises(BadInput, match="a product of 4 x 5 has no triangle"):
        OutputSpec((4, 5), "float32", (2, 2), "none", lower=True)
    with pytest.raises(BadInput, match=r"a triangle of int64 cannot be stored: .* would read as 0"):
        OutputSpec((4, 4), "int64", (2, 2), "none", lower=True)
