"""A product that is wrong where it is looked at is noticed."""

import numpy as np
import pytest
import zarr

from benchmarks.inputs import make_inputs
from benchmarks.spot import FLOAT32, spot_error


@pytest.fixture
def product(tmp_path):
    make_inputs(tmp_path, (60, 40, 50), (16, 16))
    a, b = (zarr.open_array(tmp_path / name)[:] for name in "AB")
    return a @ b


def test_a_right_product_is_within_float32(tmp_path, product, monkeypatch):
    monkeypatch.setattr("benchmarks.spot.COLUMNS", 7)
    np.save(tmp_path / "C.npy", product)
    assert 0 < spot_error(tmp_path, "C.npy") < FLOAT32 / 10


@pytest.mark.parametrize("row", [0, 30, 59])
def test_one_wrong_row_is_seen(tmp_path, product, row):
    product[row] = 0
    zarr.create_array(tmp_path / "C-peer", shape=product.shape, chunks=(16, 16), dtype="float32")[:] = product
    assert spot_error(tmp_path, "C-peer") > 100 * FLOAT32


def test_nan_is_never_small(tmp_path, product):
    product[0, 0] = np.nan
    np.save(tmp_path / "C.npy", product)
    assert not spot_error(tmp_path, "C.npy") <= 1


def test_short_products_are_looked_at_whole(tmp_path):
    make_inputs(tmp_path, (3, 4, 5), (2, 2))
    a, b = (zarr.open_array(tmp_path / name)[:] for name in "AB")
    np.save(tmp_path / "C.npy", a @ b)
    assert spot_error(tmp_path, "C.npy") < FLOAT32
