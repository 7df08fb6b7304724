"""The least bytes that any schedule moves, where not all of A and B is stored: no plan moves fewer."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import planner
from tasks.geometry import blocks
from tasks.job import make_job
from tasks.planner import make_plan
from tasks.survey import survey
from tests.tasks.machines import MIB, hardware, job, problem
from tests.tasks.test_work import holed


@pytest.fixture(autouse=True)
def large_machine(monkeypatch):
    monkeypatch.setattr(planner, "installed_memory", lambda: 2**50)


@settings(max_examples=5, deadline=None)
@given(
    grid=st.tuples(*[st.integers(1, 6)] * 3),
    share=st.sampled_from([0.02, 0.3, 0.8]),
    budget=st.integers(200, 3000),
    seed=st.integers(0, 99),
    both=st.booleans(),
    zero=st.booleans(),
)
def test_a_plan_never_moves_fewer_bytes_than_its_bound(grid, share, budget, seed, both, zero):
    rng, (m, k, n) = np.random.default_rng(seed), (700 * extent for extent in grid)
    made = problem((m, k, n), chunks=((700, 350), (350, 1400)))
    a = holed(made.a, rng.random((blocks(m, 700), blocks(k, 350))) < share, zero)
    b = holed(made.b, rng.random((blocks(k, 350), blocks(n, 1400))) < share)
    plan = make_plan(job(memory=budget * MIB), replace(made, a=a, b=b if both else made.b), hardware())
    assert plan.bytes_ratio >= 1
    assert plan.predicted.peak_memory_bytes <= plan.memory_limit


@settings(max_examples=8, deadline=None)
@given(
    grid=st.tuples(*[st.integers(1, 8)] * 2),
    share=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    budget=st.integers(250, 3000),
    seed=st.integers(0, 99),
    store=st.sampled_from(["full", "triangle"]),
    zero=st.booleans(),
)
def test_one_triangle_never_moves_fewer_bytes_than_its_bound(grid, share, budget, seed, store, zero):
    m, k = (500 * extent for extent in grid)
    made = replace(problem((m, k, m), chunks=((500, 250),) * 2, transposed=(False, True)), symmetry=store)
    held = np.random.default_rng(seed).random((blocks(m, 500), blocks(k, 250))) < share
    made = replace(made, a=holed(made.a, held, zero), b=holed(made.b, held.T, zero))
    plan = make_plan(job(memory=budget * MIB, store=store), made, hardware())
    assert plan.symmetry == store and plan.bytes_ratio >= 1
    assert plan.predicted.bytes_read >= made.a.stored_bytes


@pytest.mark.parametrize("store", ["full", "triangle"])
@pytest.mark.parametrize(("kind", "share"), [("csr", 0.1), ("csc", 0.1), ("csr", 0.001), ("csr", 1.0)])
def test_a_sparse_file_times_itself_never_moves_fewer_bytes_than_its_bound(tmp_path, kind, share, store):
    path = str(tmp_path / "S.npz")
    sp.save_npz(path, sp.random(1000, 1000, share, kind, "float32", np.random.default_rng(1)))
    asked = make_job(a=path, b=path, out=str(tmp_path / "C"), transpose_b=True, store=store, memory="2GiB")
    plan = make_plan(asked, survey(asked), hardware())
    assert plan.symmetry == ("none" if store == "full" and share == 0.001 else store)
    assert 1 <= plan.bytes_ratio < 3


def test_the_square_of_a_sparse_file_need_not_read_it_twice(tmp_path):
    path, values = str(tmp_path / "S.npz"), sp.random(1000, 1000, 0.1, "csr", "float32", np.random.default_rng(1))
    sp.save_npz(path, values)
    asked = make_job(a=path, b=path, out=str(tmp_path / "C"), memory="2GiB")
    plan = make_plan(asked, survey(asked), hardware())
    once = values.nnz * 8 + 4 * 1000**2
    assert once * 0.99 <= plan.lower_bound_bytes <= once
    assert plan.bytes_ratio > 1
