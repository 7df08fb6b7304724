"""Runs of lines of a stored matrix, read as a matrix of their own; chunks are decoded once."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import open_matrix
from tasks.gathered import Part, gathered, together
from tests.tasks.machines import matrix

VALUES = np.random.default_rng(0).standard_normal((60, 47)).astype(np.float32)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("gathered") / "A"
    zarr.create_array(path, shape=VALUES.shape, chunks=(8, 7), dtype="float32")[:] = VALUES
    return open_matrix(path)


@st.composite
def runs(draw, extent):
    edges = sorted(draw(st.sets(st.integers(0, extent), min_size=2, max_size=10)))
    return tuple(zip(edges[::2], edges[1::2], strict=False))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_slice_is_what_numpy_gathers(stored, data):
    axis = data.draw(st.integers(0, 1))
    spans = data.draw(runs(VALUES.shape[axis]))
    expected = np.take(VALUES, np.concatenate([np.arange(*span) for span in spans]), axis)
    small = gathered(stored, axis, spans)
    assert small.shape == expected.shape
    rows, cols = (slice(*sorted(data.draw(st.tuples(*[st.integers(0, edge)] * 2)))) for edge in expected.shape)
    out = np.empty(expected[rows, cols].shape, np.float32)
    small.read_into(out, rows, cols)
    np.testing.assert_array_equal(out, expected[rows, cols])


def test_a_chunk_that_two_runs_share_is_decoded_once(stored):
    out = np.empty((4, 47), np.float32)
    each = 8 * 7 * 4
    assert gathered(stored, 0, ((0, 1), (3, 4), (5, 6), (7, 8))).read_into(out, slice(None), slice(None)) == 7 * each
    assert gathered(stored, 0, ((0, 1), (3, 4), (5, 6), (8, 9))).read_into(out, slice(None), slice(None)) == 14 * each


def test_of_both_sides(stored):
    small = gathered(gathered(stored, 1, ((3, 9), (40, 44))), 0, ((50, 52), (55, 60)))
    out = np.empty((7, 10), np.float32)
    small.read_into(out, slice(None), slice(None))
    np.testing.assert_array_equal(out, VALUES[np.r_[50:52, 55:60]][:, np.r_[3:9, 40:44]])


def test_lines_without_chunks_are_read_alone():
    assert [hull for hull, _ in together([Part((0, 2)), Part((2, 3))], 1)] == [(0, 2), (2, 3)]
    assert gathered(matrix((100, 100)), 0, ((5, 9),)).chunk_bytes == 0
