"""Tiles of a symmetric product against a float64 oracle: any shape, type, orientation and way to store, symmetric to the last bit."""

import tempfile
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import open_matrix, set_attributes, write_block
from tasks import against, syrk, triangle
from tasks.against import check_against
from tasks.errors import NonFinite
from tasks.geometry import SlabCosts
from tasks.ladder import ARITHMETICS
from tasks.mirror import written_elements
from tasks.recipe import Recipe
from tasks.syrk import fill_upper
from tasks.tile import compute_tile
from tasks.triangle import TriangleWalk
from tasks.walk import planned_bytes
from tasks.workspace import release
from tests.tasks.builders import certificate
from tests.tasks.inline import Way, compute, recipe_for, result

STORES = ["full", "triangle"]
BELOW = np.tril(np.ones((99, 99), bool))


def symmetric(folder: Path, x: np.ndarray, way: Way, store: str = "full") -> Recipe:
    """The recipe of op(X) op(X)', both operands the one matrix A; `way.transpose` turns the first or the second."""
    plain = recipe_for(folder, (x, x.T.copy()), way)
    walk = TriangleWalk(plain.walk.shape, plain.walk.tile, plain.walk.grid, plain.walk.residency)
    staging = replace(plain.staging, spec=replace(plain.staging.spec, lower=store == "triangle"))
    return replace(plain, b=replace(plain.a, transposed=not plain.a.transposed), walk=walk, staging=staging)


def matrix(m: int, k: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, k)).astype(dtype) if np.dtype(dtype).kind == "f" else rng.integers(-9, 9, (m, k)).astype(dtype)


def whole(stored: np.ndarray) -> np.ndarray:
    """The symmetric matrix whose lower triangle is stored."""
    return np.where(BELOW[: len(stored), : len(stored)], stored, stored.T)


@st.composite
def ways(draw) -> tuple[Way, tuple[int, int]]:
    m, k = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    chunk = draw(st.sampled_from([(4, 4), (8, 4), (3, 6), (7, 7), (5, 10)]))
    side = min(max(chunk) * draw(st.integers(1, 4)), m)
    chunk = min(chunk[0], m), min(chunk[1], m)
    side = m if side % chunk[0] or side % chunk[1] else side
    way = Way(
        tile=(side, side, draw(st.integers(1, k))),
        kept=draw(st.sampled_from([(False, False), (True, False), (True, True)])),
        chunk=chunk,
        transpose=draw(st.sampled_from([(False, True), (True, False)])),
        in_chunks=draw(st.tuples(st.integers(1, 24), st.integers(1, 24))),
        form=draw(st.sampled_from(["zarr3", "npy"])),
        alpha=draw(st.sampled_from([1.0, -0.5])),
    )
    return way, (m, k)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=ways(), store=st.sampled_from(STORES), strip=st.sampled_from([3, 8, 512]), seed=st.integers(0, 9))
def test_any_shape_is_within_its_bound_and_symmetric_to_the_last_bit(made, store, strip, seed):
    way, (m, k) = made
    x = matrix(m, k, seed=seed)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(syrk, "STRIP", strip)
        patch.setattr(syrk, "BLOCK", 5)
        recipe = symmetric(Path(folder) / "run", x, way, store)
        measurements = compute(recipe)
        exact, stored = way.alpha * (x.astype(float) @ x.T.astype(float)), result(recipe)
        assert all(tile.accepted for tile in measurements)
        found = whole(stored)
        norm = abs(way.alpha) * np.linalg.norm(x.astype(float)) ** 2
        assert np.linalg.norm(found - exact) <= recipe.bound * norm
        keys = [chunk.key for tile in measurements for chunk in tile.chunks]
        assert sorted(keys) == sorted(recipe.staging.spec.keys)
        if store == "full":
            assert (stored == stored.T).all()
        else:
            absent = np.isnan(stored)
            assert not (absent & BELOW[:m, :m]).any()
            assert (found == found.T).all() and absent.sum() == m * m - recipe.staging.spec.elements
        size = np.dtype("float32").itemsize
        assert sum(tile.bytes_written for tile in measurements) == size * recipe.staging.spec.elements
        costs = SlabCosts(recipe.a, recipe.tile.rows, recipe.tile.depth), SlabCosts(recipe.b, recipe.tile.depth, recipe.tile.cols)
        assert sum(tile.bytes_read for tile in measurements) == planned_bytes(recipe.walk, recipe.slots, 1, costs)


@pytest.mark.parametrize("name", sorted(name for name, row in ARITHMETICS.items() if "cpu" in row.block_output))
def test_every_arithmetic_of_a_processor_multiplies_half_within_its_bound(tmp_path, name, monkeypatch):
    monkeypatch.setattr(syrk, "STRIP", 8)
    x = matrix(32, 33)
    recipe = symmetric(tmp_path, x, Way(arithmetic=name, tile=(16, 16, 11), dtype_out="float32"))
    measurements = compute(recipe)
    assert all(tile.accepted for tile in measurements)
    stored = result(recipe)
    assert (stored == stored.T).all()
    assert np.linalg.norm(stored - x.astype(float) @ x.T.astype(float)) <= recipe.bound * np.linalg.norm(x.astype(float)) ** 2


def test_integers_are_exact(tmp_path):
    x = matrix(20, 33, "int8")
    recipe = symmetric(tmp_path, x, Way(arithmetic="float64", dtype_out="int64", exact=True))
    assert all(tile.accepted for tile in compute(recipe))
    assert (result(recipe) == x.astype(int) @ x.T.astype(int)).all()


@pytest.mark.parametrize("rows", [1, 3, 5, 6, 17])
def test_the_upper_triangle_takes_the_lower_ones_bits(rows, monkeypatch):
    monkeypatch.setattr(syrk, "BLOCK", 5)
    values = torch.arange(rows * rows, dtype=torch.float32).view(rows, rows)
    values[rows - 1, 0] = torch.nan
    before = values.clone()
    fill_upper(values)
    below = torch.ones(rows, rows, dtype=torch.bool).tril()
    assert torch.equal(values[below].nan_to_num(-1), before[below].nan_to_num(-1))
    assert torch.equal(values.nan_to_num(-1), values.T.nan_to_num(-1))


def test_half_of_a_diagonal_tile_is_multiplied(tmp_path, monkeypatch):
    """The kernel is asked for so many products as the plan counts."""
    monkeypatch.setattr(syrk, "STRIP", 4)
    monkeypatch.setattr(triangle, "STRIP", 4)
    done = []
    honest = syrk.add_product

    def counting(method, accumulator, a, b, beta):
        done.append(accumulator.numel())
        honest(method, accumulator, a, b, beta)

    monkeypatch.setattr(syrk, "add_product", counting)
    recipe = symmetric(tmp_path, matrix(16, 9), Way(tile=(16, 16, 9), chunk=(8, 8)))
    compute(recipe)
    assert sum(done) == 16 * 16 * 5 // 8 == recipe.walk.products


@pytest.mark.parametrize("store", STORES)
def test_a_wrong_element_is_refused_wherever_it_is(tmp_path, store, monkeypatch):
    recipe = symmetric(tmp_path, matrix(24, 33), Way(tile=(8, 8, 11)), store)
    honest = syrk.add_symmetric_product

    def spoiling(method, accumulator, a, beta):
        honest(method, accumulator, a, beta)
        accumulator[5, 2] += 1

    monkeypatch.setattr("tasks.tile.add_symmetric_product", spoiling)
    verdicts = {tile.verdict for tile in compute(recipe) if tile.row == tile.col}
    assert verdicts == {"refused"}


@pytest.mark.parametrize("transpose", [(False, True), (True, False)])
def test_nan_is_refused_by_name_or_stands_outside(tmp_path, transpose):
    x = matrix(20, 33)
    x[11, 4] = np.nan
    with pytest.raises(NonFinite, match=r"holds nan at \[(11, 4|4, 11)\]"):
        compute(symmetric(tmp_path / "refused", x, Way(transpose=transpose)))
    recipe = symmetric(tmp_path / "allowed", x, Way(transpose=transpose, allow_nonfinite=True))
    measurements = compute(recipe)
    assert all(tile.accepted for tile in measurements)
    said = ", ".join(tile.nonfinite for tile in measurements if tile.nonfinite)
    assert "row 11" in said and "column 11" in said
    stored = result(recipe)
    hit = np.isnan(stored)
    assert hit[11].all() and hit[:, 11].all() and hit.sum() == 39
    x[11, 4] = 0
    sound = np.delete(np.delete(stored, 11, 0), 11, 1)
    exact = np.delete(np.delete(x.astype(float) @ x.T.astype(float), 11, 0), 11, 1)
    assert np.allclose(sound, exact, atol=1e-4)


def test_rounding_for_storage_keeps_the_product_symmetric(tmp_path):
    x = matrix(32, 33) * np.logspace(-3, 3, 32, dtype="float32")[:, None]
    recipe = symmetric(tmp_path, x, Way(tile=(16, 16, 11), share=1e-3))
    measurements = compute(recipe)
    stored = result(recipe)
    assert all(tile.accepted for tile in measurements) and any(tile.step_exponent is not None for tile in measurements)
    assert (stored == stored.T).all()
    total = sqrt(sum(tile.copies * tile.rounding_error**2 for tile in measurements))
    error = np.linalg.norm(stored - x.astype(float) @ x.T.astype(float))
    assert error <= total + recipe.bound * np.linalg.norm(x) ** 2 and total <= 1e-3 * np.linalg.norm(x) ** 2


def test_a_second_attempt_gives_the_same_bits(tmp_path):
    recipe = symmetric(tmp_path, matrix(20, 33), Way())
    first, second = compute(recipe), compute(recipe, attempt=1)
    assert [tile.chunks for tile in first] == [tile.chunks for tile in second]


def test_a_tile_below_the_diagonal_fills_its_mirror_image_alone(tmp_path):
    recipe = symmetric(tmp_path, matrix(20, 33), Way())
    release()
    tile = recipe.walk[2]
    assert (tile.row, tile.col) == (1, 0)
    done = compute_tile(recipe, tile)
    release()
    assert [chunk.key for chunk in done.chunks] == ["c/1/0", "c/0/1"]
    assert (done.copies, done.bytes_written) == (2, 2 * 64 * 4) and written_elements(recipe.walk, recipe.staging.spec, tile) == 128


def checked(recipe: Recipe, x: np.ndarray):
    set_attributes(recipe.staging, {})
    norm = float(np.linalg.norm(x))
    return check_against([replace(recipe, seed=99)], open_matrix(recipe.staging.array), certificate(norm_a=norm, norm_b=norm))


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("chunk", [(8, 8), (4, 8), (8, 2)])
@pytest.mark.parametrize("group", [1, 2**28])
def test_against_its_input_a_sound_product_passes_and_a_wrong_element_is_found(tmp_path, store, chunk, group, monkeypatch):
    monkeypatch.setattr(against, "GROUP_BYTES", group)
    monkeypatch.setattr(against, "BLOCK_BYTES", 150)
    x = matrix(21, 33)
    recipe = symmetric(tmp_path, x, Way(chunk=chunk), store)
    compute(recipe)
    found = checked(recipe, x)
    assert found.tiles == () and found.worst <= 1.0 and found.measured < 1e-6
    block = result(recipe)[16:21, 8:16]
    block[1, 2] += 1
    write_block(recipe.staging, 16, 8, block)
    found = checked(recipe, x)
    assert found.tiles == ((2, 1),) and found.worst > 1


def test_a_mirror_image_that_is_none_is_found(tmp_path):
    x = matrix(21, 33)
    recipe = symmetric(tmp_path, x, Way())
    compute(recipe)
    block = result(recipe)[8:16, 16:21]
    block[3, 4] = np.nextafter(block[3, 4], np.float32(np.inf))
    write_block(recipe.staging, 8, 16, block)
    found = checked(recipe, x)
    assert found.tiles == ((2, 1),) and found.worst == np.inf
