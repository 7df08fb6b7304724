from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import memory
from tasks.candidate import with_slabs
from tasks.cost import FIXED_SECONDS, SECONDS_PER_FILE, WAITING, estimate, ideal_seconds, least_cost
from tasks.ladder import ARITHMETICS
from tasks.plan import LANES, TileShape
from tasks.reads import planned_reads
from tasks.warmth import Warmth
from tests.tasks.machines import MIB, hardware, problem, rates
from tests.tasks.test_candidate import candidate

KEPT = [(False, False), (True, False), (False, True), (True, True)]


def way_for(shape, tile, kept=(False, False), workers=1, changes=None):
    layout = replace(hardware().layouts[0], rates=rates(**(changes or {})))
    return candidate(shape, tile, kept, workers, layout=layout)


def test_each_lane_is_what_its_rate_says():
    made, way = problem((1000, 600, 800)), way_for((1000, 600, 800), (500, 400, 300))
    cost = estimate(made, way, host_bytes=10**9)
    speed = way.layout.rates
    assert set(cost.lanes) == set(LANES)
    assert cost.bytes_written == 1000 * 800 * 4
    assert cost.lanes["multiply"] == pytest.approx(2 * 1000 * 600 * 800 / speed.flops["float32"] + 2 * 1000 * 800 * 2 * 4 / speed.copy)
    assert cost.lanes["verify"] == pytest.approx((1000 * 600 * 2 + 600 * 800 + 1000 * 800) / speed.probe)
    assert cost.lanes["encode"] == pytest.approx(cost.bytes_written / speed.encode["blosc-lz4"])
    assert cost.lanes["write"] == pytest.approx(cost.bytes_written / speed.write)
    assert cost.lanes["read"] == pytest.approx(cost.bytes_read / speed.decode["none"] + 10**9 / speed.touch)
    assert cost.seconds == pytest.approx(sum(cost.lanes.values()) + 4 * speed.task + FIXED_SECONDS)


def test_threads_that_wait_for_each_other_are_priced_on_the_host_alone():
    made, way = problem((1000, 600, 800)), way_for((1000, 600, 800), (1000, 800, 600))
    together = replace(way, layout=replace(way.layout, threads=2))
    more = (WAITING - 1) * 2 * 1000 * 600 * 800 / rates().flops["float32"]
    assert estimate(made, together, 0).seconds == pytest.approx(estimate(made, way, 0).seconds + more)
    on_device, together_there = (replace(one, device="cuda") for one in (way, together))
    one, all_of_them = estimate(made, on_device, 0), estimate(made, together_there, 0)
    shared = {lane: seconds / 2 if lane in ("read", "encode") else seconds for lane, seconds in one.lanes.items()}
    assert all_of_them.lanes == pytest.approx(shared)


def test_what_a_host_reads_while_its_device_multiplies_is_no_time_of_either():
    """Two slabs: the second is read meanwhile, the first is not."""
    made, shape = problem((1000, 600, 800)), (1000, 600, 800)
    here, there = (estimate(made, replace(way_for(shape, (1000, 800, 300)), device=device), 0).lanes for device in ("cpu", "cuda"))
    assert there["multiply"] == pytest.approx(here["multiply"] - here["read"] / 2)
    assert there | {"multiply": 0} == here | {"multiply": 0}
    rates_of_a_slow_disk = replace(rates(), decode=dict.fromkeys(rates().decode, 1e6))
    way = replace(way_for(shape, (1000, 800, 300)), device="cuda")
    way = replace(way, layout=replace(way.layout, rates=rates_of_a_slow_disk))
    assert estimate(made, way, 0).lanes["multiply"] == 0


def test_b_is_probed_once_a_worker_where_it_keeps_what_it_found(monkeypatch):
    made, way = problem((1000, 600, 800)), way_for((1000, 600, 800), (250, 400, 300), workers=2)
    kept = estimate(made, way, 0).lanes["verify"]
    monkeypatch.setattr(memory, "MOST_PROBED", 0)
    assert estimate(made, way, 0).lanes["verify"] - kept == pytest.approx(600 * 800 * (4 - 2) / rates().probe / 2)


@pytest.mark.parametrize(("name", "read_and_written"), [("float64", 2 * 4 + 8), ("bfloat16", 2 * 4 + 2), ("bfloat16x3", 2 * 4 + 2 * 2)])
def test_conversion_is_priced_once_a_tile(name, read_and_written):
    made, way = problem((1000, 600, 800)), way_for((1000, 600, 800), (500, 400, 300))
    way = replace(way, arithmetic=ARITHMETICS[name], layout=replace(way.layout, rates=rates(gemm={name: {"torch": 1e9}})))
    accumulator = 2 * 1000 * 800 * 2 * (8 if name == "float64" else 4)
    converted = (1000 * 600 * 2 + 600 * 800 * 2) * read_and_written
    expected = 2 * 1000 * 600 * 800 / 1e9 + (accumulator + converted) / rates().copy
    assert estimate(made, way, 0).lanes["multiply"] == pytest.approx(expected)


def test_workers_share_the_work_and_the_slowest_counts():
    made = problem((1000, 600, 900))
    alone, three, two = (estimate(made, way_for((1000, 600, 900), (1000, 300, 300), workers=count), 0) for count in (1, 3, 2))
    assert sum(three.lanes.values()) == pytest.approx(sum(alone.lanes.values()) / 3)
    assert two.seconds - 2 * rates().task == pytest.approx(FIXED_SECONDS + sum(alone.lanes.values()) * 2 / 3)


def test_chunk_files_and_slow_codecs_are_priced():
    shape, tile = (1000, 1000, 1000), (1000, 1000, 1000)
    plain = estimate(problem(shape), way_for(shape, tile), 0)
    small = estimate(problem(shape, chunks=((10, 10), None)), way_for(shape, tile), 0)
    speed = rates()
    slower = 8e6 / speed.decode["blosc-lz4"] - 8e6 / speed.decode["none"]
    assert small.lanes["read"] - plain.lanes["read"] == pytest.approx(10_000 * SECONDS_PER_FILE + slower)


def test_an_unknown_codec_counts_as_the_slowest():
    made = problem((100, 100, 100), chunks=((10, 10), (10, 10)))
    strange = replace(made, a=replace(made.a, matrix=replace(made.a.matrix, codec="other")))
    way = way_for((100, 100, 100), (100, 100, 100))
    assert estimate(strange, way, 0).lanes["read"] == pytest.approx(80_000 / rates().decode["gzip"] + 200 * SECONDS_PER_FILE)


SLOW = {
    "gemm": {"float32": {"torch": 1e3}},
    "decode": {"none": 1e3, "blosc-lz4": 2e3},
    "encode": {"blosc-lz4": 1e4},
    "probe": 1e3,
    "write": 1e4,
    "copy": 1e6,
    "uncached": 1e3,
}
"""So slow that the fixed seconds of a run do not hide what depends on the tiles."""

extent = st.integers(1, 60)
chunk = st.one_of(st.none(), st.tuples(st.integers(1, 30), st.integers(1, 30)))


share = st.floats(0, 1)
nbytes = st.integers(0, 20_000)
warmth = st.none() | st.builds(Warmth, st.tuples(nbytes, nbytes), st.tuples(share, share), st.sampled_from([0, 200 * MIB, 2**40]))


@st.composite
def cases(draw):
    shape = draw(st.tuples(extent, extent, extent))
    tile = tuple(draw(st.integers(1, edge)) for edge in (shape[0], shape[2], shape[1]))
    chunks = draw(st.tuples(chunk, chunk))
    made = replace(problem(shape, chunks=chunks), warmth=draw(warmth))
    way = way_for(shape, tile, draw(st.sampled_from(KEPT)), draw(st.integers(1, 6)), SLOW)
    return made, replace(way, device=draw(st.sampled_from(["cpu", "cuda"])), layout=replace(way.layout, threads=draw(st.integers(1, 4))))


@settings(deadline=None, max_examples=300)
@given(cases(), st.integers(1, 60))
def test_no_shallower_slab_beats_the_least_time_of_its_group(case, depth):
    made, way = case
    shallower = with_slabs(way, min(depth, way.tile.depth), way.kept)
    assert estimate(made, shallower, 0).seconds >= least_cost(made, way).seconds * (1 - 1e-9)


@settings(deadline=None, max_examples=200)
@given(cases(), st.tuples(extent, extent, extent))
def test_no_tile_beats_the_ideal(case, other):
    made, way = case
    tile = [min(edge, limit) for edge, limit in zip(other, (made.m, made.n, made.k), strict=True)]
    another = replace(way, tile=TileShape(*tile), kept=(False, False))
    assert estimate(made, way, 0).seconds >= ideal_seconds(made, another) * (1 - 1e-9)


@given(
    grid=st.tuples(*[st.integers(1, 6)] * 3),
    kept=st.sampled_from(KEPT),
)
def test_for_one_worker_and_even_slabs_the_estimate_of_what_is_read_is_exact(grid, kept):
    shape = 7 * grid[0], 5 * grid[2], 3 * grid[1]
    made, way = problem(shape, chunks=((7, 5), (5, 3))), way_for(shape, (7, 3, 5), kept)
    exact = planned_reads(made, way)
    assert estimate(made, way, 0).bytes_read == exact.nbytes
