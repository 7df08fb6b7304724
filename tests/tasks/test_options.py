import doctest
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import options
from tasks.options import crews, depths, edges, outputs, parts_for
from tests.tasks.machines import hardware, job, problem
from tests.tasks.test_candidate import candidate


def test_the_examples_of_the_documentation_hold():
    assert doctest.testmod(options).failed == 0


@given(st.integers(1, 10**7), st.integers(1, 5000))
def test_tile_edges_are_whole_chunks_or_the_whole_extent(extent, chunk):
    chunk = min(chunk, extent)
    found = edges(extent, chunk)
    assert found == sorted(set(found), reverse=True)
    assert found[0] == extent
    assert found[-1] == chunk
    assert all(edge % chunk == 0 or edge == extent for edge in found)


@given(st.integers(1, 10**6), st.integers(1, 5000), st.integers(1, 5000))
def test_depths_hold_all_of_k_and_whole_chunks(k, first, second):
    first, second = min(first, k), min(second, k)
    found = depths(problem((10, k, 10), chunks=((10, first), (second, 10))))
    assert found[0] == k
    assert found == sorted(set(found), reverse=True)
    assert all(1 <= depth <= k for depth in found)
    assert all(step in found for step in (first, second) if step > 32)
    assert found[-1] <= max(256, min(k, 256))


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from(["float32", "float64", "int64"]))
def test_output_chunks_are_halved_down_to_a_small_edge(m, n, dtype):
    specs = list(outputs(job(), (m, n), dtype))
    chunks = [spec.chunks for spec in specs]
    assert all(rows <= m and cols <= n for rows, cols in chunks)
    assert max(chunks[-1]) <= 256
    halvings = [pair for larger, smaller in pairwise(chunks) for pair in zip(larger, smaller, strict=True)]
    assert all(after in (ceil(before / 2), min(before, 256)) for before, after in halvings)


def test_a_chunk_that_was_asked_for_is_the_only_one():
    assert [spec.chunks for spec in outputs(job(chunk=(300, 9999)), (1000, 1000), "float32")] == [(300, 1000)]


@given(
    st.tuples(st.integers(1, 20_000), st.integers(1, 20_000)),
    st.tuples(st.integers(1, 9000), st.integers(1, 9000)),
    st.one_of(st.none(), st.tuples(st.integers(1, 2000), st.integers(1, 2000))),
)
def test_shards_are_whole_chunks_as_asked_or_span_the_product(shape, shard, chunk):
    if chunk:
        shard = tuple(max(1, edge // unit) * unit for edge, unit in zip(shard, chunk, strict=True))
    (spec,) = outputs(job(chunk=chunk, shard=shard), shape, "float32")
    for got, unit, asked, extent in zip(spec.shard, spec.chunks, shard, shape, strict=True):
        assert got % unit == 0
        assert got == asked or (asked >= extent and extent <= got < extent + unit)
    if chunk:
        assert spec.chunks == tuple(min(pair) for pair in zip(chunk, shape, strict=True))
        assert all(got <= asked for got, asked in zip(spec.shard, shard, strict=True))


def test_the_chunks_of_a_shard_are_as_near_to_the_default_as_its_divisors_allow():
    assert [spec.chunks for spec in outputs(job(shard=(8192, 6000)), (100_000, 100_000), "float32")] == [(2048, 2000)]


def test_a_codec_that_was_asked_for_is_used():
    assert {spec.codec for spec in outputs(job(codec="zstd"), (1000, 1000), "float32")} == {"zstd"}


@pytest.mark.parametrize(
    ("workers", "most", "counts"),
    [(None, 10**6, [(1, 16), (1, 8), (1, 4), (1, 2), (1, 1), (16, 1)]), (3, 10**6, [(1, 3)]), (8, 5, [(1, 5)])],
)
def test_crews(workers, most, counts):
    found = crews(job(workers=workers), hardware((16, 1), (1, 16)), most)
    assert [(layout.threads, count) for layout, count in found] == counts


def cuts(shape, tile, workers, **fields):
    return parts_for(job(**fields), problem(shape), candidate(shape, (*tile, shape[1]), workers=workers))


def test_tiles_are_cut_where_there_are_too_few_or_they_do_not_come_out_even():
    assert cuts((4000, 4000, 4000), (2000, 2000), 4) == [1]
    assert cuts((4000, 4000, 4000), (4000, 4000), 4) == [4]
    assert cuts((3000, 200_000, 1000), (1000, 1000), 2)[:2] == [1, 2]
    assert cuts((3000, 200_000, 1000), (1000, 1000), 4)[:2] == [2, 4]
    assert cuts((4000, 300, 4000), (4000, 4000), 2) == []
    assert cuts((4000, 4000, 4000), (4000, 4000), 4, allow_nonfinite=True) == []


def test_tiles_that_take_long_may_be_cut_into_parts_that_do_not():
    """454 s at 88e9 FLOP/s."""
    assert cuts((2000, 5_000_000, 2000), (2000, 2000), 1) == [1, 2, 4, 8, 16, 32]
    assert cuts((2000, 5_000_000, 2000), (1000, 2000), 1) == [1, 2, 4, 8, 16]
    assert cuts((2000, 5_000_000, 2000), (100, 1000), 1) == [1]
    assert cuts((2000, 5_000_000, 2000), (2000, 2000), 1, allow_nonfinite=True) == [1]


@pytest.mark.parametrize(
    ("asked", "layouts", "expected"),
    [
        (1, ((2, 1), (1, 2)), [(1, 1), (1, 2)]),
        (2, ((2, 1), (1, 2)), [(2, 1)]),
        (3, ((2, 1), (1, 2)), [(3, 1)]),
        (4, ((8, 1), (4, 2), (1, 8)), [(4, 1), (4, 2)]),
    ],
)
def test_workers_that_are_asked_for_never_share_cores_while_there_are_enough(asked, layouts, expected):
    found = crews(job(workers=asked), hardware(*layouts), most_tiles=100)
    assert [(count, layout.threads) for layout, count in found] == expected
