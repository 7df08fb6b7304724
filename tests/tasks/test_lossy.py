"""Whole small products with rounding before storage: the bound holds, the certificate says what happened, and it pays."""

import tempfile
from dataclasses import replace
from math import hypot
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks import check
from tasks.snapping import Snapped
from tests.tasks.inline import Way, compute, recipe_for, result

WAY = Way(tile=(64, 64, 40), chunk=(32, 64), in_chunks=(64, 64), codec="blosc-zstd")


def norm(matrix) -> float:
    return float(np.linalg.norm(np.asarray(matrix, np.float64)))


def operands(m=100, k=80, n=90, seed=0, dtype="float32"):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)


def computed(folder, pair, way, added=None):
    recipe = recipe_for(Path(folder) / "run", pair, way, added)
    return recipe, compute(recipe), result(recipe).astype(np.float64)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.tuples(*[st.integers(1, 40)] * 3),
    st.sampled_from([("float32", "float32"), ("float32", "float16"), ("float64", "float64"), ("float64", "float32")]),
    st.sampled_from([1e-9, 1e-5, 1e-3, 1e-1, 2.0]),
    st.sampled_from([(1.0, 0.0), (-2.5, 0.5)]),
    st.integers(0, 99),
)
def test_the_error_is_within_arithmetic_and_share_for_every_row(shape, types, share, factors, seed):
    (m, k, n), rng = shape, np.random.default_rng(seed)
    a, b = operands(m, k, n, seed, types[0])
    a *= 10.0 ** rng.uniform(-3, 1, (m, 1)).astype(types[0])
    c0 = rng.standard_normal((m, n)).astype("float32") if factors[1] else None
    way = Way(tile=(16, 16, 16), chunk=(8, 8), arithmetic=types[0], dtype_out=types[1], alpha=factors[0], beta=factors[1], share=share)
    with tempfile.TemporaryDirectory() as folder:
        recipe, tiles, stored = computed(folder, (a, b), way, c0)
    added = np.zeros((m, n)) if c0 is None else c0.astype(float)
    error = stored - (factors[0] * a.astype(float) @ b.astype(float) + factors[1] * added)
    rows = abs(factors[0]) * np.linalg.norm(a.astype(float), axis=1) * norm(b) + abs(factors[1]) * np.linalg.norm(added, axis=1)
    lost = recipe.arithmetic.underflow(shape, (norm(a), norm(b)), types[1], factors)
    assert all(tile.accepted for tile in tiles)
    assert (np.linalg.norm(error, axis=1) <= (recipe.bound + share) * rows * (1 + 1e-12) + lost).all()
    assert hypot(*(tile.rounding_error for tile in tiles)) <= share * (abs(factors[0]) * norm(a) * norm(b) + abs(factors[1]) * norm(added))


@pytest.mark.parametrize("size", [1.0, 1e-12, 1e15])
def test_it_pays_whatever_the_scale(tmp_path, size):
    a, b = operands(256, 256, 256)
    pair = a * np.float32(size), b
    exact = pair[0].astype(float) @ b.astype(float)
    way = replace(WAY, tile=(128, 128, 256), chunk=(128, 128))
    _, plain, before = computed(tmp_path / "no", pair, way)
    recipe, rounded, after = computed(tmp_path / "auto", pair, replace(way, share=9e-4))
    assert sum(tile.bytes_stored for tile in plain) > 1.3 * sum(tile.bytes_stored for tile in rounded)
    assert norm(after - exact) <= (recipe.bound + 9e-4) * norm(pair[0]) * norm(b)
    done = hypot(*(tile.rounding_error for tile in rounded))
    assert done == pytest.approx(norm(after - before), rel=1e-12)
    assert 2e-4 <= done / norm(pair[0]) / norm(b) <= 9e-4
    steps = {tile.step_exponent for tile in rounded}
    assert max(steps) - min(steps) <= 1
    assert {tile.step_exponent for tile in plain} == {None}


def test_a_share_that_would_let_everything_be_zero_leaves_a_product(tmp_path):
    pair = operands()
    _, _, after = computed(tmp_path, pair, replace(WAY, share=0.5))
    exact = pair[0].astype(float) @ pair[1].astype(float)
    assert 0.01 < norm(after - exact) / norm(exact) < 0.04


def test_the_step_depends_on_nothing_but_the_data(tmp_path):
    pair = operands()
    first = computed(tmp_path / "1", pair, replace(WAY, share=1e-3))
    second = computed(tmp_path / "2", pair, replace(WAY, share=1e-3, kept=(True, True), residency="B"))
    assert first[2].tobytes() == second[2].tobytes()
    chunks = [{record for tile in tiles for record in tile.chunks} for _, tiles, _ in (first, second)]
    assert chunks[0] == chunks[1]


def test_nonfinite_rows_and_columns_stay_and_the_rest_is_rounded(tmp_path):
    a, b = operands()
    a[3, 7], b[5, 60] = np.inf, np.nan
    way = replace(WAY, allow_nonfinite=True)
    _, _, before = computed(tmp_path / "no", (a, b), way)
    recipe, tiles, after = computed(tmp_path / "auto", (a, b), replace(way, share=1e-3))
    assert all(tile.accepted for tile in tiles)
    assert after[3].tobytes() == before[3].tobytes()
    assert after[:, 60].tobytes() == before[:, 60].tobytes()
    kept = np.ix_(np.delete(np.arange(100), 3), np.delete(np.arange(90), 60))
    clean = np.delete(a, 3, axis=0).astype(float), np.delete(b, 60, axis=1).astype(float)
    assert (after[kept] != before[kept]).mean() > 0.9
    assert norm(after[kept] - clean[0] @ clean[1]) <= (recipe.bound + 1e-3) * norm(np.where(np.isfinite(a), a, 0)) * norm(
        np.where(np.isfinite(b), b, 0)
    )


def test_a_product_near_the_end_of_the_range_never_becomes_infinite(tmp_path):
    a, b = np.full((4, 2), 1.3e19, "float32"), np.full((2, 4), 1.3e19, "float32")
    a[:, 1] = 0.99e19
    _, tiles, after = computed(tmp_path, (a, b), Way(share=0.3))
    assert all(tile.accepted for tile in tiles)
    assert np.isfinite(after).all()


@pytest.mark.parametrize("size", [1e-30, 1e-38])
def test_where_underflow_takes_its_part_nothing_is_rounded(tmp_path, size):
    a, b = operands()
    pair = a * np.float32(size), b * np.float32(1e-7)
    _, _, before = computed(tmp_path / "no", pair, WAY)
    _, tiles, after = computed(tmp_path / "auto", pair, replace(WAY, share=1e-3))
    assert after.tobytes() == before.tobytes()
    assert {tile.step_exponent for tile in tiles} == {None}


def test_an_element_wrong_by_more_than_the_rounding_is_refused(tmp_path, monkeypatch):
    from tasks import kernels

    honest = kernels.KERNELS["float32", "cpu", "torch"].add

    def broken(accumulator, left, right, beta):
        honest(accumulator, left, right, beta)
        accumulator[3, 4] += 10

    monkeypatch.setitem(kernels.KERNELS, ("float32", "cpu", "torch"), kernels.Adds(broken))
    _, tiles, _ = computed(tmp_path, operands(16, 64, 16), Way(tile=(16, 16, 64), share=1e-3))
    assert not tiles[0].accepted


def test_a_rounding_that_moves_a_row_further_than_allowed_is_refused(tmp_path, monkeypatch):
    def careless(values, limits, stored):
        values[5] = 0
        return Snapped(torch.where(torch.arange(len(values)) == 5, torch.linalg.vector_norm(values[4]).double(), 0.0), 3)

    monkeypatch.setattr(check, "snap", careless)
    _, tiles, _ = computed(tmp_path, operands(16, 64, 16), Way(tile=(16, 16, 64), share=1e-3))
    assert not tiles[0].accepted
    assert tiles[0].chunks == ()
