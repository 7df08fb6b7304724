"""What is planned of zeros, against the same counted slab by slab, and against a worker's own slots."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import Occupancy
from tasks import planner, sparse_walk, work
from tasks.candidate import Candidate
from tasks.cost import estimate, ideal_seconds, least_cost
from tasks.dense_work import work_of
from tasks.geometry import blocks
from tasks.ladder import ARITHMETICS
from tasks.lru import SlotTable
from tasks.memory import tile_memory
from tasks.plan import TileShape
from tasks.planner import make_plan
from tasks.reads import dense_reads, planned_reads
from tasks.report import plan_text
from tasks.resume import plan_json, read_plan
from tasks.schema import plan_section
from tasks.search import Search
from tasks.sparse_walk import sparse_reads
from tasks.sparsity import edges_of, rule_of
from tasks.walk import runs
from tasks.work import FINEST, Sparsity, blocks_of
from tests.tasks.inline import Way, compute, recipe_for
from tests.tasks.machines import GIB, hardware, job, problem
from tests.tasks.test_sparsity import with_holes

edge = st.integers(1, 30)
step = st.integers(1, 12)


def holed(operand, held, zero=True):
    """The operand with these chunks of op(X) stored; the others are zero, or have another value."""
    matrix = operand.matrix
    stored = held.T if operand.transposed else held
    known = replace(Occupancy.of(stored, matrix.shape, matrix.chunks), zero=zero)
    return replace(operand, matrix=replace(matrix, occupancy=known))


@st.composite
def problems(draw):
    """A product of matrices with holes, or of one such matrix."""
    shape = draw(st.tuples(edge, edge, edge))
    chunks = draw(st.tuples(st.tuples(step, step), st.tuples(step, step)))
    made = problem(shape, chunks=chunks, transposed=draw(st.tuples(st.booleans(), st.booleans())))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    share = draw(st.sampled_from([0.1, 0.4, 0.9]))
    a, b = (
        holed(
            one,
            rng.random([blocks(*pair) for pair in zip(one.shape, one.chunks, strict=True)]) < share,
            draw(st.sampled_from([True, True, False])),
        )
        for one in (made.a, made.b)
    )
    which = draw(st.sampled_from(["a", "b", "ab"]))
    return replace(made, a=a if "a" in which else made.a, b=b if "b" in which else made.b, keeps_nonfinite=draw(st.booleans()))


@st.composite
def candidates(draw, made):
    m, k, n = made.shape
    tile = TileShape(*(draw(st.integers(1, extent)) for extent in (m, n, k)))
    machine = hardware((draw(st.integers(1, 4)), 1))
    (output,) = Search(job(chunk=(1, 1)), made, machine, GIB)._outputs(type("Row", (), {"dtype_out": "float32"}))
    kept = draw(st.tuples(st.booleans(), st.booleans()))
    return Candidate(made.shape, ARITHMETICS["float32"], tile, kept, output, machine.layouts[0], machine.layouts[0].workers, "cpu", 10)


def needed_slabs(made, way):
    """(tile, slab) pairs that are needed, one by one."""
    (held_a, _), (held_b, _) = blocks_at(made, way)
    rule = rule_of(made)
    for tile in (way.walk[index] for index in range(way.tiles)):
        for slab in way.walk.slabs(tile):
            if rule.needed(held_a[tile.row, slab], held_b[slab, tile.col]):
                yield tile, slab


def blocks_at(made, way):
    m, k, n = made.shape
    rows, slabs, cols = edges_of(m, way.tile.rows), edges_of(k, way.tile.depth), edges_of(n, way.tile.cols)
    return blocks_of(made.a, rows, slabs), blocks_of(made.b, slabs, cols)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_sums_over_slabs_are_those_of_every_tile(data):
    made = data.draw(problems().filter(lambda made: made.sparse))
    way = data.draw(candidates(made))
    found = work_of(made, way)
    flops = passed_a = passed_b = area = slabs = 0
    taken = set()
    for tile, slab in needed_slabs(made, way):
        start, stop = way.walk.slab(slab)
        rows, depth, cols = tile.rows[1] - tile.rows[0], stop - start, tile.cols[1] - tile.cols[0]
        flops, slabs, area = flops + 2 * rows * depth * cols, slabs + 1, area + rows * cols
        passed_a, passed_b = passed_a + rows * depth, passed_b + depth * cols
        taken.add((slab, tile.col))
    assert (found.flops, found.slabs, found.accumulated) == (flops, slabs, area)
    assert found.passed == (passed_a, passed_b)
    assert found.flops <= made.flops and len(taken) <= found.slabs


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_planned_bytes_are_those_of_slots_that_keep_to_a_panel(data):
    made = data.draw(problems().filter(lambda made: made.partial))
    way = data.draw(candidates(made))
    (_, bytes_a), (_, bytes_b) = blocks_at(made, way)
    owner = {index: worker for worker, run in enumerate(runs(way.tiles, way.workers)) for index in run}
    total, shelves = [0, 0], {}
    for tile, slab in needed_slabs(made, way):
        for side, (panel, nbytes) in enumerate(((tile.row, bytes_a[tile.row, slab]), (tile.col, bytes_b[slab, tile.col]))):
            known, table = shelves.get((owner[tile.index], side), (None, None))
            if known != panel:
                table = SlotTable(way.slots[side])
            shelves[owner[tile.index], side] = panel, table
            total[side] += 0 if table.place(slab)[1] else nbytes
    assert tuple(sparse_reads(made, way)) == tuple(total)
    assert planned_reads(made, way).nbytes == sum(total) <= dense_reads(made, way)


@st.composite
def squares(draw):
    """X Xᵀ of a matrix with holes, one triangle of it computed."""
    (m, k), chunk = draw(st.tuples(edge, edge)), draw(st.tuples(step, step))
    made = problem((m, k, m), chunks=(chunk, chunk), transposed=(False, True))
    held = np.random.default_rng(draw(st.integers(0, 999))).random((blocks(m, chunk[0]), blocks(k, chunk[1]))) < draw(
        st.sampled_from([0.2, 0.7])
    )
    zero = draw(st.booleans())
    return replace(made, a=holed(made.a, held, zero), b=holed(made.b, held.T, zero), symmetry=draw(st.sampled_from(["full", "triangle"])))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_planned_bytes_of_one_triangle_are_those_of_slots_that_keep_to_a_panel(data):
    made = data.draw(squares().filter(lambda made: made.partial))
    way = data.draw(candidates(made))
    way = replace(
        way,
        symmetry=made.symmetry,
        tile=replace(way.tile, cols=way.tile.rows),
        kept=data.draw(st.sampled_from([(False, False), (True, True)])),
    )
    (_, bytes_a), (_, bytes_b) = blocks_at(made, way)
    total = [0, 0]
    for run in way.walk.runs(way.workers):
        shelves = {}
        for tile in (way.walk[index] for index in run):
            sides = [(0, tile.row)] if way.walk.is_diagonal(tile.row, tile.col) else [(0, tile.row), (1, tile.col)]
            for side, panel in sides:
                known, table = shelves.get(side, (None, None))
                table = SlotTable(way.slots[side]) if known != panel else table
                shelves[side] = panel, table
                for slab in way.walk.slabs(tile):
                    total[side] += 0 if table.place(slab)[1] else (bytes_b.T if side else bytes_a)[panel, slab]
    assert tuple(sparse_reads(made, way)) == tuple(total)
    assert planned_reads(made, way).nbytes == sum(total) <= dense_reads(made, way)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_estimated_of_other_fill_values_is_below_every_candidate(data):
    made = data.draw(problems().filter(lambda made: made.partial and not made.sparse))
    way = data.draw(candidates(made))
    least = replace(way, tile=replace(way.tile, depth=made.k))
    assert work_of(made, way).flops == made.flops
    assert least_cost(made, least).bytes_moved <= estimate(made, way, 0).bytes_moved * (1 + 1e-12)
    assert least_cost(made, least).seconds <= estimate(made, way, 0).seconds * (1 + 1e-9)
    assert ideal_seconds(made, replace(way, kept=(True, True))) <= least_cost(made, least).seconds * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_bounds_of_the_search_are_below_every_candidate(data):
    made = data.draw(problems().filter(lambda made: made.sparse))
    way = data.draw(candidates(made))
    least = replace(way, tile=replace(way.tile, depth=made.k))
    sparsity = Sparsity(made)
    tile = way.tile.rows, way.tile.cols, way.tile.depth
    finest = sparsity.work((way.tile.rows, way.tile.cols, FINEST))
    assert finest.flops <= sparsity.work(tile).flops * (1 + 1e-12)
    assert sum(sparsity.reads((FINEST,) * 3, (1.0, 1.0))) <= sum(sparsity.reads(tile, (1.0, 1.0))) * (1 + 1e-12)
    assert ideal_seconds(made, replace(way, kept=(True, True))) <= least_cost(made, least).seconds * (1 + 1e-9)


@pytest.mark.parametrize("form", ["absent2", "absent3", "csr", "csc"])
@pytest.mark.parametrize("kept", [(False, False), (True, False), (True, True)])
def test_measured_bytes_are_the_planned_ones(form, kept):
    rng = np.random.default_rng(5)
    a, b = with_holes(rng, (150, 400), (64, 64), 0.4), with_holes(rng, (400, 130), (64, 64), 0.4)
    residency = "A" if kept[0] else "C"
    way = Way(form=form, in_chunks=(64, 64), tile=(64, 64, 64), chunk=(64, 64), kept=kept, transpose=(False, True), residency=residency)
    with tempfile.TemporaryDirectory() as folder:
        recipe = recipe_for(Path(folder) / "run", (a, b), way)
        read = sum(tile.bytes_read for tile in compute(recipe))
    made, (layout,) = replace(problem((150, 400, 130)), a=recipe.a, b=recipe.b), hardware((1, 1)).layouts
    planned = Candidate(made.shape, recipe.arithmetic, recipe.tile, kept, recipe.staging.spec, layout, 1, "cpu", 10)
    assert planned.walk == recipe.walk
    assert read == planned_reads(made, planned).nbytes > 0


def test_a_walk_that_is_too_long_to_count_is_estimated_and_never_below_one_pass(monkeypatch):
    made = block_diagonal(8, 512)
    plan = make_plan(job(memory=GIB), made, hardware())
    monkeypatch.setattr(sparse_walk, "MOST_PAIRS", 1)
    monkeypatch.setattr(work, "MOST_BLOCKS", 1)
    work._sparsity.cache_clear()
    rough = make_plan(job(memory=GIB), made, hardware())
    work._sparsity.cache_clear()
    assert made.a.stored_bytes <= rough.predicted.bytes_read <= 3 * plan.predicted.bytes_read


def block_diagonal(count, size):
    """A block-diagonal matrix times a full one, in chunks of `size`."""
    made = problem((count * size,) * 3, chunks=((size, size), (size, size)))
    return replace(made, a=holed(made.a, np.eye(count, dtype=bool)))


@pytest.fixture(autouse=True)
def large_machine(monkeypatch):
    monkeypatch.setattr(planner, "installed_memory", lambda: 2**50)


def test_tiles_of_a_block_diagonal_matrix_are_its_blocks():
    made = block_diagonal(8, 1024)
    plan = make_plan(job(memory=2 * GIB), made, hardware())
    assert plan.tile.rows == plan.tile.depth == 1024
    assert plan.flops == made.flops // 8
    assert plan.skipped.of - plan.skipped.slabs == plan.grid[0] * plan.grid[1]
    assert plan.bytes_ratio == pytest.approx(1, abs=0.02)
    full = make_plan(job(memory=2 * GIB), replace(made, a=replace(made.a, matrix=replace(made.a.matrix, occupancy=None))), hardware())
    assert full.skipped is None and full.predicted.seconds > 2 * plan.predicted.seconds


def test_a_plan_says_what_it_skips_and_travels():
    made = block_diagonal(8, 1024)
    plan = make_plan(job(memory=2 * GIB), made, hardware())
    assert read_plan(plan_json(plan)) == plan
    skipped = plan_section(plan, made)["skipped"]
    assert skipped == {
        "slabs": plan.skipped.slabs,
        "of": plan.skipped.of,
        "bytes_read": plan.skipped.bytes_read,
        "flops": made.flops - made.flops // 8,
    }
    assert f"{plan.skipped.slabs} of {plan.skipped.of} slabs are skipped: 962 GFLOP" in plan_text(plan, made)
    assert "skipped" not in plan_text(make_plan(job(memory=GIB), problem((4, 5, 6)), hardware()), problem((4, 5, 6)))


def test_decoders_of_sparse_files_count_together():
    """What they keep from one read to the next stays while the other operand is read."""
    made = block_diagonal(8, 1024)
    kept = replace(made.a, matrix=replace(made.a.matrix, one_file=True))
    (layout,) = hardware((1, 1)).layouts
    way = make_plan(job(memory=GIB), made, hardware((1, 1)))
    (output,) = Search(job(chunk=way.chunk, codec="none"), made, hardware((1, 1)), GIB)._outputs(type("Row", (), {"dtype_out": "float32"}))
    one = Candidate(made.shape, ARITHMETICS["float32"], way.tile, (False, False), output, layout, 1, "cpu", 10)
    alone, both = (
        tile_memory(replace(made, a=kept, b=b), one).host["input decoding"] for b in (made.b, replace(made.b, matrix=kept.matrix))
    )
    assert alone == kept.matrix.scratch_bytes + made.b.matrix.scratch_bytes
    assert both == 2 * kept.matrix.scratch_bytes
