"""Which rows and columns are looked at: one run in each stratum, and never more bytes than is said."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import OutputSpec
from tasks import stripes
from tasks.errors import Refused
from tasks.planner import make_plan
from tasks.stripes import MOST_BYTES, MOST_SHARE, SHARE, Drawing, draw, draw_more
from tests.tasks.machines import GIB, hardware, job, matrix, problem


def drawing(shape, chunks=((1000, 1000), (1000, 1000)), filled=None, **fields):
    made = problem(shape, chunks=chunks)
    plan = make_plan(job(memory=2 * GIB), made, hardware())
    spec = OutputSpec((made.m, made.n), plan.dtype_out, fields.pop("chunk", plan.chunk), "none", **fields)
    grid = [-(-edge // chunk) for edge, chunk in zip(spec.shape, spec.chunks, strict=True)]
    return Drawing(made, plan, spec, np.ones(grid, bool) if filled is None else filled(grid))


EXTENT = st.integers(1, 40_000)
CHUNKS = st.one_of(st.none(), st.tuples(st.integers(100, 3000), st.integers(100, 3000)))


@settings(deadline=None, max_examples=20)
@given(EXTENT, EXTENT, EXTENT, st.tuples(CHUNKS, CHUNKS))
def test_runs_lie_in_their_chunks_and_cost_no_more_than_they_may(m, k, n, chunks):
    made = drawing((m, k, n), chunks)
    most = max(SHARE * made.whole, MOST_BYTES, MOST_SHARE * made.whole)
    try:
        drawn = draw(made)
    except Refused:
        assert stripes._draw(made, 1).cost > most
        return
    assert drawn.cost <= most
    for side, extent, edge in zip((drawn.rows, drawn.cols), (m, n), made.spec.chunks, strict=True):
        assert len(set(side.places)) == len(side.places)
        for place, (start, stop) in zip(side.places, side.spans, strict=True):
            assert place * edge <= start < stop <= min((place + 1) * edge, extent)
        assert side.seen <= 1
        assert [side.line(cut.start) for cut in side.cuts] == [start for start, _ in side.spans]


def test_of_large_matrices_two_percent_are_enough():
    made = drawing((1_200_000, 2_000, 1_200_000))
    drawn = draw(made)
    assert drawn.cost <= SHARE * made.whole
    assert len(drawn.rows.places) == len(drawn.cols.places) == max(stripes.STRATA)


def test_of_middling_ones_more_is_read_up_to_a_limit():
    made = drawing((10_000, 8_000, 10_000))
    first = draw(made)
    assert SHARE * made.whole < first.cost <= MOST_BYTES
    assert draw_more(made, first) is None, "both together would be more"
    small = drawing((4_000, 3_000, 4_000), ((100, 100), (100, 100)), chunk=(100, 100))
    more = draw_more(small, draw(small))
    assert more is not None and len(more.rows.places) > len(draw(small).rows.places)
    assert draw(small).cost + more.cost <= MOST_BYTES


def test_every_stratum_has_its_run():
    made = drawing((400_000, 2_000, 400_000))
    drawn, count = draw(made), made.filled.shape[0]
    parts = len(drawn.rows.places)
    assert [place * parts // count for place in drawn.rows.places] == list(range(parts))


def test_nothing_is_drawn_where_one_chunk_is_too_much():
    made = drawing((40_000, 400_000, 40_000), ((20_000, 1000), (1000, 20_000)))
    with pytest.raises(
        Refused, match=r"one block of the product needs 59\.6 GiB of A and B in whole chunks, more than 11\.9 GiB; leave --sample out"
    ):
        draw(made)


def test_c0_is_among_the_bytes():
    made = drawing((10_000, 8_000, 10_000))
    added = replace(made, problem=replace(made.problem, add=matrix((10_000, 10_000), chunks=(1000, 1000))))
    assert made.whole + 4 * 10_000**2 == added.whole
    assert draw(added).added > 0 == draw(made).added


def test_runs_meet_where_the_product_is_not_known_to_be_zero():
    made = drawing((40_000, 2_000, 40_000), filled=lambda grid: np.eye(grid[0], grid[1], dtype=bool))
    drawn = draw(made)
    assert drawn.cols.places == drawn.rows.places


def test_a_single_run_of_a_triangle_is_on_its_diagonal(monkeypatch):
    monkeypatch.setattr(stripes, "STRATA", (1,))
    monkeypatch.setattr(stripes, "SHARE", 1.0)
    drawn = draw(drawing((40_000, 2_000, 40_000), lower=True))
    assert drawn.rows.places == drawn.cols.places


def test_the_same_job_draws_the_same():
    assert draw(drawing((40_000, 2_000, 30_000))) == draw(drawing((40_000, 2_000, 30_000)))
