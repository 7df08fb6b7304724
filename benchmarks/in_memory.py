"""The floors: both matrices in memory already, the product not written, all cores."""

import time
from pathlib import Path

import numpy as np

from benchmarks.case import Setting
from benchmarks.taken import Taken, peak_bytes


def torch_in_memory(folder: Path, setting: Setting) -> Taken:
    """torch.matmul in float32."""
    return _torch(folder, "float32")


def torch_bfloat16_in_memory(folder: Path, setting: Setting) -> Taken:
    """torch.matmul of matrices that are bfloat16 already; so is the product."""
    return _torch(folder, "bfloat16")


def scipy_in_memory(folder: Path, setting: Setting) -> Taken:
    """sgemm of the OpenBLAS that scipy carries. It stores by columns, so C' = B' A' is asked for and nothing is copied."""
    from scipy.linalg.blas import sgemm

    a, b = _inputs(folder)
    start = _start(folder)
    product = sgemm(1.0, b.T, a.T).T
    seconds = time.perf_counter() - start
    assert product.flags.c_contiguous
    return Taken(seconds, peak_bytes())


def _torch(folder: Path, kind: str) -> Taken:
    import torch

    a, b = (torch.from_numpy(values).to(getattr(torch, kind)) for values in _inputs(folder))
    start = _start(folder)
    torch.matmul(a, b)
    return Taken(time.perf_counter() - start, peak_bytes())


def _inputs(folder: Path) -> list[np.ndarray]:
    import zarr

    return [np.asarray(zarr.open_array(folder / name, mode="r")[:]) for name in "AB"]


def _start(folder: Path) -> float:
    """Now, which is also when the memory that is held ready is let go."""
    (folder / "C-memory").mkdir()
    return time.perf_counter()
