"""Bytes from the disk, and what of the time for them nothing hides."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.cost import estimate
from tasks.waiting import cold_bytes, waited
from tasks.warmth import Warmth
from tests.tasks.machines import GIB, MIB, problem, rates
from tests.tasks.test_cost import way_for

SHAPE = (1000, 600, 800)
NBYTES = (4 * 1000 * 600, 4 * 600 * 800)
COLD = Warmth(NBYTES, (1.0, 1.0), 64 * GIB)

seconds = st.floats(0, 1e6)


@given(seconds, seconds, st.floats(0, 1))
def test_nobody_waits_longer_than_the_disk_takes_nor_shorter_than_is_hidden(cold, behind, alone):
    found = waited(cold, behind, alone)
    assert max(alone * cold, cold - behind) * (1 - 1e-9) <= found <= cold * (1 + 1e-9)


@given(seconds, seconds, st.floats(0, 1), st.floats(0, 1))
def test_more_work_never_makes_a_run_shorter(cold, behind, more, alone):
    assert more + behind + waited(cold, more + behind, alone) >= (behind + waited(cold, behind, alone)) * (1 - 1e-9)


def test_each_file_is_cold_once_where_memory_holds_them():
    way = way_for(SHAPE, (250, 200, 100))
    assert cold_bytes(COLD, way, (4.0, 4.0), 0) == sum(NBYTES)
    assert cold_bytes(replace(COLD, cold=(0.25, 0.0)), way, (4.0, 4.0), 0) == NBYTES[0] / 4


def test_each_file_is_cold_as_often_as_it_is_read_where_memory_does_not_hold_them():
    way = way_for(SHAPE, (250, 200, 100))
    small = replace(COLD, room=way.layout.base_bytes)
    assert cold_bytes(small, way, (4.0, 3.0), 0) == 4 * NBYTES[0] + 3 * NBYTES[1]
    warm = replace(small, cold=(0.0, 0.0))
    assert cold_bytes(warm, way, (4.0, 3.0), 0) == 3 * NBYTES[0] + 2 * NBYTES[1]


def test_what_a_run_holds_leaves_less_for_the_page_cache():
    way = way_for(SHAPE, (250, 200, 100))
    tight = replace(COLD, room=way.layout.base_bytes + sum(NBYTES))
    assert cold_bytes(tight, way, (4.0, 4.0), 0) < cold_bytes(tight, way, (4.0, 4.0), 8 * MIB)


def test_a_strip_that_fits_keeps_the_outer_operand():
    """Rows are outside: A's panel is used again within its strip, B's only after all of B was read."""
    way = way_for(SHAPE, (250, 200, 100))
    room = way.layout.base_bytes + NBYTES[0] // 4 + NBYTES[1] // 4
    assert cold_bytes(replace(COLD, room=room), way, (4.0, 4.0), 0) == NBYTES[0] + 4 * NBYTES[1]
    turned = way_for(SHAPE, (250, 200, 600), (False, True))
    assert turned.residency == "B"
    assert cold_bytes(replace(COLD, room=room), turned, (4.0, 4.0), 0) == 4 * NBYTES[0] + NBYTES[1]


def test_one_matrix_is_fetched_once_for_both_operands():
    way, nbytes = way_for((1000, 600, 1000), (250, 250, 100)), NBYTES[0]
    shared = Warmth((nbytes, nbytes), (1.0, 1.0), 64 * GIB, shared=True)
    assert (shared.total, shared.cold_bytes) == (nbytes, nbytes)
    assert cold_bytes(shared, way, (4.0, 4.0), 0) == cold_bytes(shared, way, (1.0, 0.0), 0) == nbytes
    assert cold_bytes(replace(shared, room=0), way, (4.0, 3.0), 0) == 7 * nbytes


def test_the_lane_and_the_time_have_the_wait():
    made, way = problem(SHAPE), way_for(SHAPE, (1000, 800, 600), changes={"uncached": 1e6})
    plain, cold = estimate(made, way, 0), estimate(replace(made, warmth=COLD), way, 0)
    assert cold.waiting == pytest.approx(sum(NBYTES) / 1e6)  # one slab: nothing is multiplied meanwhile
    assert cold.lanes["read"] - plain.lanes["read"] == pytest.approx(cold.waiting)
    assert cold.seconds - plain.seconds == pytest.approx(cold.waiting)
    assert (plain.waiting, cold.bytes_read) == (0.0, plain.bytes_read)


def test_a_quick_disk_makes_a_run_wait_for_the_first_slab_alone():
    made, way = replace(problem(SHAPE), warmth=COLD), way_for(SHAPE, (1000, 800, 60), changes={"uncached": 1e9})
    assert estimate(made, way, 0).waiting == pytest.approx(sum(NBYTES) / 1e9 / 10)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 4), st.sampled_from([100, 250, 600]))
def test_colder_inputs_are_never_predicted_faster(less, more, workers, depth):
    way = way_for(SHAPE, (250, 200, depth), workers=workers, changes={"uncached": 1e6})
    warm, cold = (replace(problem(SHAPE), warmth=replace(COLD, cold=(share, share))) for share in sorted((less, more)))
    assert estimate(warm, way, 0).seconds <= estimate(cold, way, 0).seconds * (1 + 1e-9)


def test_rates_say_what_the_disk_gives():
    assert rates().uncached == 7e8
