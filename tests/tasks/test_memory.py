from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.behind import waiting_bytes
from storage.chain import PCODEC_BYTES
from tasks.candidate import with_slabs
from tasks.compression import sample_bytes
from tasks.memory import DEVICE_BLOCK, HEADROOM, PROBE_BLOCK, PRODUCT_ROWS, block_elements, tile_memory
from tests.tasks.machines import matrix, problem
from tests.tasks.test_candidate import candidate

KEPT = [(False, False), (True, False), (False, True), (True, True)]
SHAPE = (4000, 3000, 5000)


def test_what_a_float32_worker_holds():
    way = candidate(SHAPE, (2000, 1000, 300), (True, False))
    items = tile_memory(problem(SHAPE), way).host
    assert items["slabs of A"] == 10 * 2000 * 300 * 4
    assert items["slabs of B"] == 300 * 1000 * 4
    assert items["accumulator"] == 2000 * 1000 * 4
    assert items["converted slabs"] == items["slab product"] == items["input decoding"] == 0
    assert items["headroom"] == HEADROOM
    assert items["output encoding"] > 2 * 2000 * 1000 * 4


def test_the_verifier_holds_whole_groups_of_probes():
    eleven, group, more = (
        tile_memory(problem(SHAPE), replace(candidate(SHAPE, (2000, 1000, 300)), probes=probes)).host["verifier"] for probes in (10, 11, 12)
    )
    assert eleven == group < more


def test_bfloat16_needs_converted_slabs_and_a_strip_of_the_slab_product():
    way = candidate(SHAPE, (2000, 1000, 300), arithmetic="bfloat16")
    items = tile_memory(problem(SHAPE), way).host
    passing, scales = 8 * PROBE_BLOCK, 8 * 4 * (2000 + 1000)
    assert items["converted slabs"] == (2000 + 1000) * 300 * 2 + passing + scales
    assert items["slab product"] == PRODUCT_ROWS * 1000 * 2 + passing


def test_operands_that_need_no_scaling_need_no_strip():
    halves = problem(SHAPE, ("float16", "float16"))
    assert tile_memory(halves, candidate(SHAPE, (2000, 1000, 300))).host["slab product"] == 0
    assert tile_memory(problem(SHAPE), candidate(SHAPE, (2000, 1000, 300))).host["converted slabs"] == 0


def test_an_added_matrix_and_input_chunks_are_counted():
    way = candidate(SHAPE, (2000, 1000, 300))
    plain = tile_memory(problem(SHAPE), way).host
    added = tile_memory(problem(SHAPE, chunks=((500, 500), None), add=matrix((4000, 5000), "float64", (1000, 1000))), way).host
    assert added["input decoding"] == 2 * 8 * 1000**2
    assert added["output encoding"] == plain["output encoding"] + 2000 * 1000 * (8 + 8)


def test_a_shard_costs_its_chunks_buffers_and_its_index():
    way = candidate(SHAPE, (2000, 1000, 300), arithmetic="float64")
    whole, sharded = (replace(way, output=replace(way.output, chunks=(100, 100), shard=shard)) for shard in (None, (2000, 1000)))
    more = tile_memory(problem(SHAPE), sharded).host_bytes - tile_memory(problem(SHAPE), whole).host_bytes
    assert 200 * 16 <= more < 200 * 200 + waiting_bytes(2000 * 1000 * 8)


def test_every_thread_has_a_block_in_its_cache():
    assert block_elements("cpu", 3) == 3 * block_elements("cpu", 1) == 3 * PROBE_BLOCK
    way = candidate(SHAPE, (2000, 1000, 300))
    two = replace(way, layout=replace(way.layout, threads=way.layout.threads + 1))
    more = tile_memory(problem(SHAPE), two).host["verifier"] - tile_memory(problem(SHAPE), way).host["verifier"]
    assert more == 8 * PROBE_BLOCK


def test_a_device_holds_the_work_and_the_host_only_what_is_staged():
    on_host = tile_memory(problem(SHAPE), candidate(SHAPE, (2000, 1000, 300)))
    split = tile_memory(problem(SHAPE), candidate(SHAPE, (2000, 1000, 300), device="cuda"))
    assert on_host.device == {}
    worked_on = {"slabs of A", "slabs of B", "accumulator", "converted slabs", "slab product", "verifier"}
    assert set(split.device) == worked_on | {"chunks on their way", "libraries"}
    assert worked_on < on_host.host.keys()
    assert split.device["verifier"] - on_host.host["verifier"] == 8 * (DEVICE_BLOCK - PROBE_BLOCK)
    assert not set(split.host) & set(split.device)
    assert split.host["pinned staging"] == (2000 * 300 + 300 * 1000) * 4
    assert split.device["slabs of A"] == 2 * on_host.host["slabs of A"]  # one is read while the other is multiplied


def test_each_hand_of_a_device_has_its_scratch():
    one = candidate(SHAPE, (2000, 1000, 300), device="cuda")
    chunked = problem(SHAPE, chunks=((500, 500), None))
    few, many = (tile_memory(chunked, replace(one, layout=replace(one.layout, threads=threads))).host for threads in (1, 4))
    assert {name for name in few if many[name] != few[name]} == {"input decoding", "output encoding"}
    assert all(many[name] == 4 * few[name] for name in ("input decoding", "output encoding"))


def test_each_hand_of_a_device_has_a_chunk_on_its_way_to_the_host():
    one = candidate(SHAPE, (2000, 1000, 300), device="cuda")
    four = replace(one, layout=replace(one.layout, threads=4))
    few, many = (tile_memory(problem(SHAPE), way).device["chunks on their way"] for way in (one, four))
    assert (few, many) == (2000 * 1000 * 4, 4 * few)
    added = tile_memory(problem(SHAPE, add=matrix((4000, 5000), "float64", (1000, 1000))), four).device["chunks on their way"]
    assert added == many + 2000 * 1000 * (8 + 4)


def test_nothing_is_to_spare_where_a_panel_is_one_slab():
    whole = [tile_memory(problem(SHAPE), candidate(SHAPE, (200, 100, SHAPE[1]), device=device)) for device in ("cpu", "cuda")]
    assert whole[1].device["slabs of B"] == whole[0].host["slabs of B"]


@given(st.tuples(*[st.integers(1, 2000)] * 3), st.integers(0, 2), st.integers(1, 500), st.sampled_from(["bfloat16", "float32", "float64"]))
def test_no_larger_tile_needs_less(tile, axis, more, arithmetic):
    larger = tuple(edge + (more if place == axis else 0) for place, edge in enumerate(tile))
    made = problem((9000, 9000, 9000), ("float64", "float16"))
    small, large = (tile_memory(made, candidate((9000,) * 3, edges, arithmetic=arithmetic)) for edges in (tile, larger))
    assert small.host_bytes <= large.host_bytes


@pytest.mark.parametrize("kept", KEPT)
def test_keeping_a_panel_costs_its_slabs(kept):
    made, streamed = problem(SHAPE), candidate(SHAPE, (2000, 1000, 300))
    way = with_slabs(streamed, 300, kept)
    extra = tile_memory(made, way).host_bytes - tile_memory(made, streamed).host_bytes
    panels = 9 * 300 * 4 * (2000 * kept[0] + 1000 * kept[1])
    assert panels <= extra <= panels * 1.1


def test_a_codec_that_the_data_choose_is_budgeted_as_the_largest_and_with_its_samples():
    way = candidate(SHAPE, (2000, 1000, 300))
    named, portable, any_row = (
        tile_memory(problem(SHAPE), replace(way, settles=names)).host["output encoding"]
        for names in ((), ("none", "blosc-lz4"), ("none", "blosc-lz4", "pcodec"))
    )
    assert portable == named + sample_bytes(way.output)
    chunk = way.output.chunk_bytes
    assert chunk + PCODEC_BYTES < any_row - portable < 1.2 * chunk + PCODEC_BYTES
