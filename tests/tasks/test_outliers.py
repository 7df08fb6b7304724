"""What a tile's rows show beside each other, by hand and from whole tiles."""

import numpy as np
import pytest
import torch

from tasks.outliers import NOT_COMPARED, Measure, compare
from tests.tasks.inline import Way, compute, recipe_for, replace

ROWS, PROBES = 7, 4


def measure(**changes: object) -> Measure:
    made = {"scale": torch.full((ROWS,), 2.0, dtype=torch.float64), "lost": torch.zeros(ROWS, dtype=torch.float64), "noise": 1e-16}
    return Measure(**(made | changes))


def residual(size: float = 1e-6) -> torch.Tensor:
    return torch.full((ROWS, PROBES + 1), size, dtype=torch.float64)


def test_rows_are_compared_with_their_median():
    seen = residual()
    seen[3, :PROBES] *= 5
    seen[6, PROBES] *= 9
    found = compare(seen, PROBES, measure())
    assert (found.count, found.typical, found.outlier, found.single) == pytest.approx((ROWS, 5e-7, 5, 9))


def test_rows_that_hold_nothing_do_not_count():
    scale = torch.tensor([2.0, 0, 0, 0, 0, 2, 2], dtype=torch.float64)
    seen = residual() * (scale > 0)[:, None]
    found = compare(seen, PROBES, measure(scale=scale))
    assert (found.count, found.typical, found.outlier) == pytest.approx((3, 5e-7, 1))
    assert compare(seen, PROBES, measure(scale=0 * scale)) == NOT_COMPARED


def test_the_noise_of_the_check_stands_out_nowhere():
    seen = torch.zeros(ROWS, PROBES + 1, dtype=torch.float64)
    assert compare(seen, PROBES, measure()) == replace(NOT_COMPARED, count=ROWS)
    seen[2] = 2e-16
    assert compare(seen, PROBES, measure()).outlier <= 1


def test_what_underflow_may_take_is_granted():
    seen, lost = residual(), torch.zeros(ROWS, dtype=torch.float64)
    seen[3] *= 50
    lost[3] = 50e-6
    assert compare(seen, PROBES, measure(lost=lost)).outlier <= 1


@pytest.mark.parametrize("arithmetic", ["bfloat16", "float32", "float64"])
@pytest.mark.parametrize("rounded", [0.0, 1e-3])
def test_a_sound_tile_shows_its_own_rounding(tmp_path, arithmetic, rounded):
    """Neither what rounding for storage adds, nor the a priori bound: what the arithmetic really did."""
    rng = np.random.default_rng(1)
    pair = rng.standard_normal((64, 100)), rng.standard_normal((100, 64))
    way = Way(tile=(64, 64, 100), chunk=(64, 64), arithmetic=arithmetic, dtype_out=arithmetic.replace("bfloat16", "float32"), share=rounded)
    (tile,) = compute(recipe_for(tmp_path, pair, way))
    unit = {"bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}[arithmetic]
    assert tile.rows == 64
    assert 0.02 * unit < tile.typical < 2 * unit
    assert tile.outlier < 3 and tile.outlier_single < 6


def test_exact_arithmetic_compares_nothing(tmp_path):
    rng = np.random.default_rng(2)
    pair = rng.integers(-9, 9, (16, 30)).astype("int8"), rng.integers(-9, 9, (30, 16)).astype("int8")
    (tile,) = compute(recipe_for(tmp_path, pair, Way(tile=(16, 16, 30), chunk=(16, 16), dtype_out="int64", exact=True)))
    assert (tile.rows, tile.typical, tile.outlier, tile.outlier_single) == (0, 0, 0, 0)


@pytest.mark.parametrize("arithmetic", ["float32", "float64"])
@pytest.mark.parametrize("extent", [1, 8, 60])
def test_integers_in_floating_numbers_show_no_more_than_noise(tmp_path, arithmetic, extent):
    rng = np.random.default_rng(extent)
    pair = (rng.integers(-9, 9, (extent, extent)).astype(arithmetic) for _ in "AB")
    tiles = compute(recipe_for(tmp_path, tuple(pair), Way(tile=(60, 60, 60), chunk=(60, 60), arithmetic=arithmetic, dtype_out=arithmetic)))
    assert all(tile.typical < 1e-15 and tile.outlier < 4 and tile.outlier_single < 6 for tile in tiles)


def test_rows_of_any_scale_are_equals(tmp_path):
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((64, 100)), rng.standard_normal((100, 64))
    a *= 10.0 ** rng.uniform(-12, 12, (64, 1))
    (tile,) = compute(recipe_for(tmp_path, (a.astype("float32"), b.astype("float32")), Way(tile=(64, 64, 100), chunk=(64, 64))))
    assert tile.outlier < 3 and tile.outlier_single < 6


def test_rows_that_nan_reaches_are_left_out(tmp_path):
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((32, 50)).astype("float32"), rng.standard_normal((50, 32)).astype("float32")
    a[3, 4], b[7, 5] = np.nan, np.inf
    (tile,) = compute(recipe_for(tmp_path, (a, b), Way(tile=(32, 32, 50), chunk=(32, 32), allow_nonfinite=True)))
    assert tile.rows == 31 and tile.outlier < 3


@pytest.mark.parametrize("size", [1e-30, 1e-160])
def test_rows_that_vanish_do_not_stand_out(tmp_path, size):
    """Of norms that cannot be known, and of products that underflow."""
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((32, 50)), rng.standard_normal((50, 32))
    a[::2] *= size
    b *= 1e-10
    kind = "float64" if size < 1e-40 else "float32"
    way = Way(tile=(32, 32, 50), chunk=(32, 32), arithmetic=kind, dtype_out=kind)
    (tile,) = compute(recipe_for(tmp_path, (a.astype(kind), b.astype(kind)), way))
    assert tile.outlier < 4 and tile.outlier_single < 7
