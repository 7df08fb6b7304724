"""Stored matrices of every kind that the contract tests run over."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numcodecs import LZ4, Blosc, GZip, Shuffle, Zlib, Zstd
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec

from storage import OutputSpec, Staging, certify, create_staging, publish, write_block

Write = Callable[[Path, np.ndarray], None]

SHAPE = (23, 17)
CHUNKS = (8, 5)


def v3(**settings: Any) -> Write:
    def write(path: Path, values: np.ndarray) -> None:
        chosen = {"chunks": CHUNKS, "compressors": None, **settings}
        array = zarr.create_array(path, shape=values.shape, dtype=values.dtype, zarr_format=3, **chosen)
        array[...] = values

    return write


def v2(**settings: Any) -> Write:
    def write(path: Path, values: np.ndarray) -> None:
        chosen = {"chunks": CHUNKS, "compressors": None, **settings}
        array = zarr.create_array(path, shape=values.shape, dtype=settings.pop("dtype", values.dtype), zarr_format=2, **chosen)
        array[...] = values

    return write


def v2_big(path: Path, values: np.ndarray) -> None:
    array = zarr.create_array(path, shape=values.shape, chunks=CHUNKS, dtype=values.dtype.newbyteorder(">"), zarr_format=2)
    array[...] = values


def written(codec: str) -> Write:
    """As gemmflow itself stores it: zarr-python warns about the codecs that are not in its registry of version 3."""

    def write(path: Path, values: np.ndarray) -> None:
        staging = create_staging(path, OutputSpec(SHAPE, values.dtype.name, CHUNKS, codec), "process", "w")
        write_block(staging, 0, 0, values)
        publish(staging, overwrite=False)

    return write


def npy(change: Callable[[np.ndarray], np.ndarray]) -> Write:
    def write(path: Path, values: np.ndarray) -> None:
        with path.open("wb") as file:
            np.save(file, change(values))

    return write


THIN: dict[str, Write] = {
    "v3-none": v3(),
    "v3-none-crc": v3(compressors=[Crc32cCodec()]),
    "v3-big": v3(serializer=BytesCodec(endian="big")),
    "v3-big-crc": v3(serializer=BytesCodec(endian="big"), compressors=[ZstdCodec(), Crc32cCodec()]),
    "v3-blosc-lz4": v3(compressors=[BloscCodec(cname="lz4", shuffle="bitshuffle")]),
    "v3-blosc-zstd-crc": v3(compressors=[BloscCodec(cname="zstd", shuffle="shuffle"), Crc32cCodec()]),
    "v3-blosc-none": v3(compressors=[BloscCodec(cname="blosclz", clevel=0)]),
    "v3-zstd": v3(compressors=[ZstdCodec(level=3)]),
    "v3-zstd-checksum": v3(compressors=[ZstdCodec(level=1, checksum=True)]),
    "v3-gzip-crc": v3(compressors=[GzipCodec(), Crc32cCodec()]),
    "v3-huffman": written("huffman"),
    "v3-pcodec": written("pcodec"),
    "v3-dots": v3(chunk_key_encoding={"name": "default", "separator": "."}),
    "v3-v2-keys": v3(chunk_key_encoding={"name": "v2", "separator": "/"}),
    "v3-stacked": v3(chunks=(4, SHAPE[1]), compressors=[BloscCodec()]),
    "v3-one-chunk": v3(chunks=(64, 64), compressors=[ZstdCodec()]),
    "v3-sharded": v3(shards=(16, 10), compressors=[BloscCodec()]),
    "v3-sharded-none": v3(shards=(16, 10)),
    "v3-sharded-none-crc": v3(shards=(8, 20), compressors=[Crc32cCodec()]),
    "v3-sharded-big-crc": v3(shards=(24, 5), serializer=BytesCodec(endian="big"), compressors=[ZstdCodec(), Crc32cCodec()]),
    "v3-sharded-one": v3(shards=(24, 20), compressors=[GzipCodec(), Crc32cCodec()]),
    "v3-sharded-no-crc": v3(chunks=(16, 10), serializer=ShardingCodec(chunk_shape=CHUNKS, index_codecs=[BytesCodec()])),
    "v2-none": v2(),
    "v2-big": v2_big,
    "v2-blosc": v2(compressors=Blosc(cname="lz4", shuffle=Blosc.BITSHUFFLE)),
    "v2-zstd": v2(compressors=Zstd()),
    "v2-gzip": v2(compressors=GZip()),
    "v2-zlib": v2(compressors=Zlib()),
    "v2-slashes": v2(chunk_key_encoding={"name": "v2", "separator": "/"}),
}
FALLBACK: dict[str, Write] = {
    "v3-sharded-transposed": v3(shards=(16, 10), filters=[TransposeCodec(order=(1, 0))], compressors=[BloscCodec()]),
    "v3-sharded-twice": v3(shards=(16, 10), chunks=(8, 10), serializer=ShardingCodec(chunk_shape=(8, 5))),
    "v3-sharded-big-index": v3(
        chunks=(16, 10), serializer=ShardingCodec(chunk_shape=CHUNKS, index_codecs=[BytesCodec(endian="big"), Crc32cCodec()])
    ),
    "v3-transposed": v3(filters=[TransposeCodec(order=(1, 0))]),
    "v3-two-compressors": v3(compressors=[GzipCodec(), ZstdCodec()]),
    "v2-f-order": v2(order="F"),
    "v2-shuffle": v2(filters=[Shuffle(elementsize=4)]),
    "v2-lz4": v2(compressors=LZ4()),
}
NPY: dict[str, Write] = {
    "npy-c": npy(np.ascontiguousarray),
    "npy-fortran": npy(np.asfortranarray),
    "npy-big": npy(lambda values: values.astype(values.dtype.newbyteorder(">"))),
    "npy-big-fortran": npy(lambda values: np.asfortranarray(values.astype(values.dtype.newbyteorder(">")))),
}
STORED: dict[str, Write] = THIN | FALLBACK | NPY


@pytest.fixture
def values() -> np.ndarray:
    """Random float32 values with every kind of special value among them."""
    out = np.random.default_rng(7).standard_normal(SHAPE).astype(np.float32)
    out[0, :4] = [np.inf, -np.inf, np.nan, -0.0]
    return out


@pytest.fixture(params=sorted(STORED))
def stored(request: pytest.FixtureRequest, tmp_path: Path, values: np.ndarray) -> Path:
    """The values in each way of storing a matrix."""
    STORED[request.param](tmp_path / request.param, values)
    return tmp_path / request.param


@pytest.fixture(params=sorted(THIN))
def thin(request: pytest.FixtureRequest, tmp_path: Path, values: np.ndarray) -> Path:
    """The values in each chain of the thin path."""
    THIN[request.param](tmp_path / request.param, values)
    return tmp_path / request.param


@pytest.fixture
def spec() -> OutputSpec:
    """A small result with edge chunks in both directions."""
    return OutputSpec(SHAPE, "float32", CHUNKS, "blosc-lz4")


@pytest.fixture
def staging(tmp_path: Path, spec: OutputSpec) -> Staging:
    """The staging folder of that result."""
    return create_staging(tmp_path / "out.zarr", spec, "process", "run1")


Store = Callable[..., Path]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Publishes a result of 2 x 2 chunks: `store("out", codec="zstd", value=3)`; random numbers where no value is given."""

    def make(name: str = "out", codec: str = "none", value: float | None = None, run_id: str = "r") -> Path:
        staging = create_staging(tmp_path / name, OutputSpec((5, 7), "float64", (4, 4), codec), "process", run_id)
        random = np.random.default_rng(0).standard_normal((5, 7))
        records = write_block(staging, 0, 0, random if value is None else np.full((5, 7), float(value))).records
        certify(staging, {"schema": 1, "storage": {"codec": codec}}, records)
        publish(staging, overwrite=True)
        return tmp_path / name

    return make
