"""Hand-made machines, matrices and jobs: what the planner sees, without files and without measuring anything."""

from dataclasses import dataclass, replace

import numpy as np

from storage import Matrix
from tasks.hardware import Hardware, Layout, Rates
from tasks.job import Job, make_job
from tasks.survey import Operand, Problem

MIB = 2**20
GIB = 2**30


@dataclass(frozen=True)
class Scratch:
    """A source that cannot be read, but says what reading would hold."""

    scratch_bytes: int = 0

    def read_into(self, out, rows, cols):
        raise AssertionError("a hand-made matrix has no elements")


def matrix(shape, dtype="float32", chunks=None, codec="blosc-lz4"):
    """A matrix in chunks, or a plain file where `chunks` is None."""
    itemsize = np.dtype(dtype).itemsize
    chunk_bytes = 0 if chunks is None else chunks[0] * chunks[1] * itemsize
    return Matrix(
        path="/data/x",
        format="npy" if chunks is None else "zarr",
        shape=shape,
        dtype=np.dtype(dtype),
        chunks=chunks or (1, 1),
        chunk_bytes=chunk_bytes,
        fingerprint="0123456789abcdef",
        source=Scratch(2 * chunk_bytes),
        codec="none" if chunks is None else codec,
    )


def problem(shape, dtypes=("float32", "float32"), chunks=(None, None), transposed=(False, False), add=None):
    """An m x k by k x n product; `chunks` are those of the stored matrices."""
    m, k, n = shape
    stored_a, stored_b = ((k, m) if transposed[0] else (m, k)), ((n, k) if transposed[1] else (k, n))
    return Problem(
        Operand(matrix(stored_a, dtypes[0], chunks[0]), transposed[0]),
        Operand(replace(matrix(stored_b, dtypes[1], chunks[1]), path="/data/y"), transposed[1]),
        add,
    )


def rates(**changes):
    """One worker of a small host."""
    made = Rates(
        gemm={"bfloat16": {"torch": 61e9}, "float32": {"torch": 88e9, "scipy": 80e9}, "float64": {"torch": 43e9, "scipy": 43e9}},
        decode={"none": 5.5e9, "blosc-lz4": 2.1e9, "blosc-zstd": 1.2e9, "gzip": 2.5e8},
        encode={"none": 6e9, "blosc-lz4": 1.3e9, "blosc-lz4-shuffle": 1.4e9, "blosc-zstd": 6e8, "gzip": 4e7},
        probe=1.1e9,
        write=4.2e8,
        write_unsynced=2e9,
        uncached=7e8,
        copy=9e9,
        touch=2.5e9,
    )
    return replace(made, **changes)


def hardware(*layouts, memory=64 * GIB, device="cpu", device_memory=0):
    """Two cores, unless layouts of (workers, threads) say otherwise."""
    made = [Layout(workers, threads, 170 * MIB, _faster(threads)) for workers, threads in layouts or ((2, 1), (1, 2))]
    cores = max(workers * threads for workers, threads in layouts or ((2, 1),))
    return Hardware("f00dfeedf00dfeed", "a processor", cores, memory, tuple(made), device, device_memory)


def job(**fields) -> Job:
    """A job on paths that are never opened."""
    return make_job(**({"a": "/data/a", "b": "/data/b", "out": "/data/out"} | fields))


def _faster(threads):
    plain = rates()
    faster = {name: {library: 0.93 * threads * rate for library, rate in speeds.items()} for name, speeds in plain.gemm.items()}
    return replace(plain, gemm=faster) if threads > 1 else plain
