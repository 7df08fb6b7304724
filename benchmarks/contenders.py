"""The ways to multiply two stored matrices that are compared, each run in a process of its own.

    python -m benchmarks.contenders NAME FOLDER CODEC   ->  one JSON line with the seconds that count

Every contender writes chunks of 2048 x 2048 with the same codec, durable only against a crash of the program, as peers do.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

CHUNK = (2048, 2048)


def torch_in_memory(folder: Path, codec: str) -> dict[str, float]:
    """The floor: both matrices in memory already, the product not written."""
    import torch
    import zarr

    a, b = (torch.from_numpy(zarr.open_array(folder / name)[:]) for name in "AB")
    (folder / "C-memory").mkdir()
    start = time.perf_counter()
    torch.matmul(a, b)
    return {"seconds": time.perf_counter() - start}


def read_torch_write(folder: Path, codec: str) -> dict[str, float]:
    """zarr-python and torch by hand: everything in memory at once."""
    import torch
    import zarr

    start = time.perf_counter()
    a, b = (torch.from_numpy(zarr.open_array(folder / name)[:]) for name in "AB")
    product = torch.matmul(a, b).numpy()
    _create(folder, product.shape, codec)[:] = product
    return {"seconds": time.perf_counter() - start}


def dask_array(folder: Path, codec: str) -> dict[str, float]:
    """dask.array's @ on its threaded scheduler, stored chunk by chunk."""
    import dask.array as da
    import torch  # noqa: F401 - the same BLAS threads as everybody

    start = time.perf_counter()
    a, b = (da.from_zarr(str(folder / name)) for name in "AB")
    product = (a @ b).rechunk(CHUNK)
    da.store(product, _create(folder, product.shape, codec), lock=False)
    return {"seconds": time.perf_counter() - start}


def gemmflow(folder: Path, codec: str) -> dict[str, float]:
    """This program, without the Prefect API: `measured.seconds` of its report."""
    from flows import multiply

    out = folder / "C-gemmflow"
    chunk = {} if codec == "auto" else {"chunk": CHUNK}
    report = multiply(
        a=str(folder / "A"),
        b=str(folder / "B"),
        out=str(out),
        memory=os.environ.get("BENCH_MEMORY", "2GiB"),
        codec=codec,
        durability="process",
        direct=True,
        **chunk,
    ).to_json()
    measured = report["measured"]
    return {"seconds": measured["seconds"], "peak_bytes": measured["peak_memory_bytes"], **measured["lanes"]}


CONTENDERS: dict[str, Callable[[Path, str], dict[str, float]]] = {
    "torch in memory": torch_in_memory,
    "read, torch, write": read_torch_write,
    "dask.array": dask_array,
    "gemmflow": gemmflow,
}


def _create(folder: Path, shape: tuple[int, int], codec: str):
    import zarr

    from storage import resolve_codec

    out = folder / "C-peer"
    compressors = resolve_codec(codec).bytes_codecs(4)
    chunks = tuple(min(edge, size) for edge, size in zip(CHUNK, shape, strict=True))
    return zarr.create_array(out, shape=shape, chunks=chunks, dtype="float32", compressors=compressors, fill_value=0.0)


if __name__ == "__main__":
    name, folder, codec = sys.argv[1:]
    print(json.dumps(CONTENDERS[name](Path(folder), codec)))
