"""Norms in the certificate, of data whose squares float64 does not hold: through tiles, skipped slabs, pieces and parts."""

from dataclasses import replace
from math import hypot

import numpy as np
import pytest

from tasks.outcome import Measurement
from tasks.pieces import measured_together
from tasks.workspace import release
from tests.tasks.inline import Way, compute, recipe_for
from tests.tasks.test_outcome import measurement
from tests.tasks.test_parts import summed
from tests.tasks.test_tiny_rounding import computed, norm

SIZES = (1e-320, 1e-250, 1e-170, 1e-155)
FLOAT64 = Way(arithmetic="float64", dtype_out="float64")


def numbers(shape, size, seed=0):
    return np.random.default_rng(seed).standard_normal(shape) * size


def norms_of(tiles: list[Measurement]) -> tuple[float, float, float]:
    """Of the whole matrices, as the certificate adds them up."""
    if tiles[0].owned is not None:
        a, b = (hypot(*(tile.counted[side] for tile in tiles)) for side in (0, 1))
    else:
        a = hypot(*{tile.row: tile.counted[0] for tile in tiles}.values())
        b = hypot(*{tile.col: tile.counted[1] for tile in tiles}.values())
    return a, b, hypot(*(tile.counted[2] for tile in tiles))


@pytest.mark.parametrize("size", SIZES)
def test_the_certificate_has_the_norm_of_subnormal_numbers(tmp_path, size):
    """Each zero square counted as 5e-324: the norm of ten thousand values of 1e-320 was taken for 2e-160."""
    a, b = numbers((30, 90), 1.0, 1), numbers((90, 50), size)
    certificate = computed(tmp_path, a, b, precision="float64", dtype_out="float64", max_error=1e-6)[0]
    assert certificate.norm_a == pytest.approx(float(norm(a)), rel=1e-14)
    assert certificate.norm_b == pytest.approx(float(norm(b)), rel=1e-13, abs=1e-322)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", ["zarr3", "npy", "absent3"])
@pytest.mark.parametrize("transpose", [(False, False), (True, True)])
def test_tiles_know_the_norms_of_what_they_count(tmp_path, size, form, transpose):
    a, b, c0 = numbers((13, 40), size, 1), numbers((40, 11), size, 2), numbers((13, 11), size, 3)
    a[:8, 8:16] = b[16:24] = b[24:32, 8:] = 0.0
    way = replace(FLOAT64, form=form, transpose=transpose, beta=1.0, in_chunks=(8, 8))
    tiles = compute(recipe_for(tmp_path / "run", (a, b), way, c0))
    read_a, read_b = a.copy(), b
    if form == "absent3":  # what meets nothing but zeros is in no norm
        read_a[:, 16:24] = 0.0
    for ours, values in zip(norms_of(tiles), (read_a, read_b, c0), strict=True):
        assert ours == pytest.approx(float(norm(values)), rel=1e-13, abs=1e-322)


@pytest.mark.parametrize("size", SIZES)
def test_parts_of_k_know_them_too(tmp_path, size):
    a, b = numbers((13, 40), size, 1), numbers((40, 11), size, 2)
    recipe = replace(recipe_for(tmp_path / "run", (a, b), FLOAT64), parts=3)
    release()
    try:
        found = norms_of(summed(recipe))
    finally:
        release()
    for ours, values in zip(found, (a, b), strict=False):
        assert ours == pytest.approx(float(norm(values)), rel=1e-13, abs=1e-322)


def test_numbers_that_have_squares_are_recorded_as_they_were(tmp_path):
    tiles = compute(recipe_for(tmp_path / "run", (numbers((13, 40), 1e-120, 1), numbers((40, 11), 1e100)), FLOAT64))
    assert [tile.norms for tile in tiles] == [None] * len(tiles)
    assert tiles[0].counted[:2] == (tiles[0].square_a ** 0.5, tiles[0].square_b ** 0.5)


def test_pieces_of_a_tile_add_up(tmp_path):
    recipe = recipe_for(tmp_path / "run", (numbers((8, 40), 1e-320, 1), numbers((40, 11), 1.0)), FLOAT64)
    pieces = [measurement(norms=(3e-200, 1.0, 0.0), square_a=5e-324), measurement(norms=(4e-200, 1.0, 0.0), square_a=5e-324)]
    assert measured_together(recipe, pieces).norms == (pytest.approx(5e-200), 1.0, 0.0)
    assert measured_together(recipe, [measurement(), measurement()]).norms is None
