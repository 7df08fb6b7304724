"""In what partial sums travel: compressed where the disk is slower than the codec, and what that takes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from storage import CODECS, pack_numbers
from tasks.adding_up import RATIOS, adding_up, codec_of_sums, partial_bytes, seconds_a_byte
from tasks.cost import estimate
from tasks.memory import tile_memory
from tasks.planner import make_plan
from tasks.report import plan_json, plan_text
from tests.tasks.machines import GIB, MIB, hardware, job, problem, rates
from tests.tasks.test_candidate import candidate

SHAPE = (512, 1_000_000, 512)
rate = st.floats(1e8, 1e10)


def way_for(parts=8, workers=2, durability="power", **changes):
    layout = replace(hardware().layouts[0], rates=rates(**changes))
    return candidate(SHAPE, (512, 512, 1000), workers=workers, layout=layout, parts=parts, durability=durability)


@given(rate, rate, rate, rate, st.floats(0.5, 2), st.sampled_from(["power", "process"]), st.integers(1, 4))
def test_the_choice_flips_where_the_codec_takes_what_it_saves(plain_in, plain_out, packed_in, packed_out, off, durability, workers):
    """One tile: all workers write and one reads. The disk reads ten times as fast as it writes, and reads nothing that is not durable."""
    ratio, readers = RATIOS["float32"]["blosc-zstd"], 1
    taken = (1 / packed_in - 1 / plain_in) / workers + (1 / packed_out - 1 / plain_out) / readers
    assume(taken > 1e-12 and abs(off - 1) > 1e-6)
    saved_at_one = (1 - 1 / ratio) * (1 / workers + (0.1 / readers if durability == "power" else 0))
    write = off * saved_at_one / taken
    way = way_for(
        workers=workers,
        durability=durability,
        encode={"none": plain_in, "blosc-zstd": packed_in},
        decode={"none": plain_out, "blosc-zstd": packed_out},
        write=write,
        write_unsynced=write,
        uncached=10 * write,
    )
    assert codec_of_sums(way) == ("blosc-zstd" if off < 1 else "none")


@given(rate, rate, st.floats(1e6, 1e10), st.sampled_from(["power", "process"]))
def test_no_codec_would_take_less(encode, decode, disk, durability):
    names = ["none", *RATIOS["float32"]]
    packing, unpacking = (dict.fromkeys(names, speed) | {"none": 5e9} for speed in (encode, decode))
    way = way_for(durability=durability, encode=packing, decode=unpacking, write=disk, write_unsynced=disk, uncached=disk)
    least = seconds_a_byte(way, codec_of_sums(way))
    assert least == min(seconds_a_byte(way, name) for name in names)


def test_a_codec_that_a_worker_lacks_is_not_chosen():
    slow = {"write": 1e6, "uncached": 1e6}
    assert codec_of_sums(way_for(**slow)) == "blosc-zstd"
    assert codec_of_sums(way_for(**slow, encode={"none": 6e9}, decode={"none": 5e9, "blosc-zstd": 1e9})) == "none"


def test_what_the_parts_take_is_in_the_time_and_the_memory():
    quick, slow = way_for(), way_for(write=1e6, uncached=1e6)
    made = problem(SHAPE)
    assert (codec_of_sums(quick), codec_of_sums(slow)) == ("none", "blosc-zstd")
    nbytes = 8 * 512 * 512 * 4
    assert partial_bytes(quick) == nbytes and partial_bytes(way_for(parts=1)) == 0 == adding_up(way_for(parts=1))
    expected = nbytes * (1 / 6e8 + 1 / 1.18e6) / 2 + nbytes * (1 / 1.18e6 + 1 / 1.2e9) + 3 * nbytes / 9e9
    assert adding_up(slow) == pytest.approx(expected)
    lacking = way_for(write=1e6, uncached=1e6, encode={"none": 6e9, "blosc-lz4": 1.3e9}, decode={"none": 5.5e9})
    saved = adding_up(lacking) - adding_up(slow)
    assert saved > 0
    assert estimate(made, lacking, 0).seconds - estimate(made, slow, 0).seconds == pytest.approx(saved)
    more = tile_memory(made, slow).host["partial sums"] - tile_memory(made, quick).host["partial sums"]
    assert MIB < more < 4 * MIB


@settings(deadline=None, max_examples=10)
@given(st.sampled_from([1e6, 1e7, 4.2e8, 2e9]))
def test_a_slow_link_picks_compression_and_the_plan_says_so(disk):
    machine = hardware((2, 1))
    layout = replace(machine.layouts[0], rates=rates(write=disk, uncached=disk))
    made = problem((256, 2_000_000, 256), chunks=((256, 100_000), (100_000, 256)))
    plan = make_plan(job(memory=4 * GIB), made, replace(machine, layouts=(layout,)))
    assert plan.parts > 1
    assert plan.sums_codec == ("blosc-zstd" if disk <= 1e7 else "none")
    assert ("that travel as blosc-zstd" in " ".join(plan_text(plan, made).split())) == (disk <= 1e7)
    assert plan_json(plan, made)["plan"]["sums_codec"] == plan.sums_codec


@pytest.mark.parametrize("dtype", RATIOS)
def test_sums_of_random_numbers_compress_as_the_table_says(dtype):
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((1024, 256)).astype(dtype), rng.standard_normal((256, 2048)).astype(dtype)
    sums = np.ascontiguousarray(a @ b)
    for name, ratio in RATIOS[dtype].items():
        if CODECS[name].installed:
            assert sums.nbytes / len(pack_numbers(sums, name)) == pytest.approx(ratio, abs=0.02), name
