"""What we write, others open: the same bits in every reader that a codec's row names."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import CODECS, OutputSpec, create_staging, write_block
from tests.storage.readers import READERS, STRICT_ZARRS

PORTABLE = {"zarr-python", "tensorstore", "zarrs"}
"""A row that all of these open is portable; zarrista, which the table does not name, then opens it, too."""

DTYPES = ("float16", "float32", "float64", "int64")
LAYOUTS = {
    "whole": ((24, 20), (8, 5), None),
    "ragged": ((23, 17), (8, 5), None),
    "one chunk": ((5, 3), (5, 3), None),
    "whole shards": ((32, 20), (8, 5), (16, 10)),
    "ragged shards": ((23, 17), (8, 5), (16, 10)),
    "one shard": ((23, 17), (8, 5), (24, 20)),
}
ROWS = [(reader, codec) for codec, row in CODECS.items() for reader in READERS if reader in row.readers or set(row.readers) >= PORTABLE]


def special(shape: tuple[int, int], dtype: str) -> np.ndarray:
    """Random values, the first row full of those that a codec or a reader could lose."""
    rng = np.random.default_rng(5)
    if dtype == "int64":
        values = rng.integers(-(2**62), 2**62, shape)
        values[0, :3] = [np.iinfo(np.int64).min, np.iinfo(np.int64).max, 0]
        return values
    values = rng.standard_normal(shape).astype(dtype)
    limits = np.finfo(dtype)
    values[0, :3] = [np.nan, -0.0, -np.inf]
    values[1, :3] = [limits.max, limits.smallest_subnormal, -limits.smallest_subnormal]
    values[2:, 1] = 0
    return values


def arrays(folder: Path, codec: str) -> Iterator[tuple[str, Path, np.ndarray]]:
    """The codec's row in every type and layout, as published."""
    for dtype in DTYPES:
        for name, (shape, chunks, shard) in LAYOUTS.items():
            values = special(shape, dtype)
            staging = create_staging(folder / f"{dtype} {name}", OutputSpec(shape, dtype, chunks, codec, shard), "process", "r")
            write_block(staging, 0, 0, values)
            yield f"{dtype}, {name}", Path(staging.array), values


@pytest.mark.parametrize(("reader", "codec"), ROWS)
def test_every_named_reader_sees_the_same_bits(tmp_path: Path, reader: str, codec: str) -> None:
    for what, path, values in arrays(tmp_path, codec):
        found = READERS[reader](path)
        assert (found.shape, found.dtype.name) == (values.shape, values.dtype.name), what
        assert found.tobytes() == values.tobytes(), what


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("shard", [None, (16, 10)])
def test_every_reader_notices_a_flipped_bit(tmp_path: Path, reader: str, shard: tuple[int, int] | None) -> None:
    staging = create_staging(tmp_path / "out", OutputSpec((23, 17), "float32", (8, 5), "none", shard), "process", "r")
    write_block(staging, 0, 0, special((23, 17), "float32"))
    chunk = Path(staging.array, "c/0/0")
    damaged = bytearray(chunk.read_bytes())
    damaged[40] ^= 1
    chunk.write_bytes(damaged)
    with pytest.raises(Exception, match=r"(?i)checksum|crc32c|digest"):
        READERS[reader](Path(staging.array))


def test_the_rust_pipeline_is_used_and_does_not_hand_over(tmp_path: Path) -> None:
    from zarrs import ZarrsCodecPipeline

    staging = create_staging(tmp_path / "out", OutputSpec((4, 4), "float32", (2, 2), "zstd", None), "process", "r")
    with zarr.config.set(STRICT_ZARRS):
        array = zarr.open_array(staging.array, mode="r")
        assert isinstance(array._async_array.codec_pipeline, ZarrsCodecPipeline)
    shutil.rmtree(staging.folder)
