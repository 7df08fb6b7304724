"""One worker's own measurements: multiply, decode, encode, probe, copy, write. Runs on the workers."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from math import prod
from pathlib import Path
from statistics import median
from tempfile import NamedTemporaryFile, TemporaryDirectory

import numpy as np
import psutil
import torch

from storage import CODECS, replace_file
from tasks import blas, probing
from tasks.devices import DEVICES, torch_dtype
from tasks.hardware import THICK, THIN, Rates, installed_memory, processor_name, usable_cores
from tasks.kernels import libraries
from tasks.ladder import ARITHMETICS
from tasks.operands import Prepared
from tasks.product import add_product
from tasks.selftest import is_right, method_for

SECONDS_A_RATE = 0.06
"""Each rate is the best of the repetitions that fit."""

MOST_SECONDS = 1.0
"""What one multiplication may take; a kernel so slow is never chosen, and its rate need not be exact."""

BLOCK, THIN_BLOCK = (2048, THICK, 2048), (2048, 1024, THIN)
"""Rows, depth and columns of the multiplications that are timed."""

WARM_BLOCK = (384, 384, 384)
"""The multiplication that loads each library's code and buffers before the resident memory is read."""

SAMPLE_SHAPE = (1024, 2048)
"""Rows and columns of the float32 block that codecs and probes are timed on: larger than a core's cache, like a chunk."""

COPIED_BYTES = 64 << 20

WRITTEN_BYTES = 16 << 20
"""Size of a file that is written."""

TOUCHED_BYTES = 32 << 20
"""Fresh memory that is touched, four times without giving it back in between: on a virtual machine the host faults, too."""

PROBES = 10

Key = tuple[str, str, str]
"""Arithmetic, device, library."""


@dataclass(frozen=True)
class WorkerRates:
    """What one worker measured of itself."""

    rates: Rates
    base_bytes: int
    """Resident bytes once every kernel has run on small operands."""
    device_memory_bytes: int
    threads: int
    processor: str
    host: str
    cores: int
    memory_bytes: int


def measure_worker(device: str, folder: str) -> WorkerRates:
    """Every rate of this process; files are written to `folder` and removed."""
    blas.limit_threads(torch.get_num_threads())
    trusted = {
        name: [library for library in libraries(name, device) if is_right((name, device, library))]
        for name, row in ARITHMETICS.items()
        if device in row.devices
    }
    small = {key: _flops_rate(key, WARM_BLOCK) for key in ((name, device, library) for name, found in trusted.items() for library in found)}
    base = psutil.Process().memory_info().rss
    gemm, thin = (
        {name: {library: _block_rate((name, device, library), block, small) for library in found} for name, found in trusted.items()}
        for block in (BLOCK, THIN_BLOCK)
    )
    sample, place = _sample(), Path(folder)
    names = [name for name, codec in CODECS.items() if codec.installed]
    place.mkdir(parents=True, exist_ok=True)
    rates = Rates(
        gemm=gemm,
        thin=thin,
        decode={name: _decode_rate(name, sample, place) for name in names},
        encode={name: _rate(sample.nbytes, lambda name=name: CODECS[name].compress(sample)) for name in names},
        probe=_probe_rate(device),
        write=_write_rate(place, durable=True),
        write_unsynced=_write_rate(place, durable=False),
        copy=_copy_rate(device),
        touch=_touch_rate(),
    )
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else 0
    facts = (processor_name(), platform.node(), usable_cores(), installed_memory())
    return WorkerRates(rates, base, free, torch.get_num_threads(), *facts)


def _block_rate(key: Key, block: tuple[int, int, int], small: dict[Key, float]) -> float:
    """FLOP/s at a block that tiles resemble; the small block's where this one would take long (bfloat16 without hardware)."""
    return _flops_rate(key, block) if 2 * prod(block) < small[key] * MOST_SECONDS else small[key]


def _flops_rate(key: Key, block: tuple[int, int, int]) -> float:
    """FLOP/s of one kernel; its operands are freed on return."""
    (rows, depth, cols), (name, device, _) = block, key
    row, method, empty = ARITHMETICS[name], method_for(key, cols), DEVICES[device].empty
    a, b = (Prepared(tuple(_filled(empty, row.stored_as, shape) for _ in range(row.slices))) for shape in ((rows, depth), (depth, cols)))
    total = empty(rows * cols, torch_dtype(row.accumulate)).view(rows, cols).zero_()
    return _rate(2 * rows * depth * cols, lambda: (add_product(method, total, a, b, 1.0), DEVICES[device].synchronize()))


def _filled(empty: Callable[[int, torch.dtype], torch.Tensor], dtype: str, shape: tuple[int, int]) -> torch.Tensor:
    values = empty(prod(shape), torch_dtype(dtype)).view(shape)
    return values.uniform_() if values.is_floating_point() else values.random_(-100, 100)


def _sample() -> np.ndarray:
    """What products look like to a codec: full-entropy significands."""
    return np.random.default_rng(0).standard_normal(SAMPLE_SHAPE, dtype=np.float32)


def _decode_rate(name: str, sample: np.ndarray, folder: Path) -> float:
    """As a slab is filled: file, page cache, decoded chunk, its place among others."""
    encoded = CODECS[name].encode(sample)
    target, slab, buffer = np.empty_like(sample), np.empty_like(sample), bytearray(len(encoded))
    with NamedTemporaryFile(dir=folder) as file:
        file.write(encoded)
        file.flush()

        def once() -> None:
            with Path(file.name).open("rb", buffering=0) as chunk:
                chunk.readinto(buffer)
            CODECS[name].decode(buffer, target)
            np.copyto(slab, target)

        return _rate(sample.nbytes, once)


def _probe_rate(device: str) -> float:
    block = torch.rand(*SAMPLE_SHAPE).to(device)
    vectors = probing.draw(0, 0, block.shape[1], PROBES).to(device)
    return _rate(block.numel(), lambda: (probing.apply(block, vectors, probing.Wanted(norms=True)), DEVICES[device].synchronize()))


def _copy_rate(device: str) -> float:
    source = torch.rand(COPIED_BYTES // 4).to(device)
    target = torch.empty_like(source)
    return _rate(2 * source.nbytes, lambda: (target.copy_(source), DEVICES[device].synchronize()))


def _touch_rate() -> float:
    """Once, as a run touches its buffers: the median of four."""
    held, seconds = [DEVICES["cpu"].empty(TOUCHED_BYTES, torch.uint8) for _ in range(4)], list[float]()
    for buffer in held:
        start = time.perf_counter()
        buffer.zero_()
        seconds.append(time.perf_counter() - start)
    return TOUCHED_BYTES / median(seconds)


def _write_rate(folder: Path, durable: bool) -> float:
    """Every repetition writes a new file, as a run does."""
    content, names = np.random.default_rng(1).bytes(WRITTEN_BYTES), count()
    with TemporaryDirectory(dir=folder) as scratch:
        return _rate(WRITTEN_BYTES, lambda: replace_file(f"{scratch}/{next(names)}", [content], durable))


def _rate(amount: float, once: Callable[[], object]) -> float:
    """Amount per second, the best repetition; the first, which warms up, does not count."""
    once()
    best, deadline = float("inf"), time.perf_counter() + SECONDS_A_RATE
    while True:
        start = time.perf_counter()
        once()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > deadline:
            return amount / best
