"""Floors against every candidate that they stand for."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.candidate import with_slabs
from tasks.cost import estimate
from tasks.floors import floors
from tasks.options import depths, edges, may_be_cut, outputs
from tests.tasks.machines import GIB, hardware, job, problem
from tests.tasks.test_gram_plan import gram
from tests.tasks.test_search import KEPT, Search, is_possible, precision_of

extent = st.sampled_from((1, 3, 100, 257, 1000, 2049, 5000, 9000, 40_000, 700_000))
chunk = st.one_of(st.none(), st.tuples(extent, extent))


def machine(workers, **changes):
    """Workers that are slow enough for the fixed seconds of a run not to hide what depends on the tiles."""
    (layout,) = hardware((workers, 1)).layouts
    return replace(hardware(), layouts=(replace(layout, rates=replace(layout.rates, **changes)),))


def floors_of(search, output, precision):
    pairs = list(search._edges(output))
    whole = search._whole(precision, output, search._crews[0])
    return dict(zip(pairs, floors(search.problem, whole, pairs, may_be_cut(search.job, search.problem)), strict=True)), whole


@settings(deadline=None, max_examples=200)
@given(
    shape=st.tuples(extent, extent, extent),
    chunks=st.tuples(chunk, chunk),
    workers=st.integers(1, 9),
    hands=st.sampled_from([0, 0, 1, 4]),
    arithmetic=st.sampled_from(["bfloat16", "float32"]),
    rates=st.sampled_from([{}, {"decode": {"none": 1e6, "blosc-lz4": 2e6}}, {"probe": 1e6}, {"copy": 1e6}]),
    fields=st.sampled_from([{}, {"chunk": (700, 300)}, {"allow_nonfinite": True}]),
    data=st.data(),
)
def test_no_candidate_is_estimated_below_the_floor_of_its_edges(shape, chunks, workers, hands, arithmetic, rates, fields, data):
    """`hands` are those of each worker's device; 0: it has none."""
    on_device = {"device": "cuda", "device_memory_bytes": 64 * GIB} if hands else {}
    there = replace(machine(workers, **rates), **on_device)
    there = replace(there, layouts=tuple(replace(layout, threads=max(1, hands)) for layout in there.layouts))
    search = Search(job(workers=workers, **fields), problem(shape, chunks=chunks), there, 64 * GIB)
    for output in outputs(search.job, (shape[0], shape[2]), "float32", search._along):
        lowest, whole = floors_of(search, output, precision_of(arithmetic))
        pair = data.draw(st.sampled_from(sorted(lowest)))
        require_none_below(search, whole, pair, lowest[pair])


def require_none_below(search, whole, pair, floor):
    seconds, nbytes = floor
    ways = product(search._groups(whole, [pair]), depths(search.problem), KEPT)
    for way in (with_slabs(group, depth, kept) for group, depth, kept in ways):
        if is_possible(way, search.problem.k):
            cost = estimate(search.problem, way, 0)
            assert cost.seconds >= seconds * (1 - 1e-9)
            assert cost.bytes_moved >= nbytes


def test_half_a_byte_that_is_not_read_lies_above_the_floor():
    """Found by the test above: 0.3 bytes at 1 MB/s."""
    slow = machine(1, decode={"none": 1e6, "blosc-lz4": 2e6})
    search = Search(job(workers=1, chunk=(700, 300)), problem((9000, 1, 2049), chunks=(None, (1, 1))), slow, 64 * GIB)
    (output,) = outputs(search.job, (9000, 2049), "float32", search._along)
    lowest, whole = floors_of(search, output, precision_of("bfloat16"))
    require_none_below(search, whole, (700, 600), lowest[700, 600])


def test_a_floor_is_met_where_nothing_is_done_again():
    shape = (4000, 3000, 2000)
    search = Search(job(workers=1, chunk=(1000, 1000)), problem(shape, chunks=((1000, 1000), (1000, 1000))), machine(1), 64 * GIB)
    (output,) = outputs(search.job, (4000, 2000), "float32")
    lowest, whole = floors_of(search, output, precision_of("float32"))
    cost = estimate(search.problem, whole, 0)
    assert lowest[4000, 2000] == (pytest.approx(cost.seconds), cost.bytes_moved - 1)
    assert min(seconds for seconds, _ in lowest.values()) == lowest[4000, 2000][0]
    assert set(edges(4000, 1000)) == {rows for rows, _ in lowest}


def test_symmetric_products_have_no_floors():
    search = Search(job(), gram(9000, 3000, "full", (1000, 1000)), hardware(), GIB)
    output = next(iter(outputs(search.job, (9000, 9000), "float32", search._along)))
    assert set(floors_of(search, output, precision_of("float32"))[0].values()) == {(0.0, 0.0)}
