import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import OutputSpec
from tasks.candidate import Candidate, with_slabs
from tasks.ladder import ARITHMETICS
from tasks.plan import TileShape
from tasks.walk import runs
from tests.tasks.machines import hardware


def candidate(shape, tile, kept=(False, False), workers=1, arithmetic="float32", **fields):
    output = OutputSpec(shape=(shape[0], shape[2]), dtype="float32", chunks=tile[:2], codec="blosc-lz4")
    (layout, *_) = hardware().layouts
    made = {"output": output, "layout": layout, "workers": workers, "device": "cpu", "probes": 8} | fields
    return Candidate(shape, ARITHMETICS[arithmetic], TileShape(*tile), kept, **made)


@pytest.mark.parametrize(
    ("kept", "slots", "residency"),
    [
        ((False, False), (1, 1), "C"),
        ((True, False), (5, 1), "A"),
        ((False, True), (1, 5), "B"),
        ((True, True), (5, 5), "B"),
    ],
)
def test_kept_panels_have_a_slot_for_every_slab(kept, slots, residency):
    way = candidate((40, 50, 20), (10, 10, 10), kept)
    assert way.grid == (4, 2, 5)
    assert (way.slots, way.residency) == (slots, residency)
    assert way.walk.grid == way.grid


def test_of_two_kept_panels_the_one_that_serves_more_tiles_is_outside():
    assert candidate((20, 50, 40), (10, 10, 10), (True, True)).residency == "A"


def test_other_slabs_leave_all_else_as_it_is():
    way = candidate((40, 50, 20), (10, 10, 10), workers=2)
    deeper = with_slabs(way, 25, (True, False))
    assert (deeper.tile, deeper.grid, deeper.slots) == (TileShape(10, 10, 25), (4, 2, 2), (2, 1))
    assert with_slabs(deeper, 10, (False, False)) == way


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 30), st.integers(1, 30), st.integers(1, 12))
def test_the_imbalance_is_never_below_perfect_nor_above_one_worker_doing_all(m, n, rows, cols, workers):
    way = candidate((m, 1, n), (min(rows, m), min(cols, n), 1), workers=workers)
    assert way.busiest == max(map(len, runs(way.tiles, workers)))
    assert 1 - 1e-12 <= way.imbalance <= workers + 1e-12


def test_one_large_tile_and_a_remainder_are_no_even_shares():
    assert candidate((3000, 10, 3000), (2048, 3000, 10), workers=2).imbalance == pytest.approx(2048 / 1500)
