"""Blocks of a product before it is computed: bit for bit what the run stores there, or what comes nearest on this host."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from storage import create_staging
from tasks import excerpt as excerpts
from tasks.excerpt import take_excerpt
from tasks.planner import make_plan
from tasks.prepare import product_spec
from tasks.recipe import make_recipe
from tasks.sample import looked_at
from tests.tasks.inline import Way, compute, recipe_for
from tests.tasks.machines import rates
from tests.tasks.test_compressed import KINDS, World, planned


def run(job, problem, plan):
    """The whole product, as its run stores it."""
    staging = create_staging(Path(job.out), product_spec(job, problem, plan), "process", "run")
    compute(make_recipe(job, problem, plan, staging))
    return zarr.open_array(staging.array)[:]


@pytest.mark.parametrize("fields", [{}, {"alpha": 0.25}, {"precision": "float64", "max_error": 1e-12, "dtype_out": "float64"}], ids=str)
def test_blocks_are_what_the_run_stores(tmp_path, fields):
    job, problem, plan, _ = planned(World(tmp_path).job(*KINDS["integers"], codec="none", **fields))
    found = take_excerpt(job, problem, plan)
    whole = run(job, problem, plan)
    for row, rows in enumerate(found.drawn.rows.spans):
        for col, cols in enumerate(found.drawn.cols.spans):
            np.testing.assert_array_equal(found.block(row, col), whole[slice(*rows), slice(*cols)])
    assert found.values.dtype == whole.dtype


def test_tiles_that_miss_are_computed_one_rung_up_as_in_the_run(tmp_path, monkeypatch):
    job, problem, _, machine = planned(World(tmp_path).job(*KINDS["normal"], codec="none", guarantee="measured", max_error=5e-3))
    fast = rates(gemm={name: {"torch": speed} for name, speed in (("bfloat16", 9e13), ("float32", 9e9), ("float64", 9e8))})
    layouts = tuple(replace(layout, rates=fast) for layout in machine.layouts)
    plan = make_plan(job, looked_at(job, problem), replace(machine, layouts=layouts))
    assert plan.arithmetic == "bfloat16" and plan.fallbacks
    once = take_excerpt(job, problem, plan)
    honest = excerpts.examine

    def miss_first(recipe, tile):
        found = honest(recipe, tile)
        return replace(found, measured=replace(found.measured, missed=recipe.rung == 0))

    monkeypatch.setattr(excerpts, "examine", miss_first)
    twice = take_excerpt(job, problem, plan)
    assert twice.bytes_sampled == 2 * once.bytes_sampled
    exact = KINDS["normal"][0].astype(np.float64) @ KINDS["normal"][1]
    cut = slice(*twice.drawn.rows.spans[0]), slice(*twice.drawn.cols.spans[0])
    assert np.abs(twice.block(0, 0) - exact[cut]).max() < 0.01 * np.abs(once.block(0, 0) - exact[cut]).max()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_here_is_stood_in_for(tmp_path):
    recipe = recipe_for(tmp_path, (np.ones((8, 8), np.float32), np.ones((8, 8), np.float32)), Way())
    here, notes = excerpts._here(replace(recipe, device="cuda", arithmetic_name="bfloat16x3"))
    assert (here.device, here.arithmetic_name) == ("cpu", "float32")
    assert notes == ("computed in float32 on this processor, in place of bfloat16x3 on cuda",)
    assert excerpts._here(recipe) == (recipe, ())


def test_threads_are_as_they_were(tmp_path):
    before = torch.get_num_threads()
    take_excerpt(*planned(World(tmp_path).job(*KINDS["normal"], codec="none"))[:3])
    assert torch.get_num_threads() == before
