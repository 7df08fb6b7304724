"""Every codec: exact, within its bound, checksummed, the same for other readers, and unchanged since the golden files."""

import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import (
    CODECS,
    DEFAULT_CODEC,
    BadInput,
    OutputSpec,
    chunk_buffer_bytes,
    create_staging,
    open_matrix,
    resolve_codec,
    write_block,
)
from storage.chain import crc32c

GOLDEN = Path(__file__).parents[1] / "golden" / "storage"
GOLDEN_SHAPE, GOLDEN_CHUNKS = (5, 7), (4, 4)


def golden_values() -> np.ndarray:
    """Values that no library's random numbers change."""
    values = (np.arange(35, dtype=np.float32).reshape(GOLDEN_SHAPE) - 17) / 8
    values[1, 1:4] = [np.inf, -0.0, np.nan]
    return values


def peak_bytes(function: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def write_array(folder: Path, codec: str, values: np.ndarray, chunks: tuple[int, int]) -> Path:
    spec = OutputSpec((values.shape[0], values.shape[1]), values.dtype.name, chunks, codec)
    staging = create_staging(folder / codec, spec, "process", "r")
    write_block(staging, 0, 0, values)
    return Path(staging.array)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u2", "i4", "i8"])
@pytest.mark.parametrize("kind", ["random", "constant", "one"])
def test_round_trip_within_the_bound(name: str, dtype: str, kind: str) -> None:
    codec = CODECS[name]
    block = {"random": np.random.default_rng(1).integers(0, 120, (50, 31)), "constant": np.zeros((50, 31)), "one": np.ones((1, 1))}[kind]
    block = block.astype(dtype)
    encoded, out = codec.encode(block), np.empty_like(block)
    codec.decode(encoded, out)
    assert (out == block).all()
    assert len(encoded) <= codec.max_encoded_bytes(block.nbytes)
    assert encoded[-4:] == crc32c(np.frombuffer(encoded[:-4], np.uint8)).to_bytes(4, "little")


@pytest.mark.parametrize("name", CODECS)
def test_memory_for_encoding_stays_within_what_is_announced(name: str) -> None:
    noise = np.random.default_rng(2).integers(0, 256, 8 << 20, dtype=np.uint8)
    with ThreadPoolExecutor(1) as pool:
        peak = pool.submit(peak_bytes, lambda: CODECS[name].compress(noise)).result()
    assert peak <= chunk_buffer_bytes(OutputSpec((1, noise.size), "uint8", (1, noise.size), name)) - noise.nbytes


@pytest.mark.parametrize("name", CODECS)
def test_memory_for_decoding_stays_within_what_is_announced(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (4, 1 << 20), dtype=np.uint8)
    matrix = open_matrix(write_array(tmp_path, name, noise, (2, 1 << 20)))
    out = np.empty((3, 1 << 20), np.uint8)
    with ThreadPoolExecutor(1) as pool:
        peak = pool.submit(peak_bytes, lambda: matrix.read_into(out, slice(0, 3), slice(None))).result()
    assert (out == noise[:3]).all()
    assert peak <= matrix.scratch_bytes + (64 << 10)


@pytest.mark.parametrize("name", CODECS)
def test_bytes_that_do_not_compress_stay_within_the_bound(name: str) -> None:
    noise = np.random.default_rng(2).integers(0, 256, 300_000, dtype=np.uint8)
    assert len(CODECS[name].encode(noise)) <= CODECS[name].max_encoded_bytes(noise.nbytes)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_zarr_python_reads_what_is_written_and_declares_the_same_codecs(tmp_path: Path, name: str, dtype: str) -> None:
    values = golden_values().astype(dtype) if dtype != "u1" else np.arange(35, dtype="u1").reshape(GOLDEN_SHAPE)
    path = write_array(tmp_path, name, values, GOLDEN_CHUNKS)
    assert np.asarray(zarr.open_array(path, mode="r")[...]).tobytes() == values.tobytes()
    assert json.loads((path / "zarr.json").read_text())["codecs"] == CODECS[name].metadata(values.itemsize)


@pytest.mark.parametrize("name", CODECS)
def test_golden_files_still_mean_the_same(tmp_path: Path, name: str) -> None:
    """Run with UPDATE_GOLDEN=1 to write them again; the difference is then in the commit."""
    written, golden = write_array(tmp_path, name, golden_values(), GOLDEN_CHUNKS), GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN") == "1":
        shutil.rmtree(golden, ignore_errors=True)
        shutil.copytree(written, golden)
    out = np.empty(GOLDEN_SHAPE, np.float32)
    open_matrix(golden).read_into(out, slice(None), slice(None))
    assert out.tobytes() == golden_values().tobytes()
    assert np.asarray(zarr.open_array(golden, mode="r")[...]).tobytes() == golden_values().tobytes()
    facts = [json.loads((path / "zarr.json").read_text()) for path in (written, golden)]
    for key in ("shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs", "zarr_format", "node_type"):
        assert facts[0][key] == facts[1][key], key
    files = [sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()) for path in (written, golden)]
    assert files[0] == files[1]
    if name == "none":  # compressed bytes may change with the compressor's version, plain ones never
        assert all((written / key).read_bytes() == (golden / key).read_bytes() for key in files[0] if key.startswith("c/"))


def test_no_golden_array_is_left_over() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir() if path.is_dir()) == sorted(CODECS)


def test_names_resolve_or_say_which_are_known() -> None:
    assert resolve_codec("auto") is CODECS[DEFAULT_CODEC]
    assert all(resolve_codec(name).name == name for name in CODECS)
    with pytest.raises(BadInput, match=r"'blosc-lz5' is not known: did you mean blosc-lz4\?.* gzip"):
        resolve_codec("blosc-lz5")
    with pytest.raises(BadInput, match="is not known: choose auto or one of none"):
        resolve_codec("%%%%")


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_readers_are_named(codec) -> None:
    assert "zarr-python" in codec.readers
