"""Zarr metadata: what the thin path takes, what zarr-python takes, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from numcodecs import LZ4, Blosc, Zlib

from storage import BadInput, open_matrix
from storage.zarr_python import ZarrPython
from storage.zarr_thin import ThinZarr


def create(path: Path, **settings) -> zarr.Array:
    return zarr.create_array(path, **{"shape": (4, 6), "chunks": (2, 3), "dtype": "f4", **settings})


def edit(path: Path, **changes) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, **changes}))


@pytest.mark.parametrize("version", [2, 3])
def test_a_group_lists_its_arrays(tmp_path: Path, version: int) -> None:
    root = zarr.create_group(tmp_path / "x", zarr_format=version)
    for name in ("b", "deep/a"):
        root.create_array(name, shape=(2, 2), chunks=(1, 1), dtype="f4")[...] = 1
    with pytest.raises(BadInput, match=r"x is a Zarr group; name one of its arrays: b, deep/a$"):
        open_matrix(tmp_path / "x")


def test_an_empty_group_and_a_long_one(tmp_path: Path) -> None:
    root = zarr.create_group(tmp_path / "x")
    with pytest.raises(BadInput, match="without arrays"):
        open_matrix(tmp_path / "x")
    for index in range(12):
        root.create_array(f"a{index:02}", shape=(2, 2), dtype="f4")
    with pytest.raises(BadInput, match=r"a07, \.\.\.$"):
        open_matrix(tmp_path / "x")


@pytest.mark.parametrize(("dtype", "named"), [("c8", "complex64"), ("?", "bool"), ("S4", "null_terminated_bytes"), ("M8[s]", "datetime64")])
def test_other_element_types_are_refused_by_name(tmp_path: Path, dtype: str, named: str) -> None:
    with pytest.warns() if dtype == "S4" else pytest.MonkeyPatch.context():
        create(tmp_path / "a", dtype=dtype)
    with pytest.raises(BadInput, match=rf"holds .*{named}.*float16/32/64"):
        open_matrix(tmp_path / "a")


@pytest.mark.parametrize("dtype", ["<c8", "|b1", "|S4", "<M8[s]", [["x", "<f4"], ["y", "<i4"]], "|O"])
def test_other_element_types_of_version_2_are_refused(tmp_path: Path, dtype: object) -> None:
    create(tmp_path / "a", zarr_format=2)
    edit(tmp_path / "a/.zarray", dtype=dtype)
    with pytest.raises(BadInput, match="float16/32/64"):
        open_matrix(tmp_path / "a")


def test_a_type_that_only_other_software_knows_is_refused_by_name(tmp_path: Path) -> None:
    create(tmp_path / "a")
    edit(tmp_path / "a/zarr.json", data_type="bfloat16")
    with pytest.raises(BadInput, match="holds bfloat16"):
        open_matrix(tmp_path / "a")


@pytest.mark.parametrize("shape", [(4,), (4, 5, 6), (0, 3), ()])
def test_shapes_that_are_no_matrix_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    create(tmp_path / "a", shape=shape, chunks="auto")
    with pytest.raises(BadInput, match=r"dimension|empty"):
        open_matrix(tmp_path / "a")


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": "x"},
        {"codecs": []},
        {"codecs": 3},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 3]}}},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [3]}}},
        {"chunk_grid": {"name": "spiral"}},
        {"codecs": [{"name": "bytes"}, {"name": "unheard-of"}]},
        {"fill_value": "banana"},
    ],
)
def test_damaged_metadata_is_bad_input_in_one_line(tmp_path: Path, changes: dict[str, object]) -> None:
    create(tmp_path / "a")
    edit(tmp_path / "a/zarr.json", **changes)
    with pytest.raises(BadInput, match=str(tmp_path / "a")) as caught:
        open_matrix(tmp_path / "a")
    assert "\n" not in str(caught.value)


def test_chunks_of_differing_sizes_are_refused(tmp_path: Path) -> None:
    """zarr-python 3.2 and later write them where a setting allows it."""
    create(tmp_path / "a")
    grid = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[1, 3], [6]]}}
    edit(tmp_path / "a/zarr.json", chunk_grid=grid)
    with pytest.raises(BadInput, match="has a rectilinear chunk grid: write the array again with chunks of one size"):
        open_matrix(tmp_path / "a")


def test_metadata_that_is_no_json_is_bad_input(tmp_path: Path) -> None:
    for name in ("zarr.json", ".zarray"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / name).write_text("{ torn")
        with pytest.raises(BadInput, match=rf"damaged {name}"):
            open_matrix(tmp_path / name)


def test_rare_fill_values_go_to_zarr_python(tmp_path: Path) -> None:
    create(tmp_path / "a")[:2] = 1
    edit(tmp_path / "a/zarr.json", fill_value="0x7fc00001")
    matrix = open_matrix(tmp_path / "a")
    assert isinstance(matrix.source, ZarrPython)
    out = np.empty((4, 6), np.float32)
    matrix.read_into(out, slice(None), slice(None))
    assert out[3, 0].view(np.uint32) == 0x7FC00001


def test_codecs_may_be_spelled_short(tmp_path: Path) -> None:
    create(tmp_path / "a", dtype="u1", compressors=None)[...] = 5
    edit(tmp_path / "a/zarr.json", codecs=["bytes"])
    matrix = open_matrix(tmp_path / "a")
    out = np.empty((4, 6), np.uint8)
    matrix.read_into(out, slice(None), slice(None))
    assert isinstance(matrix.source, ThinZarr) and (out == 5).all()


@pytest.mark.parametrize(
    ("version", "compressor", "nearest"),
    [
        (3, {"name": "blosc", "configuration": {"cname": "lz4", "shuffle": "bitshuffle"}}, "blosc-lz4"),
        (3, {"name": "blosc", "configuration": {"cname": "zstd", "shuffle": "shuffle"}}, "blosc-zstd"),
        (3, {"name": "zstd", "configuration": {}}, "zstd"),
        (3, None, "none"),
        (2, Blosc(cname="zstd", shuffle=Blosc.BITSHUFFLE), "blosc-zstd-bitshuffle"),
        (2, Blosc(cname="lz4", shuffle=Blosc.SHUFFLE), "blosc-lz4-shuffle"),
        (2, Zlib(), "gzip"),
        (2, None, "none"),
        (2, LZ4(), "other"),
    ],
)
def test_the_codec_that_decodes_alike_is_named(tmp_path: Path, version: int, compressor: object, nearest: str) -> None:
    create(tmp_path / "a", zarr_format=version, compressors=compressor)
    assert open_matrix(tmp_path / "a").codec == nearest


def test_workers_read_the_common_chains_without_zarr_python(tmp_path: Path) -> None:
    create(tmp_path / "a")
    heavy = {"zarr", "prefect", "dask", "torch"}
    code = f"import sys, storage; storage.open_matrix({str(tmp_path / 'a')!r}); print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(("version", "file"), [(2, ".zarray"), (3, "zarr.json")])
def test_another_version_of_the_format_is_not_guessed(tmp_path, version, file):
    create(tmp_path / "a", zarr_format=version)
    edit(tmp_path / "a" / file, zarr_format=9)
    with pytest.raises(BadInput, match="is Zarr version 9: write the array again as version 2 or 3"):
        open_matrix(tmp_path / "a")
