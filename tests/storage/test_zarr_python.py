"""The arrays that zarr-python reads for us: shards counted and checked, damage named."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import TransposeCodec

from storage import BadInput, CorruptData, open_matrix
from storage.folder import LocalFolder
from storage.zarr_python import ZarrPython, opened_array
from tests.storage.conftest import FALLBACK

TRANSPOSED = {"filters": [TransposeCodec(order=(1, 0))]}
SHARDED = {"shards": (4, 4), **TRANSPOSED}


def create(path: Path, **settings) -> zarr.Array:
    return zarr.create_array(path, **{"shape": (8, 8), "chunks": (2, 2), "dtype": "f4", "fill_value": 3, **settings})


def read(path: Path) -> tuple[np.ndarray, int]:
    out = np.empty((8, 8), np.float32)
    return out, open_matrix(path).read_into(out, slice(0, 8), slice(0, 8))


def test_a_slice_of_a_shard_counts_its_inner_chunks(tmp_path: Path) -> None:
    create(tmp_path / "a", **SHARDED)[...] = 1
    matrix = open_matrix(tmp_path / "a")
    assert isinstance(matrix.source, ZarrPython) and matrix.chunks == (2, 2)
    assert matrix.decoded_bytes(slice(0, 3), slice(1, 2)) == 2 * 16


@pytest.mark.parametrize("settings", [SHARDED, TRANSPOSED])
def test_what_was_never_written_is_fill_and_costs_nothing(tmp_path: Path, settings: dict) -> None:
    create(tmp_path / "a", **settings)[:4, :4] = 1
    out, decoded = read(tmp_path / "a")
    assert decoded == 64
    assert (out[:4, :4] == 1).all() and (out[4:] == 3).all()


@pytest.mark.parametrize(("settings", "key"), [(SHARDED, "c/1/0"), (TRANSPOSED, "c/2/0")])
@pytest.mark.parametrize("kept", [0, 1, -1])
def test_damage_is_named(tmp_path: Path, settings: dict, key: str, kept: int) -> None:
    create(tmp_path / "a", **settings)[...] = np.arange(64).reshape(8, 8)
    chunk = tmp_path / "a" / key
    chunk.write_bytes(chunk.read_bytes()[:kept])
    with pytest.raises(CorruptData, match=rf"chunk {key} ") as caught:
        read(tmp_path / "a")
    assert "\n" not in str(caught.value)


def test_an_array_that_vanishes_is_not_read_as_fill_values(tmp_path: Path) -> None:
    create(tmp_path / "a", **SHARDED)
    matrix = open_matrix(tmp_path / "a")
    (tmp_path / "a/zarr.json").unlink()
    with pytest.raises(CorruptData, match="lost its"):
        matrix.read_into(np.empty((8, 8), np.float32), slice(0, 8), slice(0, 8))


def test_what_zarr_python_does_not_open_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="zarr-python"):
        opened_array(LocalFolder(str(tmp_path / "gone")), "")


@pytest.mark.parametrize("name", FALLBACK)
def test_rare_arrays_come_here(tmp_path: Path, values: np.ndarray, name: str) -> None:
    FALLBACK[name](tmp_path / "a", values)
    assert isinstance(open_matrix(tmp_path / "a").source, ZarrPython)
