"""Reading and encoding with several threads: the same values, each chunk decoded once, and errors that wait for all hands."""

import threading
from functools import partial

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import open_matrix
from tasks.hands import bands, each, hands_of, read_block

SPANS = st.tuples(st.integers(0, 60), st.integers(1, 60)).map(lambda pair: slice(pair[0], pair[0] + pair[1]))


def test_a_processor_has_one_hand():
    assert (hands_of("cpu", 8), hands_of("cuda", 8)) == (1, 8)


@given(block=st.tuples(SPANS, SPANS), edges=st.tuples(st.integers(1, 20), st.integers(1, 20)), most=st.integers(1, 9))
def test_bands_are_the_block_and_share_no_chunk(block, edges, most):
    found = list(bands(block, edges, most))
    covered = np.zeros((130, 130), int)
    for part in found:
        covered[part] += 1
    assert covered[block].min() == 1 and covered.sum() == covered[block].size
    chunks = [
        {(row // edges[0], col // edges[1]) for row in (part[0].start, part[0].stop - 1) for col in (part[1].start, part[1].stop - 1)}
        for part in found
    ]
    assert sum(map(len, chunks)) == len(set().union(*chunks))
    most_chunks = max(-(-side.stop // edge) - side.start // edge for side, edge in zip(block, edges, strict=True))
    assert len(found) == min(most, most_chunks)


@settings(deadline=None, max_examples=25)
@given(chunks=st.tuples(st.integers(11, 60), st.integers(11, 60)), block=st.tuples(SPANS, SPANS), hands=st.integers(1, 5))
def test_any_slice_is_read_as_by_one_hand_from_as_many_bytes(tmp_path_factory, chunks, block, hands):
    folder, values = tmp_path_factory.mktemp("matrix"), np.random.default_rng(0).random((121, 121))
    zarr.create_array(folder / "A", data=values, chunks=chunks)
    np.save(folder / "B.npy", values)
    for matrix in (open_matrix(folder / "A"), open_matrix(folder / "B.npy")):
        out = np.full(values[block].shape, np.nan)
        assert read_block(hands, matrix, out, *block) == matrix.read_into(out.copy(), *block)
        np.testing.assert_array_equal(out, values[block])


def test_jobs_go_at_the_same_time_and_answer_in_their_order():
    meet = threading.Barrier(3, timeout=30)
    assert each(3, [lambda number=number: (meet.wait(), number)[1] for number in range(3)]) == [0, 1, 2]


def test_of_several_hands_none_is_the_caller():
    assert threading.get_ident() not in each(2, [threading.get_ident])
    assert each(1, [threading.get_ident] * 2) == [threading.get_ident()] * 2


def test_what_fails_is_raised_once_nobody_is_at_work():
    failed, ended = threading.Event(), list[int]()

    def fail():
        failed.set()
        raise OSError("no room")

    def go_on(number: int):
        failed.wait(30)
        ended.append(number)

    with pytest.raises(OSError, match="no room"):
        each(2, [partial(go_on, 0), fail, *(partial(go_on, number) for number in range(1, 9))])
    assert 0 in ended
    count = len(ended)
    assert each(2, [lambda: 1, lambda: 2]) == [1, 2] and len(ended) == count
