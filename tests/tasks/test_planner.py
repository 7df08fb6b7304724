"""Whole plans: what they promise about memory, bytes, time and themselves, over random shapes, chunks and budgets."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import cost, planner, priced, reads
from tasks.bound import Team, lower_bound_bytes
from tasks.cost import cost_of
from tasks.errors import BadInput, Refused
from tasks.fit import WORTH_HALVING
from tasks.geometry import blocks
from tasks.options import SHORT_STEP, STEPS
from tasks.plan import LANES
from tasks.planner import make_plan
from tasks.ties import NEAR_TIE
from tasks.walk import planned_chunks
from tests.tasks.machines import GIB, MIB, hardware, job, matrix, problem, rates

EXTENTS = (1, 2, 7, 100, 255, 257, 1000, 2047, 2049, 5000, 12_000, 50_000, 400_000)
CHUNKS = (None, (1, 400_000), (400_000, 1), (33, 37), (256, 256), (1000, 300), (2048, 2048), (400_000, 400_000))
TYPES = ("float16", "float32", "float64", "int8", "int32", "int64")
MACHINES = (hardware(), hardware((1, 1)), hardware((4, 1), (1, 4)), hardware((16, 2)), hardware((3, 1)))
BUDGETS = st.integers(7 * MIB * 10, 3 * GIB) | st.sampled_from([256 * MIB, 512 * MIB, GIB, 2 * GIB, 16 * GIB, 200 * GIB])


@pytest.fixture(autouse=True)
def large_machine(monkeypatch):
    monkeypatch.setattr(planner, "installed_memory", lambda: 2**50)


@st.composite
def problems(draw):
    shape = draw(st.tuples(*[st.sampled_from(EXTENTS)] * 3))
    chunks = draw(st.tuples(*[st.sampled_from(CHUNKS)] * 2))
    dtypes = draw(st.tuples(*[st.sampled_from(TYPES)] * 2))
    return problem(shape, dtypes, chunks, draw(st.tuples(st.booleans(), st.booleans())))


def named_mebibytes(refusal):
    return int(re.search(r"give --memory (\d+)MiB or more", str(refusal))[1])


def planned(made, machine, budget, **fields):
    """The plan, at the smallest budget where this one is refused."""
    try:
        return make_plan(job(memory=budget, **fields), made, machine)
    except Refused as refusal:
        return make_plan(job(memory=named_mebibytes(refusal) * MIB, **fields), made, machine)


@settings(deadline=None, max_examples=10)
@given(problems(), st.sampled_from(MACHINES), BUDGETS, st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_tiles_are_whole_shards(made, machine, budget, counts):
    shard = 500 * counts[0], 300 * counts[1]
    plan = planned(made, machine, budget, chunk=(500, 300), shard=shard)
    for edge, unit, chunk, asked, extent in zip(
        (plan.tile.rows, plan.tile.cols), plan.shard, plan.chunk, shard, (made.m, made.n), strict=True
    ):
        assert edge % unit == 0 or edge == extent
        assert unit % chunk == 0 and unit <= asked
    assert plan.predicted.peak_memory_bytes <= plan.memory_limit


@settings(deadline=None, max_examples=60)
@given(problems(), st.sampled_from(MACHINES), BUDGETS)
def test_a_plan_keeps_its_memory_covers_the_product_and_moves_no_fewer_bytes_than_possible(made, machine, budget):
    plan = planned(made, machine, budget)
    predicted = plan.predicted
    assert predicted.peak_memory_bytes <= plan.memory_limit
    assert predicted.peak_memory_bytes == plan.workers * sum(predicted.memory_items.values())
    assert plan.bytes_ratio >= 1
    assert plan.grid == (blocks(made.m, plan.tile.rows), blocks(made.n, plan.tile.cols), blocks(made.k, plan.tile.depth))
    assert plan.workers <= plan.tiles * plan.parts and plan.tiles <= 10**6
    assert plan.parts == 1 or plan.grid[2] >= plan.parts
    assert all(
        edge % chunk == 0 or edge == extent
        for edge, chunk, extent in zip((plan.tile.rows, plan.tile.cols), plan.chunk, (made.m, made.n), strict=True)
    )
    assert predicted.bytes_read >= made.a.nbytes + made.b.nbytes
    assert predicted.bytes_written == made.m * made.n * np.dtype(plan.dtype_out).itemsize
    assert set(predicted.lanes) == set(LANES)
    assert all(np.isfinite(seconds) and seconds >= 0 for seconds in (*predicted.lanes.values(), predicted.seconds))
    assert predicted.error_bound <= plan.max_error
    assert sum(choice.verdict == "chosen" for choice in plan.choices) == 1


@settings(deadline=None, max_examples=25)
@given(problems(), st.sampled_from(MACHINES), st.sampled_from([None, 1, 2, 5]))
def test_the_budget_that_a_refusal_names_is_enough_and_the_least(made, machine, workers):
    with pytest.raises(Refused) as refusal:
        make_plan(job(memory=64 * MIB, workers=workers), made, machine)
    assert "\n" not in str(refusal.value)
    assert refusal.value.exit_code == 3
    least = named_mebibytes(refusal.value)
    assert make_plan(job(memory=least * MIB, workers=workers), made, machine).predicted.peak_memory_bytes <= least * MIB
    with pytest.raises(Refused, match=f"give --memory {least}MiB"):
        make_plan(job(memory=(least - 1) * MIB, workers=workers), made, machine)


@settings(deadline=None, max_examples=15)
@given(problems(), st.sampled_from(MACHINES), BUDGETS)
def test_the_same_call_makes_the_same_plan(made, machine, budget):
    assert planned(made, machine, budget) == planned(made, machine, budget)


@settings(deadline=None, max_examples=12)
@given(problems(), st.sampled_from(MACHINES), BUDGETS, st.integers(1, 4 * GIB))
def test_more_memory_never_predicts_more_time(made, machine, budget, more):
    """Up to near-ties, and to what larger output chunks may cost."""
    less = planned(made, machine, budget)
    plenty = make_plan(job(memory=less.memory_limit + more), made, machine)
    assert plenty.predicted.seconds <= less.predicted.seconds * (1 + NEAR_TIE) ** 2 / (1 - WORTH_HALVING) ** 4


LARGE = {
    "a million by a million": ((10**6, 10**5, 10**6), ((2048, 2048), (2048, 2048)), 4 * GIB),
    "the same with much memory": ((10**6, 10**5, 10**6), ((2048, 2048), (2048, 2048)), 64 * GIB),
    "plain files": ((10**6, 10**5, 10**6), (None, None), 4 * GIB),
    "chunks of 100 MiB": ((20_000,) * 3, ((5000, 5242), (5000, 5242)), 2 * GIB),
    "one row a chunk": ((20_000,) * 3, ((1, 20_000), (1, 20_000)), 2 * GIB),
    "a million rows, one a chunk": ((10**6, 10**5, 10**6), ((1, 10**5), (1, 10**6)), 4 * GIB),
    "one chunk for all": ((20_000,) * 3, ((20_000, 20_000), (20_000, 20_000)), 16 * GIB),
    "small chunks that do not fit each other": ((10**6,) * 3, ((33, 33), (37, 37)), 4 * GIB),
    "a billion rows": ((10**9, 100, 4), (None, None), GIB),
    "a billion deep": ((100, 10**9, 100), (None, None), GIB),
    "refused": ((20_000,) * 3, ((2048, 2048), (2048, 2048)), 64 * MIB),
}


MOST_PRICED = 50_000
"""Candidates that a plan may price, some 20 us each."""
MOST_PLAYED = 100
"""Walks whose bytes it may count, some milliseconds each."""


@pytest.fixture
def effort(monkeypatch):
    """What a plan costs, in counts, which no busy machine changes."""
    counts = Counter()

    def counted(name, function):
        def call(*arguments):
            counts[name] += 1
            return function(*arguments)

        return call

    for module in (cost, priced):
        monkeypatch.setattr(module, "cost_of", counted("priced", cost_of))
    monkeypatch.setattr(reads, "planned_chunks", counted("played", planned_chunks))
    return counts


SLOWLY = ("the same with much memory",)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOWLY else name for name in LARGE])
def test_large_problems_are_planned_without_pricing_every_candidate(name, effort):
    shape, chunks, memory = LARGE[name]
    made, request = problem(shape, chunks=chunks), job(memory=memory)
    try:
        make_plan(request, made, hardware())
    except Refused:
        assert name == "refused"
    assert effort["priced"] < MOST_PRICED
    assert effort["priced"] > 0 or name == "refused"
    assert effort["played"] < MOST_PLAYED


def test_many_workers_are_planned_without_pricing_every_candidate(effort):
    made = problem((10**6, 10**5, 10**6), chunks=((2048, 2048), (2048, 2048)))
    plan = make_plan(job(memory=256 * GIB), made, hardware((64, 1), (8, 8), (1, 64)))
    assert 0 < effort["priced"] < MOST_PRICED
    assert 0 < effort["played"] < MOST_PLAYED
    assert plan.workers * plan.threads_per_worker == 64


def test_a_small_product_of_given_workers_gets_as_many_as_it_has_tiles():
    plan = make_plan(job(memory=GIB, workers=8), problem((4, 5, 6)), hardware((8, 1)))
    assert (plan.workers, plan.tiles) == (1, 1)
    assert plan.warnings == ("8 workers were asked for, but the product has only 1 tiles to share: 1 will run",)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_the_number_of_workers_that_was_asked_for_is_kept(workers):
    plan = make_plan(job(memory=8 * GIB, workers=workers), problem((9000, 500, 9000)), hardware((4, 1)))
    assert plan.workers == workers
    assert plan.warnings == ()


def test_uneven_shares_have_a_bound_of_their_own():
    """Tiles of 0.9 and 0.1 of each edge: the worker with most of the work reads nothing twice, which even shares would have to."""
    (layout,) = hardware((3, 1)).layouts
    slow = replace(hardware(), layouts=(replace(layout, rates=rates(decode={"none": 1e6})),))
    plan = make_plan(job(memory=16 * GIB, workers=3, chunk=(2048, 2048)), problem((2276, 300, 2276)), slow)
    assert (plan.grid[:2], plan.workers) == ((2, 2), 3)
    even = lower_bound_bytes(plan.shape, (4, 4, 4), Team(3, 16 * GIB // 3, 1 / 3))
    assert plan.lower_bound_bytes <= plan.predicted.bytes_read + plan.predicted.bytes_written < even


def test_more_memory_than_the_machine_has_is_refused(monkeypatch):
    monkeypatch.setattr(planner, "installed_memory", lambda: 8 * GIB)
    with pytest.raises(Refused, match=r"memory is 16.0 GiB but this machine has 8.00 GiB: give at most that"):
        make_plan(job(memory=16 * GIB), problem((4, 5, 6)), hardware())


def test_the_default_budget_is_what_is_free_here_or_what_the_cluster_has(monkeypatch):
    monkeypatch.setattr(planner, "available_memory", lambda: 10 * GIB)
    assert make_plan(job(), problem((4, 5, 6)), hardware()).memory_limit == 6 * GIB
    there = hardware(memory=100 * GIB)
    assert make_plan(job(cluster="tcp://there:8786"), problem((4, 5, 6)), there).memory_limit == 60 * GIB
    with pytest.raises(Refused, match="this machine has 100 GiB"):
        make_plan(job(cluster="tcp://there:8786", memory=200 * GIB), problem((4, 5, 6)), there)


def test_a_device_too_small_for_any_tile_is_said_so():
    machine = hardware((1, 1), device="cuda", device_memory=MIB // 4)
    with pytest.raises(Refused, match="of device memory"):
        make_plan(job(memory=4 * GIB, cluster="cuda"), problem((9000, 9000, 9000)), machine)


def test_a_plan_for_a_device_keeps_both_memories():
    machine = hardware((1, 4), device="cuda", device_memory=300 * MIB)
    plan = make_plan(job(memory=4 * GIB, cluster="cuda"), problem((30_000, 30_000, 30_000)), machine)
    assert plan.device == "cuda"
    assert plan.tile.rows * plan.tile.cols * 4 < 300 * MIB
    assert plan.bytes_ratio >= 1


def test_the_table_of_choices_says_why():
    plan = make_plan(job(memory=2 * GIB, max_error=1e-4), problem((9000, 1000, 9000), add=matrix((9000, 9000))), hardware())
    verdicts = {choice.arithmetic: choice.verdict for choice in plan.choices}
    assert verdicts["float32"] == "chosen"
    assert verdicts["float64"] == "slower"
    assert verdicts["bfloat16"].startswith("certifies")


@pytest.mark.parametrize("goal", ["auto", "smallest"])
def test_a_plan_says_that_the_data_will_choose_the_codec(goal):
    made = make_plan(job(codec=goal), problem((2000, 2000, 2000)), hardware())
    assert made.codec == goal


def test_a_codec_that_the_workers_lack_is_refused():
    with pytest.raises(BadInput, match=r"codec pcodec is missing on the workers: pip install gemmflow\[pcodec\] there"):
        make_plan(job(codec="pcodec"), problem((2000, 2000, 2000)), hardware())


def test_a_thin_product_is_planned_at_the_speed_of_thin_blocks():
    machine = hardware((2, 1))
    [layout] = machine.layouts
    slow = replace(layout, rates=replace(layout.rates, thin={"float32": {"torch": 10e9, "scipy": 5e9}}))
    made = problem((50_000, 5000, 32))
    asked = job(memory=4 * GIB, precision="float32")
    thick, thin = (make_plan(asked, made, replace(machine, layouts=(one,))) for one in (layout, slow))
    speeds = [next(choice.flops for choice in plan.choices if choice.verdict == "chosen") for plan in (thick, thin)]
    assert speeds == [88e9, pytest.approx(10e9)]
    assert thin.predicted.lanes["multiply"] > 5 * thick.predicted.lanes["multiply"]


@pytest.mark.parametrize("shape", [(16_384, 16_384, 16_384), (30_000, 30_000, 30_000), (2000, 5_000_000, 2000)])
def test_a_long_run_has_many_steps_for_each_worker(shape):
    plan = make_plan(job(memory=16 * GIB), problem(shape, chunks=((2000, 2000), (2000, 2000))), hardware((2, 1)))
    steps = plan.tiles * plan.parts
    assert plan.predicted.lanes["multiply"] * plan.workers / steps < max(1.5 * SHORT_STEP, plan.predicted.lanes["multiply"] / STEPS * 5)


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        ((8192, 100_000, 8192), {"chunk": (8192, 8192), "allow_nonfinite": True}),
        ((1000, 50_000_000, 1000), {"workers": 1}),
        ((1000, 50_000_000, 1000), {"allow_nonfinite": True}),
    ],
    ids=["one chunk", "one worker", "NaN allowed"],
)
def test_a_tile_that_cannot_be_shorter_is_planned_all_the_same(shape, fields):
    plan = make_plan(job(memory=16 * GIB, **fields), problem(shape), hardware((2, 1)))
    assert plan.predicted.seconds > 2 * SHORT_STEP


@pytest.mark.parametrize("turned", [False, True])
def test_of_one_matrix_on_both_sides_the_least_is_to_read_it_once(turned):
    """Also where a product that is symmetric is computed whole, for whatever reason."""
    made = problem((3000, 3000, 3000), transposed=(False, turned))
    same = replace(made, b=replace(made.a, transposed=turned))
    two, one = (make_plan(job(memory=4 * GIB, workers=1), each, hardware()) for each in (made, same))
    assert two.lower_bound_bytes == 3 * 4 * 3000**2
    assert one.lower_bound_bytes == 2 * 4 * 3000**2
    assert one.predicted.bytes_read == two.predicted.bytes_read
