"""Zarr in, Zarr out by general libraries: by hand with torch, and dask.array. Durable only against a crash of the program."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.case import Setting
from benchmarks.taken import Taken, peak_bytes

if TYPE_CHECKING:
    import zarr

PRODUCT = "C-peer"


def read_torch_write(folder: Path, setting: Setting) -> Taken:
    """zarr-python and torch by hand: everything in memory at once."""
    import torch
    import zarr

    import storage  # noqa: F401 - imports do not count

    start = time.perf_counter()
    a, b = (torch.from_numpy(zarr.open_array(folder / name, mode="r")[:]) for name in "AB")
    product = torch.matmul(a, b).numpy()
    create_product(folder, setting)[:] = product
    return Taken(time.perf_counter() - start, peak_bytes())


def dask_array(folder: Path, setting: Setting) -> Taken:
    """dask.array's @ on its threaded scheduler, one BLAS thread in each of its own, as its manual advises; no budget."""
    import dask
    import dask.array as da
    import zarr  # noqa: F401 - imports do not count

    import storage  # noqa: F401
    from tasks.hardware import usable_cores

    start = time.perf_counter()
    with dask.config.set(scheduler="threads", num_workers=usable_cores()):
        a, b = (da.from_zarr(str(folder / name)) for name in "AB")
        product = (a @ b).rechunk(setting.chunks)
        da.store(product, create_product(folder, setting), lock=False)
    return Taken(time.perf_counter() - start, peak_bytes())


def create_product(folder: Path, setting: Setting) -> "zarr.Array":
    """An empty array for the product, in the setting's chunks and codec."""
    import zarr

    from storage import resolve_codec

    shape = setting.shape[0], setting.shape[2]
    compressors = resolve_codec(setting.codec).bytes_codecs(4)
    return zarr.create_array(folder / PRODUCT, shape=shape, chunks=setting.chunks, dtype="float32", compressors=compressors, fill_value=0.0)
