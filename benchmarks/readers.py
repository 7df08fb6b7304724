"""How fast the thin path reads, and how fast others read the same array: MB per second of processor time, one thread.

    python -m benchmarks.readers [--edge 4096] [--seconds 0.5] [--shard]

A float32 product in chunks of 2048 x 2048, page cache warm, read whole into memory that the caller owns, by every reader in
turn. Processor time is that of all threads together, so that a reader which uses more of them gains nothing by it. The first
column is MB/s of the thin path, the others are ratios to it: above 1 the other reader is faster.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("RAYON_NUM_THREADS", "1")

import numpy as np

from storage import CODECS, OutputSpec, create_staging, open_matrix, write_block

CHUNK = (2048, 2048)
PATIENCE = 3
"""Reads of each, at least."""

Read = Callable[[np.ndarray], None]


def thin(path: Path) -> Read:
    matrix = open_matrix(path)
    return lambda out: matrix.read_into(out, slice(None), slice(None)) and None


def zarr_python(path: Path, **config: object) -> Read:
    import zarr
    from zarr.core.buffer.cpu import NDBuffer

    settings = {"async.concurrency": 1, "threading.max_workers": 1, **config}

    def read(out: np.ndarray) -> None:
        with zarr.config.set(settings):
            array.get_basic_selection((slice(None), slice(None)), out=NDBuffer.from_numpy_array(out))

    with zarr.config.set(settings):
        array = zarr.open_array(path, mode="r")
    return read


def zarrs(path: Path) -> Read:
    return zarr_python(path, **{"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "codec_pipeline.strict": True})


def zarrista(path: Path) -> Read:
    from zarrista import Array
    from zarrista.store import FilesystemStore

    array = Array.open(FilesystemStore(str(path)), path="/")

    def read(out: np.ndarray) -> None:
        out[...] = array[...].to_numpy()

    return read


def tensorstore(path: Path) -> Read:
    import tensorstore as ts

    one = {"limit": 1}
    context = ts.Context({"data_copy_concurrency": one, "file_io_concurrency": one})
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    array = ts.open(spec, read=True, context=context).result()
    return lambda out: ts.array(out, context=context).write(array).result()


READERS = {"thin": thin, "zarr-python": zarr_python, "zarrs": zarrs, "zarrista": zarrista, "tensorstore": tensorstore}


def best_rates(path: Path, expected: np.ndarray, seconds: float) -> dict[str, float]:
    """MB per processor second of each reader: the best of its reads, taken in turn."""
    reads = {name: make(path) for name, make in READERS.items()}
    out, best = np.empty_like(expected), dict.fromkeys(reads, float("inf"))
    deadline, turn = time.perf_counter() + seconds * len(reads), 0
    while turn < PATIENCE or time.perf_counter() < deadline:
        for name, read in reads.items():
            out[::512, ::512] = 0
            begin = time.process_time()
            read(out)
            best[name] = min(best[name], time.process_time() - begin)
            assert out.tobytes() == expected.tobytes(), f"{name} read other bits"
        turn += 1
    return {name: expected.nbytes / 1e6 / took for name, took in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", type=int, default=4096, help="rows and columns of the array")
    parser.add_argument("--seconds", type=float, default=0.5, help="a reader and codec")
    parser.add_argument("--shard", action="store_true", help="all chunks in one shard")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    values = rng.standard_normal((given.edge, 64), dtype=np.float32) @ rng.standard_normal((64, given.edge), dtype=np.float32)
    whole = -(-given.edge // CHUNK[0]) * CHUNK[0]
    print(f"{'codec':24}{'thin MB/s':>12}" + "".join(f"{name:>14}" for name in list(READERS)[1:]))
    for codec, row in CODECS.items():
        if "tensorstore" not in row.readers:
            continue
        with tempfile.TemporaryDirectory() as folder:
            spec = OutputSpec(values.shape, "float32", CHUNK, codec, (whole, whole) if given.shard else None)
            staging = create_staging(Path(folder) / "out", spec, "process", "bench")
            write_block(staging, 0, 0, values)
            rates = best_rates(Path(staging.array), values, given.seconds)
        ours = rates.pop("thin")
        print(f"{codec:24}{ours:12.0f}" + "".join(f"{rate / ours:14.2f}" for rate in rates.values()), flush=True)


if __name__ == "__main__":
    main()
