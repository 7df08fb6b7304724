"""The thin path: the same bits as zarr-python, straight into place, and damage named by chunk."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import CorruptData, OutputSpec, create_staging, open_matrix, write_block
from storage import zarr_thin as module
from storage.matrix import ACCEPTED
from storage.zarr_thin import ThinZarr

WHOLE = (slice(0, 23), slice(0, 17))


def read(path: Path) -> np.ndarray:
    matrix = open_matrix(path)
    out = np.empty(matrix.shape, matrix.dtype)
    matrix.read_into(out, slice(None), slice(None))
    return out


def chunk_files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith((".z", "zarr.json")))


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")
def test_the_same_bits_as_zarr_python(thin: Path) -> None:
    assert isinstance(open_matrix(thin).source, ThinZarr)
    expected = np.asarray(zarr.open_array(thin, mode="r")[...])
    assert read(thin).tobytes() == expected.astype(np.float32).tobytes()


@pytest.mark.parametrize("dtype", sorted(ACCEPTED, key=str), ids=str)
@pytest.mark.parametrize("version", [2, 3])
def test_every_element_type_and_the_fill_value(tmp_path: Path, dtype: np.dtype, version: int) -> None:
    fill = np.iinfo(dtype).max if dtype.kind in "iu" else 1.5
    array = zarr.create_array(tmp_path / "a", shape=(4, 6), chunks=(2, 3), dtype=dtype, fill_value=fill, zarr_format=version)
    array[:2] = np.arange(12).reshape(2, 6)
    assert isinstance(open_matrix(tmp_path / "a").source, ThinZarr)
    assert read(tmp_path / "a").tobytes() == np.asarray(array[...]).tobytes()


@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf, -0.0, 1e-45, None])
@pytest.mark.parametrize("version", [2, 3])
def test_a_missing_chunk_reads_as_the_fill_value_and_costs_nothing(tmp_path: Path, fill: float | None, version: int) -> None:
    array = zarr.create_array(tmp_path / "a", shape=(4, 6), chunks=(2, 3), dtype="f4", fill_value=fill, zarr_format=version)
    array[2:, 3:] = 7
    out = np.empty((4, 6), np.float32)
    assert open_matrix(tmp_path / "a").read_into(out, slice(0, 4), slice(0, 6)) == 24
    assert out.tobytes() == np.asarray(array[...]).tobytes()


def test_truncated_and_empty_chunks_are_named(thin: Path) -> None:
    chunk = chunk_files(thin)[-1]
    for kept in (0, chunk.stat().st_size - 1):
        chunk.write_bytes(chunk.read_bytes()[:kept])
        with pytest.raises(CorruptData, match=rf"{thin.name} chunk {chunk.relative_to(thin)} ") as caught:
            read(thin)
        assert "\n" not in str(caught.value)


def test_a_file_with_bytes_added_is_named(thin: Path) -> None:
    chunk = chunk_files(thin)[0]
    chunk.write_bytes(chunk.read_bytes() + bytes(100_000))
    with pytest.raises(CorruptData, match=str(chunk.relative_to(thin))):
        read(thin)


def test_a_chunk_that_is_a_folder_is_named(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", shape=(2, 2), chunks=(2, 2), dtype="f4")[...] = 1
    (tmp_path / "a/c/0/0").unlink()
    (tmp_path / "a/c/0/0").mkdir()
    with pytest.raises(CorruptData, match="chunk c/0/0 "):
        read(tmp_path / "a")


def test_a_chunk_that_may_not_be_read_is_named_with_the_reason(thin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = open_matrix(thin)

    def deny(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(CorruptData, match=r"chunk \S+ cannot be read \(Permission denied\)"):
        matrix.read_into(np.empty((23, 17), np.float32), *WHOLE)


def test_an_array_that_vanishes_is_not_read_as_fill_values(thin: Path) -> None:
    matrix = open_matrix(thin)
    shutil.rmtree(thin)
    with pytest.raises(CorruptData, match="lost its"):
        matrix.read_into(np.empty((23, 17), np.float32), *WHOLE)


@pytest.mark.parametrize("codec", ["none", "blosc-lz4", "zstd", "gzip"])
def test_row_stacked_chunks_are_decoded_in_place(tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(24 * 5, dtype=np.float64).reshape(24, 5)
    staging = create_staging(tmp_path / "out", OutputSpec((24, 5), "float64", (8, 5), codec), "process", "r")
    write_block(staging, 0, 0, values)
    decoded = np.full(8 * 5 * 8 + (4 << 20), 0xA5, np.uint8)
    monkeypatch.setattr(module, "borrow", lambda name, nbytes: decoded[:nbytes])
    tall = np.zeros((30, 5))
    open_matrix(staging.array).read_into(tall[3:27], slice(0, 24), slice(0, 5))
    assert (tall[3:27] == values).all()
    assert (decoded[: 8 * 5 * 8] == 0xA5).all(), "the place of a decoded chunk in the buffer was used"
    open_matrix(staging.array).read_into(tall[3:26], slice(0, 23), slice(0, 5))
    assert (decoded[: 8 * 5 * 8] != 0xA5).any()
