"""What other software makes of a result: each row of the table is opened by exactly the readers that it names.

zarrita.js, which runs in browsers, is named from its sources and not tested here.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr

from storage import CODECS, OutputSpec, create_staging, declare_codec, write_block

pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr", "ignore::DeprecationWarning")

SHAPE, CHUNKS = (37, 50), (16, 32)


def read_zarr_python(array: str) -> np.ndarray:
    return np.asarray(zarr.open_array(array, mode="r")[...])


def read_tensorstore(array: str) -> np.ndarray:
    return tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": array}}).result().read().result()


def read_zarrs(array: str) -> np.ndarray:
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "codec_pipeline.strict": True}):
        return np.asarray(zarr.open_array(array, mode="r")[...])


READERS: dict[str, Callable[[str], np.ndarray]] = {"zarr-python": read_zarr_python, "tensorstore": read_tensorstore, "zarrs": read_zarrs}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64"])
@pytest.mark.parametrize("name", CODECS)
def test_a_result_is_bit_equal_in_every_reader_that_its_codec_names(tmp_path: Path, name: str, dtype: str, reader: str) -> None:
    values = (np.random.default_rng(0).standard_normal(SHAPE) * 30).astype(dtype)
    staging = create_staging(tmp_path / "out", OutputSpec(SHAPE, dtype, CHUNKS, name), "process", "r")
    write_block(staging, 0, 0, values)
    if reader in CODECS[name].readers:
        assert READERS[reader](staging.array).tobytes() == values.tobytes()
    else:
        with pytest.raises(ValueError, match=r"codec|Error"):
            READERS[reader](staging.array)


@pytest.mark.parametrize("reader", READERS)
def test_a_settled_result_opens_like_any_other(tmp_path: Path, reader: str) -> None:
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    staging = create_staging(tmp_path / "out", OutputSpec(SHAPE, "float32", CHUNKS, "auto"), "process", "r")
    write_block(replace(staging, spec=replace(staging.spec, codec="zstd-3")), 0, 0, values)
    declare_codec(staging.array, CODECS["zstd-3"], 4)
    assert READERS[reader](staging.array).tobytes() == values.tobytes()
    assert json.loads(Path(staging.array, "zarr.json").read_bytes())["codecs"][1]["configuration"]["level"] == 3
