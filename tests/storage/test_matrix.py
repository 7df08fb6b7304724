"""A matrix checks what it is asked before it reads."""

from pathlib import Path

import numpy as np
import pytest

from storage import BadInput, open_matrix
from storage.matrix import ACCEPTED, accept_dtype, accept_shape


@pytest.fixture
def matrix(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.arange(12, dtype=np.int32).reshape(3, 4))
    return open_matrix(tmp_path / "a.npy")


def test_open_ended_slices_mean_the_whole_axis(matrix) -> None:
    out = np.empty((3, 4), np.int32)
    assert matrix.read_into(out, slice(None), slice(None)) == 48 == matrix.decoded_bytes(slice(None), slice(None))
    assert out[2, 3] == 11


@pytest.mark.parametrize("span", [slice(-1, 2), slice(2, 1), slice(0, 4), slice(0, 3, 2)])
def test_slices_outside_the_matrix_are_refused(matrix, span: slice) -> None:
    with pytest.raises(ValueError, match="run of consecutive"):
        matrix.read_into(np.empty((1, 1), np.int32), span, slice(0, 1))


@pytest.mark.parametrize("out", [np.empty((2, 4), np.int32), np.empty((3, 4), np.int64)])
def test_arrays_that_do_not_fit_are_refused(matrix, out: np.ndarray) -> None:
    with pytest.raises(ValueError, match="array to fill"):
        matrix.read_into(out, slice(0, 3), slice(0, 4))


def test_an_empty_slice_reads_nothing(matrix) -> None:
    assert matrix.read_into(np.empty((0, 4), np.int32), slice(2, 2), slice(0, 4)) == 0 == matrix.decoded_bytes(slice(2, 2), slice(0, 4))


@pytest.mark.parametrize("name", ["c8", "?", "S3", "U3", "M8[s]", "O", "f4,i4", "longdouble"])
def test_other_element_types_are_refused_by_name(name: str) -> None:
    with pytest.raises(BadInput, match="float16/32/64"):
        accept_dtype("A", np.dtype(name))


def test_every_accepted_type_is_reported_native() -> None:
    for dtype in ACCEPTED:
        assert accept_dtype("A", dtype.newbyteorder(">")) == dtype


def test_shapes_that_are_no_matrix_are_refused_with_their_numbers() -> None:
    with pytest.raises(BadInput, match=r"A has 3 dimensions \(4, 5, 6\); gemmflow multiplies matrices: give a 2-d array"):
        accept_shape("A", (4, 5, 6))
    with pytest.raises(BadInput, match="1 dimension "):
        accept_shape("A", (4,))
    with pytest.raises(BadInput, match="empty"):
        accept_shape("A", (4, 0))
