"""A slab of A that changes while it lies in memory, between two tiles that it serves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks import workspace
from tasks.tile import compute_tile
from tasks.witness import has_changed, signs
from tasks.workspace import release
from tests.tasks.inline import Way, compute, recipe_for, result

WAY = Way(tile=(16, 16, 20), chunk=(16, 16), kept=(True, False), residency="A")


def operands(kind: str = "float32"):
    rng = np.random.default_rng(0)
    return rng.standard_normal((16, 40)).astype(kind), rng.standard_normal((40, 48)).astype(kind)


@given(st.integers(1, 300), st.floats(-300, 300), st.integers(0, 99))
def test_what_did_not_change_is_never_taken_for_changed(depth, exponent, seed):
    rng = np.random.default_rng(seed)
    a = torch.from_numpy(rng.standard_normal((5, depth)) * 10.0 ** (exponent / 2))
    seen = signs(seed, 0, depth, a.device)[:, 0]
    backwards = (a * seen).flip(1).cumsum(1)[:, -1]
    assert not has_changed(a @ seen, backwards, a.square().sum(dim=1), depth)


def test_signs_repeat_and_differ_by_slab():
    drawn = [signs(1, slab, 500, torch.device("cpu")) for slab in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert set(drawn[0][:, 0].tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("size", [1e-5, 1.0, 1e30, np.nan])
def test_a_slab_of_a_that_changed_since_it_was_probed_is_refused(tmp_path, size):
    pair = operands()
    recipe, sound = recipe_for(tmp_path / "run", pair, WAY), recipe_for(tmp_path / "sound", pair, WAY)
    compute(sound)
    release()
    assert compute_tile(recipe, recipe.walk[0]).accepted
    held = workspace._Held.workspace
    held.shelf_a._slabs[1].values[3, 7] += size
    tile = compute_tile(recipe, recipe.walk[1])
    assert not tile.accepted and tile.chunks == ()
    for index in (1, 2):
        assert compute_tile(recipe, recipe.walk[index]).accepted, "what was refused left no buffer behind"
    release()
    assert result(recipe).tobytes() == result(sound).tobytes()


def test_a_slab_of_b_that_changed_since_it_was_probed_shows_in_the_residual(tmp_path):
    way = replace(WAY, kept=(False, True), residency="B", tile=(8, 16, 20), chunk=(8, 16))
    rng = np.random.default_rng(1)
    recipe = recipe_for(tmp_path, (rng.standard_normal((16, 40)).astype("float32"), rng.standard_normal((40, 16)).astype("float32")), way)
    release()
    assert compute_tile(recipe, recipe.walk[0]).accepted
    workspace._Held.workspace.shelf_b._slabs[0].values[5, 5] += 0.5
    found = compute_tile(recipe, recipe.walk[1])
    release()
    assert not found.accepted or found.typical > 1e-6


def test_allowed_nan_is_no_change(tmp_path):
    a, b = operands()
    a[3, 5], a[7, 30] = np.nan, np.inf
    assert all(tile.accepted for tile in compute(recipe_for(tmp_path, (a, b), replace(WAY, allow_nonfinite=True))))


@pytest.mark.parametrize("size", [1e-170, 1e140])
def test_rows_beyond_the_range_of_their_squares_are_no_change(tmp_path, size):
    a, b = operands("float64")
    way = replace(WAY, arithmetic="float64", dtype_out="float64")
    a[::2] *= size
    assert all(tile.accepted for tile in compute(recipe_for(tmp_path, (a, b), way)))
