"""The search against one that prices everything."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.candidate import Candidate
from tasks.compression import candidates
from tasks.cost import Cost, estimate
from tasks.fit import Bar, Fit
from tasks.ladder import ARITHMETICS
from tasks.memory import tile_memory
from tasks.options import crews, depths, edges, outputs, parts_for
from tasks.plan import TileShape
from tasks.precision import PROBES, Precision
from tasks.search import MOST_TILES, Search
from tasks.ties import NEAR_TIE, first_fastest, settle
from tests.tasks.machines import GIB, MIB, hardware, job, problem
from tests.tasks.test_candidate import candidate

EXTENTS = (1, 3, 100, 257, 1000, 2049, 5000, 9000, 40_000)
CHUNKS = ((1, 2000), (100, 100), (512, 512), (1500, 700), (2048, 2048), (40_000, 40_000))
KEPT = ((False, False), (True, False), (False, True), (True, True))


def precision_of(name):
    return Precision(ARITHMETICS[name], "float32", 0.0, False, 1.0, "")


def needs(search, precision, output):
    """Every candidate of one output with its memory."""
    m, k, n = search.problem.shape
    (high, wide), (along_m, along_n) = output.chunks, search._along
    tall, broad = edges(m, high, along_m), edges(n, wide, along_n)
    choices = product(tall, broad, crews(search.job, search.hardware, 10**9), depths(search.problem), KEPT)
    device, durability, settles = search.hardware.device, search.job.durability, candidates(search.job, output.dtype)
    for rows, cols, (layout, workers), depth, kept in choices:
        tile = TileShape(rows, cols, depth)
        way = Candidate((m, k, n), precision.arithmetic, tile, kept, output, layout, workers, device, PROBES, durability, settles)
        if way.tiles <= MOST_TILES:
            cut = (replace(way, parts=parts) for parts in parts_for(search.job, search.problem, way))
            yield from (measured(search, one) for one in cut if is_possible(one, k))


def is_possible(way, k):
    if way.parts > 1:
        return way.kept == (False, False) and way.tile.depth < k and way.grid[2] >= way.parts
    return way.tile.depth < k or way.kept == (True, True)


def measured(search, way):
    memory = tile_memory(search.problem, way)
    return way, way.layout.base_bytes + memory.host_bytes, memory.device_bytes


def priced(search, precision, output):
    for way, host, device in needs(search, precision, output):
        if host * way.workers <= search.budget and (way.device == "cpu" or device <= search.hardware.device_memory_bytes):
            yield Fit(way, host, device, estimate(search.problem, way, host - way.layout.base_bytes))


def naive(search, precision):
    best, bar, times = None, Bar(), 0
    for output in outputs(search.job, (search.problem.m, search.problem.n), precision.dtype_out, search._along):
        fits = [fit for fit in priced(search, precision, output) if bar.admits(fit.price, fit.cost.bytes_moved)]
        found, times = settle(search.problem, fits) if fits else None, times + 1
        if found and bar.admits(found.price, found.cost.bytes_moved):
            best, times = found, 0
        bar = Bar.above(best, times + 1) if best else Bar()
    return best


@st.composite
def searches(draw):
    shape = draw(st.tuples(*[st.sampled_from(EXTENTS)] * 3))
    chunks = draw(st.tuples(*[st.one_of(st.none(), st.sampled_from(CHUNKS))] * 2))
    budget = draw(st.sampled_from([200 * MIB, 260 * MIB, 400 * MIB, 512 * MIB, GIB, 4 * GIB, 64 * GIB]))
    machine = draw(st.sampled_from([hardware(), hardware((4, 1)), hardware((1, 4), device="cuda", device_memory=GIB)]))
    chunk = draw(st.sampled_from([None, (2048, 2048), (700, 300)]))
    return Search(job(chunk=chunk), problem(shape, chunks=chunks), machine, budget)


@settings(deadline=None, max_examples=12)
@given(searches(), st.sampled_from(["bfloat16", "float32"]))
def test_it_chooses_as_if_every_candidate_were_priced(search, arithmetic):
    assert search.fastest(precision_of(arithmetic)) == naive(search, precision_of(arithmetic))


@settings(deadline=None, max_examples=30)
@given(searches())
def test_the_smallest_is_the_smallest_of_all(search):
    least = search.smallest(precision_of("float32"))
    specs = outputs(search.job, (search.problem.m, search.problem.n), "float32", search._along)
    every = [(host * way.workers, device) for output in specs for way, host, device in needs(search, precision_of("float32"), output)]
    limit = search.hardware.device_memory_bytes if search.hardware.device != "cpu" else 2**62
    assert least.total_bytes == min(total for total, device in every if device <= limit)


def fit(seconds, total):
    return Fit(candidate((10, 10, 10), (10, 10, 10)), total, 0, Cost({}, seconds, 0, 0))


def test_among_near_ties_of_equal_bytes_the_one_with_least_memory_and_then_the_first_wins():
    slow, fast, near = fit(1.1, 1), fit(1.0, 9), fit(1 + NEAR_TIE / 2, 5)
    twin = fit(1.0, 5)
    assert first_fastest([slow, fast, near]) is near
    assert first_fastest([slow, fast, near, twin]) is near
    assert first_fastest([slow, twin, near]) is twin
    with pytest.raises(ValueError, match="empty"):
        first_fastest([])


def test_among_near_ties_the_fewest_bytes_win_and_about_as_few_in_shorter_steps():
    def moving(nbytes, parts):
        way = replace(candidate((10, 10, 10), (10, 10, 10)), parts=parts)
        return Fit(way, 1, 0, Cost({"multiply": 100.0}, 100.0, nbytes, 0))

    most, fewest, about = moving(2000, 8), moving(1000, 1), moving(1005, 2)
    assert first_fastest([most, fewest]) is fewest
    assert first_fastest([most, fewest, about]) is about


def test_smaller_output_chunks_are_taken_where_they_save_much():
    """3000 x 3000 in chunks of 2048 gives one of two workers twice the other's share."""
    search = Search(job(), problem((3000, 3000, 3000)), hardware((2, 1)), 4 * GIB)
    best = search.fastest(precision_of("float32"))
    assert best is not None
    assert max(best.way.output.chunks) < 2048
    assert best.way.imbalance < 1.1
