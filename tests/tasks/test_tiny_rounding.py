"""Rounding before storage at both ends of float64: what is promised is never less than the error, whatever the scale."""

import tempfile
from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from tasks import prepare
from tasks.check import times
from tasks.job import make_job
from tasks.plan import TileShape
from tasks.planner import make_plan
from tasks.probes import LARGEST, scale_of
from tasks.snapping import Snapped, snap, step_limits
from tasks.survey import survey
from tasks.tile import compute_tile
from tasks.verify import certify
from tasks.workspace import release
from tests.tasks.test_run import machine


def computed(folder, a, b, **fields):
    """The certificate of a product, whether all tiles were accepted, and what was stored: tiles of 16 x 24, slabs of 40."""
    for name, values in (("a", a), ("b", b)):
        np.save(folder / f"{name}.npy", values)
    job = make_job(a=str(folder / "a.npy"), b=str(folder / "b.npy"), out=str(folder / "C"), memory="1GiB", round="auto", **fields)
    problem, hardware = survey(job), machine()
    (m, k), n = a.shape, b.shape[1]
    tile = TileShape(min(m, 16), min(n, 24), min(k, 40))
    grid = -(-m // tile.rows), -(-n // tile.cols), -(-k // tile.depth)
    plan = replace(make_plan(job, problem, hardware), tile=tile, grid=grid, slots=(1, 1), chunk=(tile.rows, tile.cols), shard=None)
    run = prepare._begin(job, problem, hardware, replace(plan, codec="none"))
    try:
        tiles = tuple(compute_tile(run.recipe, run.recipe.walk[index]) for index in range(len(run.recipe.walk)))
        certificate = certify(run, tiles)
        accepted = all(tile.accepted for tile in tiles)
        return certificate, accepted, zarr.open_array(run.staging.array, mode="r")[:] if accepted else None
    finally:
        release()
        prepare.end(run)


def norm(values) -> np.longdouble:
    """In a type whose range holds every square here."""
    return np.sqrt(np.square(values.astype(np.longdouble)).sum())


def error_of(stored, a, b, alpha) -> np.longdouble:
    """Relative to |alpha| ||A|| ||B||, from products and sums in a wider type."""
    a, b = a.astype(np.longdouble), b.astype(np.longdouble)
    return norm(stored.astype(np.longdouble) - np.longdouble(alpha) * (a @ b)) / (np.longdouble(abs(alpha)) * norm(a) * norm(b))


SCALES = st.floats(-300, 150)
SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 90), st.integers(1, 50))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    SHAPES,
    st.one_of(st.tuples(SCALES, SCALES), SCALES.map(lambda size: (size, -size / 2)), st.floats(-90, -70).map(lambda size: (size, size))),
    st.sampled_from([1.0, -2.5, 1e-37, 1e37, 3e-20]),
    st.sampled_from([0.5, 0.1, 1e-3, 1e-9, 1e-13]),
    st.floats(0, 40),
    st.integers(0, 2**20),
)
@example((64, 600, 64), (-81.52, -81.52), 1.0, 0.1, 0.0, 0)
@example((30, 50, 40), (-162.0, 20.0), 1e37, 0.1, 0.0, 0)
@example((30, 50, 40), (140.0, -300.0), 1e37, 0.1, 0.0, 0)
def test_the_error_is_never_above_what_is_promised(shape, scales, alpha, asked, spread, seed):
    (m, k, n), rng = shape, np.random.default_rng(seed)
    with np.errstate(under="ignore"):
        a = rng.standard_normal((m, k)) * 10.0 ** scales[0] * 10.0 ** -rng.uniform(0, spread, (m, 1))
        b = rng.standard_normal((k, n)) * 10.0 ** scales[1]
    with tempfile.TemporaryDirectory() as folder:
        certificate, accepted, stored = computed(Path(folder), a, b, precision="float64", max_error=asked, alpha=alpha)
    if not accepted:
        event("overflow")
        assert sum(scales) + np.log10(abs(alpha)) > 250
        return
    known = norm(a) * norm(b) > 0
    event("kept" if certificate.kept else "not certified")
    event("rounded" if certificate.rounding.largest_step else "not rounded")
    error = error_of(stored, a, b, alpha) if known else np.longdouble(0 if not stored.any() else inf)
    assert error <= certificate.promised


def test_what_rounding_did_to_a_tiny_product_is_promised(tmp_path):
    """Its row errors, of some 1e-163, have no squares that count."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((64, 600)) * 3e-78, rng.standard_normal((600, 64)) * 3e-78
    certificate, accepted, stored = computed(tmp_path, a, b, precision="float64", max_error=1e-11)
    error = float(error_of(stored, a, b, 1.0))
    assert accepted and certificate.kept
    assert 1e-13 < error <= certificate.promised < 2 * error
    assert error / 2 <= certificate.rounding.measured < 2 * error


def test_a_product_whose_own_squares_are_lost_is_not_rounded(tmp_path):
    """How coarse a step would be beside its values is not known. 6.67e-14 was promised, and 1.48e-3 was true."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((64, 600)) * 3e-82, rng.standard_normal((600, 64)) * 3e-82
    certificate, accepted, stored = computed(tmp_path, a, b, precision="float64", max_error=0.1)
    assert accepted and certificate.kept
    assert (certificate.rounding.measured, certificate.rounding.largest_step) == (0, 0)
    assert error_of(stored, a, b, 1.0) <= certificate.promised < 1e-12


@pytest.mark.parametrize("size", [1e-310, 1e-300, 1e-200, 1e-162, 1.0, 1e160, 1e300])
def test_the_norm_of_row_errors_needs_no_squares(size):
    rows = torch.tensor([3.0, 0.0, 4.0] * 100, dtype=torch.float64) * size
    assert Snapped(rows).error == pytest.approx(50 * size, rel=1e-12, abs=0)


def test_a_tiny_tile_says_by_how_much_it_was_moved():
    values = torch.tensor([[0.3, 0.7, 1.2]], dtype=torch.float64) * 2.0**-560
    before = values.clone()
    done = snap(values, torch.tensor([2.0**-560], dtype=torch.float64), "float64")
    moved = np.abs((values - before).numpy()).astype(np.longdouble)
    assert done.error == pytest.approx(float(np.sqrt(np.square(moved).sum())), rel=1e-12, abs=0)
    assert done.error > 0


def test_rows_whose_squares_are_lost_have_no_step():
    squares = torch.tensor([1.0, 2.0**-1022, 2.0**-1023, 5e-324], dtype=torch.float64)
    limits = step_limits(torch.ones(4, dtype=torch.float64), squares, 4)
    assert (limits > 0).tolist() == [True, True, False, False]


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1e150), *[st.floats(-300, 150).map(lambda size: 10.0**size)] * 2)
def test_factors_neither_overflow_nor_vanish_on_the_way(norm_a, alpha, norm_b):
    wide = np.longdouble(norm_a) * np.longdouble(alpha) * np.longdouble(norm_b)
    found = float(times(torch.tensor([norm_a], dtype=torch.float64), (alpha, norm_b)))
    assert found == pytest.approx(float(wide), rel=1e-15, abs=1e-322)
    scale = scale_of((alpha, 0.0), (max(norm_a, 1e-140), max(norm_b, 1e-140), 0.0))
    assert scale is not None
    assert scale == pytest.approx(
        float(min(LARGEST, np.longdouble(alpha) * max(norm_a, 1e-140) * max(norm_b, 1e-140))), rel=1e-15, abs=1e-322
    )


def test_a_sum_of_two_scales_that_is_too_large_counts_as_the_largest_number():
    assert scale_of((1.0, 1.0), (1e154, 1.7e154, 1.5e308)) == LARGEST
