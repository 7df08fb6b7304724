"""One contract over every way of storing a matrix, and one line for everything that is none."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import FORMATS, BadInput, Matrix, held_bytes, open_matrix

SHAPE = (23, 17)
contract = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def slices(draw: st.DrawFn) -> tuple[slice, slice]:
    spans: list[slice] = []
    for length in SHAPE:
        start = draw(st.integers(0, length))
        spans.append(slice(start, draw(st.integers(start, length))))
    return spans[0], spans[1]


def views(shape: tuple[int, int], dtype: np.dtype) -> list[np.ndarray]:
    """Arrays to fill of every memory layout, inside larger guarded ones."""
    tall, wide = np.zeros((shape[0] + 2, shape[1]), dtype), np.zeros((shape[0], shape[1] + 3), dtype)
    return [
        np.zeros(shape, dtype),
        np.zeros(shape, dtype, order="F"),
        tall[1:-1],
        wide[:, 2:-1],
        np.zeros((2 * shape[0], 2 * shape[1]), dtype)[::2, ::2],
        np.zeros(shape, dtype)[::-1],
    ]


def check_matrix(matrix: Matrix, expected: np.ndarray, rows: slice, cols: slice) -> None:
    """Every reader returns the stored bits, counts what it decodes and touches nothing outside the slice."""
    for out in views(expected[rows, cols].shape, matrix.dtype):
        around = (out.base if out.base is not None else out).view()
        assert matrix.read_into(out, rows, cols) == matrix.decoded_bytes(rows, cols)
        assert out.tobytes() == expected[rows, cols].tobytes()
        out[...] = 0
        assert not around.any()


@contract
@given(slices())
def test_every_slice_of_every_format_is_bit_equal(stored: Path, values: np.ndarray, span: tuple[slice, slice]) -> None:
    check_matrix(open_matrix(stored), values, *span)


def test_a_matrix_is_a_small_value_that_travels(stored: Path, values: np.ndarray) -> None:
    matrix = open_matrix(str(stored))
    raw = pickle.dumps(matrix)
    assert len(raw) < 2048
    assert pickle.loads(raw) == matrix == open_matrix(stored)
    assert (matrix.path, matrix.shape, matrix.dtype) == (str(stored), SHAPE, values.dtype)
    assert matrix.format in FORMATS
    assert matrix.chunk_bytes in (0, matrix.chunks[0] * matrix.chunks[1] * 4)


def test_scratch_stays_within_what_is_announced(stored: Path) -> None:
    matrix = open_matrix(stored)

    def read() -> int:
        out = np.empty((20, 15), matrix.dtype)
        matrix.read_into(out.T[:15, :17].T[:17, :15], slice(3, 20), slice(1, 16))
        return held_bytes()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(read).result() <= matrix.scratch_bytes


def test_the_fingerprint_follows_the_header(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 3)))
    before = open_matrix(tmp_path / "a.npy").fingerprint
    np.save(tmp_path / "a.npy", np.ones((3, 4)))
    assert open_matrix(tmp_path / "a.npy").fingerprint != before


def test_many_threads_may_read_one_matrix(stored: Path, values: np.ndarray) -> None:
    matrix = open_matrix(stored)

    def read(top: int) -> bool:
        out = np.empty((5, 17), matrix.dtype)
        matrix.read_into(out, slice(top, top + 5), slice(0, 17))
        return out.tobytes() == values[top : top + 5].tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, [0, 3, 7, 12, 18] * 4))


def test_what_is_no_matrix_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.csv").write_text("1,2\n")
    cases = {"gone": "does not exist", "empty": "folder without Zarr metadata", "text.csv": "does not start like .npy"}
    for name, why in cases.items():
        with pytest.raises(BadInput, match=why) as caught:
            open_matrix(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_without_permission_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 3)))

    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "a.npy"))

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(BadInput, match="permissions"):
        open_matrix(tmp_path / "a.npy")
