"""Every codec: exact, within its bound, checksummed, the same for other readers, and unchanged since the golden files."""

import json
import os
import shutil
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import (
    CODECS,
    DEFAULT_CODEC,
    GOALS,
    BadInput,
    Codec,
    OutputSpec,
    automatic_codecs,
    chunk_buffer_bytes,
    compressors,
    create_staging,
    open_matrix,
    resolve_codec,
    write_block,
    zarr_header,
)
from storage.chain import Chain, Undecodable, crc32c

GOLDEN = Path(__file__).parents[1] / "golden" / "storage"
GOLDEN_SHAPE, GOLDEN_CHUNKS = (5, 7), (4, 4)


def pairs(*dtypes: str) -> list[tuple[str, str]]:
    """Every codec with every type that it takes."""
    return [(name, dtype) for name, codec in CODECS.items() for dtype in dtypes if np.dtype(dtype).itemsize >= codec.least_itemsize]


def noise(name: str, *shape: int) -> np.ndarray:
    """Random bits, as the smallest unsigned integers that the codec takes."""
    kind = {1: np.uint8, 2: np.uint16}[CODECS[name].least_itemsize]
    return np.random.default_rng(2).integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


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


@pytest.mark.parametrize(("name", "dtype"), pairs("f2", "f4", "f8", "i1", "u2", "i4", "i8"))
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
    values = noise(name, 4 << 20)
    with ThreadPoolExecutor(1) as pool:
        peak = pool.submit(peak_bytes, lambda: CODECS[name].compress(values)).result()
    assert peak <= chunk_buffer_bytes(OutputSpec((1, values.size), values.dtype.name, (1, values.size), name)) - values.nbytes


@pytest.mark.parametrize("name", CODECS)
def test_memory_for_decoding_stays_within_what_is_announced(tmp_path: Path, name: str) -> None:
    values = noise(name, 4, 1 << 20)
    matrix = open_matrix(write_array(tmp_path, name, values, (2, 1 << 20)))
    out = np.empty((3, 1 << 20), values.dtype)
    with ThreadPoolExecutor(1) as pool:
        peak = pool.submit(peak_bytes, lambda: matrix.read_into(out, slice(0, 3), slice(None))).result()
    assert (out == values[:3]).all()
    assert peak <= matrix.scratch_bytes + (64 << 10)


@pytest.mark.parametrize("name", CODECS)
def test_bytes_that_do_not_compress_stay_within_the_bound(name: str) -> None:
    for count in (1, 7, 300_000):
        values = noise(name, count)
        assert len(CODECS[name].encode(values)) <= CODECS[name].max_encoded_bytes(values.nbytes)


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")
@pytest.mark.parametrize(("name", "dtype"), pairs("u1", "f4", "f8"))
def test_zarr_python_reads_what_is_written_and_declares_the_same_codecs(tmp_path: Path, name: str, dtype: str) -> None:
    values = golden_values().astype(dtype) if dtype != "u1" else np.arange(35, dtype="u1").reshape(GOLDEN_SHAPE)
    path = write_array(tmp_path, name, values, GOLDEN_CHUNKS)
    assert np.asarray(zarr.open_array(path, mode="r")[...]).tobytes() == values.tobytes()
    assert json.loads((path / "zarr.json").read_text())["codecs"] == CODECS[name].metadata(values.itemsize)


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")
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
    assert all(resolve_codec(goal) is CODECS[DEFAULT_CODEC] for goal in GOALS)
    assert all(resolve_codec(name).name == name for name in CODECS)
    with pytest.raises(BadInput, match=r"'blosc-lz5' is not known: did you mean blosc-lz4\?.* gzip"):
        resolve_codec("blosc-lz5")
    with pytest.raises(BadInput, match="is not known: choose auto, smallest or one of none"):
        resolve_codec("%%%%")


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_readers_are_named(codec: Codec) -> None:
    assert "zarr-python" in codec.readers
    assert codec.portable == ("tensorstore" in codec.readers)
    named = [stage["name"] for stage in codec.metadata(4)]
    assert codec.portable == (not any(name.startswith("numcodecs.") for name in named))
    assert named[-1] == "crc32c"


def test_the_data_choose_among_fast_rows_that_this_place_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def names(dtype: str, portable: bool) -> list[str]:
        return [codec.name for codec in automatic_codecs(np.dtype(dtype), portable)]

    portable = ["none", "blosc-lz4", "blosc-lz4-shuffle", "blosc-zstd", "blosc-zstd-bitshuffle", "zstd", "zstd-3"]
    assert names("float32", True) == portable
    assert names("float32", False) == [*portable, "huffman", "pcodec"]
    assert names("int8", False) == [*portable, "huffman"]
    monkeypatch.setattr(compressors, "is_installed", lambda package: not package)
    assert names("float32", False) == [*portable, "huffman"]


def test_a_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = write_array(tmp_path, "pcodec", golden_values(), GOLDEN_CHUNKS)
    for module in (compressors, zarr_header):
        monkeypatch.setattr(module, "is_installed", lambda package: not package)
    with pytest.raises(BadInput, match=r"codec pcodec needs the package pcodec: pip install gemmflow\[pcodec\]"):
        OutputSpec((8, 8), "float32", (8, 8), "pcodec")
    with pytest.raises(BadInput, match=r"array is stored with pcodec: pip install gemmflow\[pcodec\]"):
        open_matrix(stored)


def test_a_type_that_a_codec_cannot_hold_is_refused() -> None:
    with pytest.raises(BadInput, match="codec pcodec cannot hold uint8: choose another codec, or a type of 2 bytes or more"):
        OutputSpec((8, 8), "uint8", (8, 8), "pcodec")


def test_any_inflate_decodes_huffman() -> None:
    values = np.random.default_rng(5).standard_normal((300, 70)).astype("f4")
    shuffled = zlib.decompress(CODECS["huffman"].encode(values)[:-4])
    assert np.frombuffer(shuffled, np.uint8).reshape(4, -1).T.tobytes() == values.tobytes()


def test_zstd_carries_its_own_checksum() -> None:
    values = np.random.default_rng(5).integers(0, 9, 4000)
    encoded = bytearray(CODECS["zstd"].encode(values)[:-4])
    encoded[-1] ^= 1  # the last four bytes of the frame are its content checksum (RFC 8878, section 3.1.1)
    with pytest.raises(Undecodable):
        Chain("zstd", checksum=False).decode(np.frombuffer(encoded, np.uint8), values.view(np.uint8))
