"""Plans of symmetric products: what they promise about memory, bytes, tiles and work, and beside the plan of an ordinary product."""

import doctest
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks import planner, symmetry
from tasks.bound import Team, lower_bound_bytes, symmetric_bound_bytes
from tasks.cost import cost_of, estimate, ideal_seconds, least_cost
from tasks.errors import BadInput, Refused
from tasks.fit import Bar
from tasks.geometry import blocks
from tasks.job import make_job
from tasks.planner import make_plan
from tasks.precision import choose_precisions
from tasks.reads import planned_reads
from tasks.report import plan_text
from tasks.search import Search
from tasks.survey import survey
from tasks.symmetry import operations, symmetry_of, symmetry_words, tile_count, whole_words
from tests.tasks.machines import GIB, MIB, hardware, job, matrix, problem
from tests.tasks.test_planner import named_mebibytes

EXTENTS = (1, 2, 100, 257, 2049, 5000, 12_000, 50_000)
CHUNKS = (None, (1, 50_000), (33, 37), (256, 256), (2048, 2048))
MACHINES = (hardware(), hardware((4, 1), (1, 4)), hardware((3, 1)))


@pytest.fixture(autouse=True)
def large_machine(monkeypatch):
    monkeypatch.setattr(planner, "installed_memory", lambda: 2**50)


def gram(m: int, k: int, symmetry: str, chunk=None, turned=False):
    made = problem((m, k, m), chunks=(chunk, chunk), transposed=(turned, not turned))
    return replace(made, symmetry=symmetry)


@settings(deadline=None, max_examples=25)
@given(
    m=st.sampled_from(EXTENTS),
    k=st.sampled_from(EXTENTS),
    symmetry=st.sampled_from(["full", "triangle"]),
    chunk=st.sampled_from(CHUNKS),
    machine=st.sampled_from(MACHINES),
    budget=st.sampled_from([700 * MIB, 2 * GIB, 16 * GIB]),
)
@example(5000, 5000, "triangle", (33, 37), MACHINES[1], 2 * GIB)  # in parts, whose sums count
def test_a_plan_keeps_its_memory_and_moves_no_fewer_bytes_than_possible(m, k, symmetry, chunk, machine, budget):
    made = gram(m, k, symmetry, chunk)
    try:
        plan = make_plan(job(memory=budget, store=symmetry), made, machine)
    except Refused as refusal:
        plan = make_plan(job(memory=named_mebibytes(refusal) * MIB, store=symmetry), made, machine)
    assert plan.symmetry == symmetry and plan.tile.rows == plan.tile.cols
    assert plan.predicted.peak_memory_bytes <= plan.memory_limit
    count = blocks(m, plan.tile.rows)
    assert plan.grid[:2] == (count, count) and plan.workers <= plan.tiles * plan.parts and plan.tiles == count * (count + 1) // 2
    assert all(plan.tile.rows % edge == 0 or plan.tile.rows == m for edge in plan.chunk)
    assert plan.bytes_ratio >= 1
    assert plan.predicted.bytes_read >= made.a.nbytes
    whole = m * m * np.dtype(plan.dtype_out).itemsize
    assert plan.predicted.bytes_written == whole if symmetry == "full" else plan.predicted.bytes_written <= whole
    assert plan.flops == m * (m + 1) * k


@pytest.mark.parametrize(("symmetry", "least", "written"), [("full", 1.6, 1.0), ("triangle", 1.75, 0.6)])
def test_half_the_work_takes_about_half_the_time(symmetry, least, written):
    request = job(memory=2 * GIB, codec="none", durability="process")
    ordinary = make_plan(request, gram(16_384, 16_384, "none", (2048, 2048)), hardware())
    plan = make_plan(request, gram(16_384, 16_384, symmetry, (2048, 2048)), hardware())
    assert ordinary.predicted.seconds > least * plan.predicted.seconds
    assert plan.predicted.bytes_written <= written * ordinary.predicted.bytes_written
    assert plan.lower_bound_bytes < 0.8 * ordinary.lower_bound_bytes


@pytest.mark.parametrize("chunk", [(64, 128), (128, 64), (100, 150)])
def test_chunks_that_are_not_square_make_tiles_of_common_multiples(chunk):
    plan = make_plan(job(memory=GIB, chunk=chunk, store="triangle"), gram(5000, 300, "triangle"), hardware())
    assert plan.tile.rows == plan.tile.cols and (plan.tile.rows == 5000 or all(plan.tile.rows % edge == 0 for edge in chunk))


def test_where_no_square_tile_fits_an_ordinary_plan_is_made_or_the_triangle_refused():
    """Only a tile of all 20,011 rows is whole chunks both ways."""
    made, chunk = gram(20_011, 300, "full"), (1000, 999)
    plan = make_plan(job(memory=GIB, chunk=chunk), made, hardware())
    assert plan.symmetry == "none" and plan.tiles == plan.grid[0] * plan.grid[1] > 1
    [warning] = [text for text in plan.warnings if "like any other product" in text]
    assert "squares of whole chunks (1000 x 999), need" in warning and "square chunks less; C[i, j] and C[j, i] may differ" in warning
    assert "X Xᵀ is computed like any other product" in plan_text(plan, made)
    enough = int(warning.partition("need ")[2].split()[0]) * MIB
    halved = make_plan(job(memory=enough, chunk=chunk), made, hardware())
    assert halved.symmetry == "full" and not [text for text in halved.warnings if "like any other" in text]
    with pytest.raises(Refused):
        make_plan(job(memory=enough - MIB, chunk=chunk, store="triangle"), replace(made, symmetry="triangle"), hardware())
    with pytest.raises(Refused, match=r"memory of 1\.0+ GiB is too small: the smallest plan needs \d+ MiB"):
        make_plan(job(memory=GIB, chunk=chunk, store="triangle"), replace(made, symmetry="triangle"), hardware())


def test_zeros_that_are_left_out_are_why_nothing_is_halved(tmp_path):
    rng = np.random.default_rng(3)
    for name, kind in (("S", "float32"), ("I", "int8")):
        sp.save_npz(tmp_path / f"{name}.npz", sp.random(300, 200, 0.0003, "csr", kind, rng, lambda n: rng.integers(1, 5, n)))
    sp.save_npz(tmp_path / "E.npz", sp.random(300, 200, 0.1, "csr", "float32", rng))
    plans = {}
    for name, store in (("S", "full"), ("S", "triangle"), ("I", "full"), ("E", "full")):
        path = str(tmp_path / f"{name}.npz")
        asked = make_job(a=path, b=path, out=str(tmp_path / "C"), transpose_b=True, memory="2GiB", store=store)
        plans[name, store] = make_plan(asked, survey(asked), hardware())
    said = {way: [text for text in plan.warnings if "like any other product" in text] for way, plan in plans.items()}
    assert plans["S", "triangle"].symmetry == "triangle" and said["S", "triangle"] == []
    assert "known to be zero" in said["S", "full"][0] and "may differ in their last bits" in said["S", "full"][0]
    assert plans["E", "full"].symmetry == "full" and said["E", "full"] == [], "it has an entry in every square"
    assert plans["I", "full"].exact and len(said["I", "full"]) == 1 and "differ" not in said["I", "full"][0]


def test_a_triangle_of_exact_integers_is_refused_and_one_in_float64_is_not():
    made = replace(problem((500, 100, 500), ("int8", "int8"), transposed=(False, True)), symmetry="triangle")
    with pytest.raises(BadInput, match=r"a triangle of int64 cannot be stored: .* would read as 0.*--dtype-out float64"):
        make_plan(job(memory=GIB, store="triangle"), made, hardware())
    plan = make_plan(job(memory=GIB, store="triangle", dtype_out="float64"), made, hardware())
    assert plan.exact and plan.dtype_out == "float64"


@pytest.mark.parametrize("symmetry", ["full", "triangle"])
def test_the_bounds_of_the_search_hold_for_every_candidate(symmetry):
    """What is pruned by `ideal_seconds` and `least_cost` is slower: they are below every candidate's estimate."""
    made = gram(6000, 4000, symmetry, (1000, 1000))
    request = job(memory=4 * GIB)
    search = Search(request, made, hardware(), 4 * GIB)
    row = next(row for row in choose_precisions(request, made, "cpu") if row.reason == "")
    seen = 0
    for output in search._outputs(row):
        for crew in search._crews:
            whole = search._whole(row, output, crew)
            ideal = ideal_seconds(made, whole)
            for group in search._groups(whole, search._edges(whole.output)):
                for top in search._deepest(group):
                    for fit in search._fits(top, Bar(), float("inf")):
                        seen += 1
                        assert ideal <= fit.cost.seconds * (1 + 1e-9)
                        assert least_cost(made, top).seconds <= fit.cost.seconds * (1 + 1e-9)
    assert seen > 20


@pytest.mark.parametrize("kept", [(False, False), (True, False), (True, True)])
def test_estimated_bytes_are_exact_for_one_worker_and_equal_panels(kept):
    made = gram(4096, 2048, "full", (512, 512))
    request = job(memory=8 * GIB, workers=1)
    search = Search(request, made, hardware((1, 1)), 8 * GIB)
    row = next(row for row in choose_precisions(request, made, "cpu") if row.reason == "")
    whole = search._whole(row, next(iter(search._outputs(row))), search._crews[0])
    way = replace(whole, tile=replace(whole.tile, rows=512, cols=512, depth=512), kept=kept)
    assert estimate(made, way, 0).bytes_read == cost_of(made, way, planned_reads(made, way), 0).bytes_read


def test_the_bound_is_that_of_the_literature():
    """n^2 k / sqrt(2 S) for large n (Beaumont et al. 2022): 1 / (2 sqrt(2)) of what the whole product needs with the same memory."""
    m, k, memory = 10**6, 10**5, 4 * 10**8
    whole = lower_bound_bytes((m, k, m), (4, 4, 4), Team(1, memory, 1.0))
    half = symmetric_bound_bytes(m, k, (4, 4), Team(1, memory, 1.0), "triangle")
    assert half / whole == pytest.approx(1 / (2 * 2**0.5), rel=0.02)
    assert symmetric_bound_bytes(1, 1, (4, 4), Team(1, memory, 1.0), "triangle") == 8


def test_what_is_one_matrix(tmp_path):
    np.save(tmp_path / "X.npy", np.ones((3, 4), "float32"))
    (tmp_path / "link.npy").symlink_to(tmp_path / "X.npy")
    np.save(tmp_path / "Y.npy", np.ones((3, 4), "float32"))
    np.save(tmp_path / "D.npy", np.ones((3, 3), "float32"))

    def found(a, b, **fields):
        return survey(make_job(a=str(tmp_path / a), b=str(tmp_path / b), out=str(tmp_path / "C"), **fields)).symmetry

    assert found("X.npy", "X.npy", transpose_b=True) == "full"
    assert found("X.npy", "X.npy", transpose_a=True, store="triangle") == "triangle"
    assert found("X.npy", "link.npy", transpose_b=True) == "full"
    assert found("X.npy", "Y.npy", transpose_b=True) == "none"
    assert found("D.npy", "D.npy") == "none"
    assert found("X.npy", "X.npy", transpose_b=True, add=str(tmp_path / "D.npy"), beta=1.0) == "none"
    with pytest.raises(BadInput, match="both operands are transposed"):
        found("D.npy", "D.npy", transpose_a=True, transpose_b=True, store="triangle")


def test_a_copy_is_another_matrix_and_an_address_is_compared_as_it_stands():
    asked, one = job(transpose_b=True), matrix((4, 5))
    assert symmetry_of(asked, one, one) == "full"
    assert symmetry_of(asked, one, replace(one, path="/data/y")) == "none"
    assert symmetry_of(asked, replace(one, path="s3://b/x"), replace(one, path="s3://b/x")) == "full"
    assert symmetry_of(asked, one, replace(one, fingerprint="changed")) == "none"


def test_counts_and_words():
    assert (tile_count((5, 5), "none"), tile_count((5, 5), "triangle")) == (25, 15)
    assert operations((3, 2, 3), "full") == 24
    assert doctest.testmod(symmetry).failed == 0
    assert symmetry_words((3, 2, 3), "none") == "" and whole_words("", exact=False) == ()
    assert "33 % of the operations saved, and stored twice" in symmetry_words((3, 2, 3), "full")
    assert "reads as NaN" in symmetry_words((3, 2, 3), "triangle")
