"""Slabs of .npy files: every path through rows, runs and blocks; headers that are refused."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy_format

from storage import BadInput, CorruptData, open_matrix
from storage.matrix import ACCEPTED


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(700, 3000), (3000, 700), (2, 150_000), (150_000, 2), (1, 5), (5, 1)])
@pytest.mark.parametrize("stored", ["<f8", ">i2"])
def test_wide_and_tall_files_in_both_orders(tmp_path: Path, shape: tuple[int, int], order: str, stored: str) -> None:
    values = np.arange(shape[0] * shape[1]).reshape(shape).astype(stored, order=order)
    np.save(tmp_path / "a.npy", values)
    matrix = open_matrix(tmp_path / "a.npy")
    rows, cols = slice(shape[0] // 3, shape[0]), slice(0, -(-shape[1] * 2 // 3))
    for span in ((rows, cols), (slice(0, shape[0]), cols), (rows, slice(0, shape[1]))):
        out = np.empty(values[span].shape, matrix.dtype)
        assert matrix.read_into(out, *span) == out.nbytes
        assert (out == values[span]).all()


@pytest.mark.parametrize("dtype", sorted(ACCEPTED, key=str), ids=str)
def test_every_element_type(tmp_path: Path, dtype: np.dtype) -> None:
    values = np.arange(6).reshape(2, 3).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    out = np.empty((2, 3), dtype)
    open_matrix(tmp_path / "a.npy").read_into(out, slice(0, 2), slice(0, 3))
    assert (out == values).all()


def test_newer_header_versions(tmp_path: Path) -> None:
    values = np.arange(6.0).reshape(2, 3)
    for version in ((2, 0), (3, 0)):
        with (tmp_path / "a.npy").open("wb") as file:
            npy_format.write_array(file, values, version)
        if version == (2, 0):
            assert open_matrix(tmp_path / "a.npy").shape == (2, 3)
        else:
            with pytest.raises(BadInput, match=r"version 3\.0"):
                open_matrix(tmp_path / "a.npy")


@pytest.mark.parametrize("cut", [1, 20, 48])
def test_a_truncated_file_is_refused_when_it_is_opened(tmp_path: Path, cut: int) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    os.truncate(tmp_path / "a.npy", (tmp_path / "a.npy").stat().st_size - cut)
    with pytest.raises(BadInput, match="truncated"):
        open_matrix(tmp_path / "a.npy")


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': nonsen")
    with pytest.raises(BadInput, match=r"damaged \.npy header"):
        open_matrix(tmp_path / "a.npy")


def test_a_file_that_goes_while_it_is_read_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    matrix = open_matrix(tmp_path / "a.npy")
    (tmp_path / "a.npy").unlink()
    with pytest.raises(CorruptData, match=r"a\.npy cannot be read any more \(No such file or directory\)"):
        matrix.read_into(np.empty((2, 3)), slice(0, 2), slice(0, 3))


def test_a_file_that_shrinks_while_it_is_read_is_corrupt(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((20, 30)))
    matrix = open_matrix(tmp_path / "a.npy")
    os.truncate(tmp_path / "a.npy", 1000)
    with pytest.raises(CorruptData, match=r"a\.npy ends at byte 1000"):
        matrix.read_into(np.empty((20, 30)), slice(0, 20), slice(0, 30))


@pytest.mark.parametrize("values", [np.ones(3), np.ones((2, 2, 2)), np.float32(1), np.ones((0, 3)), np.ones((2, 2), complex)])
def test_arrays_that_are_no_matrix_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(BadInput, match=str(tmp_path)):
        open_matrix(tmp_path / "a.npy")


def test_object_arrays_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[print]], dtype=object))
    with pytest.raises(BadInput, match="object"):
        open_matrix(tmp_path / "a.npy")
