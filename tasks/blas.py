"""The BLAS that scipy carries: C = A B or C += A B in place, on torch's memory, without a copy and without Python's lock.

scipy publishes its BLAS as C function pointers (`scipy.linalg.cython_blas`), which are called here with addresses. BLAS stores
matrices by columns: a matrix stored by rows is to it its own transpose, so the product is asked for as C' = B' A'.
http://www.netlib.org/blas/sgemm.f
"""

import ctypes
from collections.abc import Callable
from functools import cache
from importlib import import_module

import torch
from threadpoolctl import threadpool_info, threadpool_limits

LARGEST = 2**31 - 1
"""Sizes and strides are 32-bit integers."""

WIDE = ("SkylakeX", "Cooperlake", "SapphireRapids")
"""Names of OpenBLAS's kernels in such vectors; processors of other makers are given one of them."""

_POINTERS_OF_GEMM = 13
_SCALAR: dict[torch.dtype, type[ctypes.c_float] | type[ctypes.c_double]] = {torch.float32: ctypes.c_float, torch.float64: ctypes.c_double}


def add_product(accumulator: torch.Tensor, a: torch.Tensor, b: torch.Tensor, beta: float) -> None:
    """accumulator [rows, cols] = beta accumulator + a [rows, depth] @ b [depth, cols], all float32 or all float64 on the host.

    Where beta is 0, what the accumulator held is not read.

    The accumulator is stored by rows; a and b by rows or by columns. Raises ValueError for other strides and larger sizes.
    """
    (rows, depth), cols = a.shape, b.shape[1]
    turned_b, stride_b = _storage(b)
    turned_a, stride_a = _storage(a)
    turned_c, stride_c = _storage(accumulator)
    if turned_c != b"N" or max(rows, cols, depth, stride_a, stride_b, stride_c) > LARGEST:
        raise ValueError(f"BLAS cannot add a {rows} x {depth} by {depth} x {cols} product to strides {accumulator.stride()}")
    scalar = _SCALAR[accumulator.dtype]
    sizes = [ctypes.c_int(size) for size in (cols, rows, depth, stride_b, stride_a, stride_c)]
    n, m, k, ldb, lda, ldc = map(ctypes.byref, sizes)
    one, kept = ctypes.byref(scalar(1.0)), ctypes.byref(scalar(beta))
    pointers = (turned_b, turned_a, n, m, k, one, b.data_ptr(), ldb, a.data_ptr(), lda, kept, accumulator.data_ptr(), ldc)
    _gemm(accumulator.dtype)(*pointers)


def load() -> None:
    """Load scipy's BLAS, which takes a fifth of a second."""
    _gemm(torch.float32)


def limit_threads(threads: int) -> None:
    """Let every BLAS of this process use so many threads from now on, scipy's among them."""
    load()
    threadpool_limits(limits=threads, user_api="blas")


@cache
def has_wide_vectors() -> bool:
    """Whether scipy's BLAS computes in vectors of 512 bits here: then it is faster than torch's at products with a dozen columns.

    (Measured on one machine, ns an element of the large operand: 0.34 beside 0.5; told to use 256 bits 0.6 beside 0.5.)
    """
    load()
    return any(library.get("architecture") in WIDE for library in threadpool_info())


def _storage(matrix: torch.Tensor) -> tuple[bytes, int]:
    """BLAS's letter for a matrix seen through its transpose (N: stored by rows, T: by columns), and its leading stride."""
    (rows, cols), (down, across) = matrix.shape, matrix.stride()
    if across == 1 or cols == 1:
        return b"N", max(down, cols)
    if down == 1 or rows == 1:
        return b"T", max(across, rows)
    raise ValueError(f"BLAS needs rows or columns without gaps, not strides {down} and {across}")


@cache
def _gemm(dtype: torch.dtype) -> Callable[..., None]:
    """sgemm or dgemm; a call through ctypes lets other threads run."""
    name = {torch.float32: "sgemm", torch.float64: "dgemm"}[dtype]
    capsule = import_module("scipy.linalg.cython_blas").__pyx_capi__[name]
    signature_of = ctypes.pythonapi.PyCapsule_GetName
    signature_of.restype, signature_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address_of = ctypes.pythonapi.PyCapsule_GetPointer
    address_of.restype, address_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * _POINTERS_OF_GEMM)
    return prototype(address_of(capsule, signature_of(capsule)))
