"""A look at some chunks before the plan: never more than 2 % of the bytes, and true enough to plan with."""

from dataclasses import astuple, dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.grid import count_touched
from tasks.forecast import random_data
from tasks.sample import SHARE, look, looked_at, sample
from tests.tasks.machines import job, problem

EXTENT = st.integers(1, 4000)
CHUNKS = st.one_of(st.none(), st.tuples(st.integers(1, 300), st.integers(1, 300)))


@dataclass
class Read:
    """A source that counts every byte that it decodes: whole chunks, and never one outside the matrix."""

    values: np.ndarray
    chunks: tuple[int, int]
    decoded: list[int] = field(default_factory=list)

    def read_into(self, out, rows, cols):
        assert rows.stop <= self.values.shape[0] and cols.stop <= self.values.shape[1]
        out[...] = self.values[rows, cols]
        (height, width), each = self.chunks, self.chunks[0] * self.chunks[1] * self.values.dtype.itemsize
        self.decoded.append(count_touched(rows, height) * count_touched(cols, width) * each)
        return self.decoded[-1]


def seen(a, b, chunks=(None, None), transposed=(False, False)):
    """A problem whose op(A) and op(B) hold these values, stored as asked."""
    made = problem((a.shape[0], a.shape[1], b.shape[1]), (a.dtype.name, b.dtype.name), chunks, transposed)
    stored = [x.T if turned else x for x, turned in zip((a, b), transposed, strict=True)]
    sides = zip((made.a, made.b), stored, strict=True)
    operands = [replace(side, matrix=replace(side.matrix, source=Read(x, side.matrix.chunks))) for side, x in sides]
    return replace(made, a=operands[0], b=operands[1])


def bytes_read(made):
    return sum(made.a.matrix.source.decoded) + sum(made.b.matrix.source.decoded)


def random_pair(m=1200, k=2000, n=1000, dtype="float32"):
    rng = np.random.default_rng(1)
    return rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)


def look_at_all(a, b):
    """The truth, from every value."""
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    concentration = np.sqrt((np.square(a).sum(0) * np.square(b).sum(1)).sum()) / norms
    peaks = [np.sqrt(np.square(np.abs(x).max(1)).sum() / np.square(x).mean(1).sum()) for x in (a, b.T)]
    return replace(random_data(a.shape[1]), concentration=concentration, size=np.linalg.norm(a @ b) / norms, peak=max(peaks))


@settings(deadline=None, max_examples=60)
@given(EXTENT, EXTENT, EXTENT, st.tuples(CHUNKS, CHUNKS), st.tuples(st.booleans(), st.booleans()))
def test_never_more_than_its_share_of_the_bytes_is_read_and_all_of_it_is_counted(m, k, n, chunks, transposed):
    a, b = np.broadcast_to(np.float32(1), (m, k)), np.broadcast_to(np.int8(2), (k, n))
    made = seen(a, b, chunks, transposed)
    data = sample(made)
    read = bytes_read(made)
    assert read <= SHARE * (a.nbytes + b.nbytes) == SHARE * (made.a.nbytes + made.b.nbytes)
    assert read == (data.sampled_bytes if data else 0)
    if data:
        assert 0 < data.concentration <= 1 and 0 < data.size <= 1 and 1 <= data.peak <= k**0.5


def test_nothing_is_read_where_a_single_pair_of_chunks_is_more_than_the_share():
    a, b = random_pair(1000, 1000, 1000)
    made = seen(a, b, ((1000, 100), (100, 1000)))
    assert sample(made) is None
    assert bytes_read(made) == 0
    assert sample(seen(a, b, ((100, 100), (100, 100)))) is not None


def test_files_without_chunks_are_looked_at_in_as_many_lines_as_there_is_room_for():
    small, large = (sample(seen(*random_pair(size, 800, size))) for size in (500, 2000))
    assert 0.005 < small.sampled_bytes / (2 * 4 * 500 * 800) <= SHARE
    assert small.sampled_bytes < large.sampled_bytes
    assert sample(seen(*random_pair(100, 100, 100))) is None


KNOWN = [(values, look_at_all(*values)) for values in (random_pair(), tuple(map(np.abs, random_pair())))]
"""Values and the truth of them."""


@pytest.mark.parametrize("chunks", [((64, 64), (64, 64)), ((40, 100), (30, 90)), (None, None), (None, (50, 50)), ((8, 100), None)])
@pytest.mark.parametrize("transposed", [(False, False), (True, True), (True, False)])
def test_it_finds_what_random_and_positive_numbers_are(chunks, transposed):
    for values, true in KNOWN:
        found = sample(seen(*values, chunks, transposed))
        assert found is not None
        assert found.concentration == pytest.approx(true.concentration, rel=0.1)
        assert found.size == pytest.approx(true.size, rel=0.5)
        assert found.peak == pytest.approx(true.peak, rel=0.5)


def test_a_transposed_matrix_tells_what_the_matrix_tells():
    a, b = random_pair(900, 1100, 700)
    a[:, 5] *= 50
    plain, turned = sample(seen(a, b, ((90, 110), (110, 70)))), sample(seen(a, b, ((110, 90), (70, 110)), (True, True)))
    assert astuple(turned) == pytest.approx(astuple(plain), rel=1e-9)


def test_columns_that_hold_everything_are_found_wherever_the_look_falls():
    a, b = random_pair(2000, 2000, 2000)
    a[:, ::7] *= 100
    b[::7] *= 100
    found = sample(seen(a, b, ((128, 128), (128, 128))))
    assert found.concentration == pytest.approx(look_at_all(a, b).concentration, rel=0.1)


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e305, 1e-305])
def test_values_whose_squares_do_not_fit_tell_the_same(scale):
    a, b = random_pair(500, 600, 400, "float64")
    assert look(a * scale, b, 600).concentration == pytest.approx(look(a, b, 600).concentration, rel=1e-9)
    assert look(a * scale, b * scale, 600).size == pytest.approx(look(a, b, 600).size, rel=1e-9)
    assert look(a * scale, b / scale, 600).peak == pytest.approx(look(a, b, 600).peak, rel=1e-9)


def test_values_of_one_block_that_are_far_apart_lose_only_what_counts_for_nothing():
    a, b = random_pair(50, 60, 40, "float64")
    a[:25] *= 1e-300
    a[25:] *= 1e300
    assert look(a, b, 60).size == pytest.approx(look(a[25:] / 1e300, b, 60).size, rel=1e-9)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf])
def test_blocks_that_tell_nothing_are_left_out(bad):
    a, b = random_pair(1000, 1000, 1000)
    chunks = ((50, 100), (100, 50))
    a[:50, :100] = bad
    partly = seen(a, b, chunks)
    found = sample(partly)
    assert found.concentration == pytest.approx(1000**-0.5, rel=0.1)
    a[...] = bad
    nowhere = seen(a, b, chunks)
    taken = random_data(1000)
    assert sample(nowhere) == replace(taken, sampled_bytes=bytes_read(nowhere))
    assert bytes_read(partly) == bytes_read(nowhere) == found.sampled_bytes > 0


def test_chunks_that_were_never_written_cost_nothing():
    made = seen(*random_pair(1000, 1000, 1000), ((50, 100), (100, 50)))
    made.a.matrix.source.values[...] = 0
    for operand in (made.a, made.b):
        operand.matrix.source.read_into = lambda out, rows, cols: out.fill(0) or 0
    assert sample(made) is None


def test_integers_are_looked_at_as_well():
    rng = np.random.default_rng(0)
    a, b = rng.integers(-128, 128, (2000, 2000), np.int8), rng.integers(0, 2**32, (2000, 2000)).astype(np.uint32)
    assert sample(seen(a, b, ((100, 100), (100, 100)))).concentration == pytest.approx(2000**-0.5, rel=0.1)


def test_only_a_measured_guarantee_asks_for_a_look():
    made = seen(*random_pair(1000, 1000, 1000), ((50, 100), (100, 50)))
    assert looked_at(job(), made).data is None
    assert bytes_read(made) == 0
    assert looked_at(job(guarantee="measured", max_error=1e-3), made).data is not None
