"""One worker's own measurements: multiply, decode, encode, probe, copy, write. Runs on the workers."""

import platform
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import torch

from storage import CODECS, OutputSpec, WriteBehind, encoded_bytes
from tasks import blas, probing
from tasks.devices import DEVICES
from tasks.hardware import Rates, installed_memory, processor_name, usable_cores
from tasks.kernel_rates import BLOCK, THIN_BLOCK, block_rates, trusted_kernels, warm_rates
from tasks.stopwatch import SECONDS_A_RATE, rate_of
from tasks.worker_rates import WorkerRates

CHUNKS = ((256, 2048), (2048, 2048))
"""Rows and columns of the float32 chunks that a codec is timed on: a small one, and, if that took no time, what results are made of."""

QUICK = 300e6
"""Bytes/s from which a codec is timed on the larger chunk."""

TURNS = 2
"""Chunks that lie beside each other in a tile and are used in turn: together more than the cache that cores share."""

PROBED_SHAPE = (2048, 4096)

COPIED_BYTES = 64 << 20

WRITTEN_BYTES = 16 << 20
"""Size of a file that is written."""

MOST_WRITTEN, WRITING_SECONDS = 256 << 20, 0.2
"""Files are written until there are so many bytes, or it took so long. All of it counts: a page of the page cache that is used for the
first time takes sixteen times as long on a virtual machine whose host must find it first (measured: 430 MB/s and 7 GB/s)."""

TOUCHED_BYTES = 32 << 20
"""Fresh memory that is touched, four times without giving it back in between: on a virtual machine the host faults, too."""

PROBES = 10


def measure_worker(device: str, folder: str) -> WorkerRates:
    """Every rate of this process; files are written to `folder` and removed."""
    blas.limit_threads(torch.get_num_threads())
    small = warm_rates(trusted_kernels(device))
    base = psutil.Process().memory_info().rss
    tiles, place, names = _tiles(), Path(folder), [name for name, codec in CODECS.items() if codec.installed]
    place.mkdir(parents=True, exist_ok=True)
    write, write_unsynced = (_write_rate(place, durable) for durable in (True, False))  # first: other work leaves pages ready
    rates = Rates(
        gemm=block_rates(small, BLOCK, device),
        thin=block_rates(small, THIN_BLOCK, device),
        decode={name: _codec_rate(tiles, partial(_decode_rate, name, place)) for name in names},
        encode={name: _codec_rate(tiles, partial(_encode_rate, name)) for name in names},
        probe=_probe_rate(device),
        write=write,
        write_unsynced=write_unsynced,
        copy=_copy_rate(device),
        touch=_touch_rate(),
    )
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else 0
    facts = (processor_name(), platform.node(), usable_cores(), installed_memory())
    return WorkerRates(rates, base, free, torch.get_num_threads(), *facts)


def measure_threads(alone: WorkerRates, device: str, threads: int) -> WorkerRates:
    """The same worker with so many threads and idle neighbours; what one thread does in any case is taken from when it was measured."""
    with _threads(threads):
        before = psutil.Process().memory_info().rss
        small = warm_rates(trusted_kernels(device))
        more = max(0, psutil.Process().memory_info().rss - before)
        rates = replace(
            alone.rates,
            gemm=block_rates(small, BLOCK, device),
            thin=block_rates(small, THIN_BLOCK, device),
            probe=_probe_rate(device),
            copy=_copy_rate(device),
        )
    return replace(alone, rates=rates, base_bytes=alone.base_bytes + more, threads=threads)


@contextmanager
def _threads(threads: int) -> Generator[None]:
    usual = torch.get_num_threads()
    torch.set_num_threads(threads)
    blas.limit_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
        blas.limit_threads(usual)


def _tiles() -> list[np.ndarray]:
    """For each size of chunk, what products look like to a codec: full-entropy significands."""
    return [np.random.default_rng(0).standard_normal((rows, TURNS * cols), dtype=np.float32) for rows, cols in CHUNKS]


def _codec_rate(tiles: list[np.ndarray], rate: Callable[[np.ndarray, float], float]) -> float:
    """Bytes/s on the first tile, or, if that took no time, on the second."""
    first, second = tiles
    found = rate(first, 0.0)
    return found if found < QUICK else rate(second, SECONDS_A_RATE)


def _decode_rate(name: str, folder: Path, tile: np.ndarray, seconds: float) -> float:
    """As a slab is filled, chunk by chunk: file, page cache, decoded chunk, its place among others."""
    chunk = np.ascontiguousarray(_chunk(tile, 0))
    encoded, slab = CODECS[name].encode(chunk), np.zeros_like(tile)
    buffer = bytearray(len(encoded))
    with TemporaryDirectory(dir=folder) as scratch:
        for turn in range(TURNS):
            Path(scratch, str(turn)).write_bytes(encoded)

        def once(turn: int) -> None:
            with Path(scratch, str(turn)).open("rb", buffering=0) as file:
                file.readinto(buffer)
            CODECS[name].decode(buffer, chunk)
            np.copyto(_chunk(slab, turn), chunk)

        turns = cycle(range(TURNS))
        return rate_of(chunk.nbytes, lambda: once(next(turns)), seconds)


def _encode_rate(name: str, tile: np.ndarray, seconds: float) -> float:
    """As a tile is stored: a chunk is cut from it, hashed, compressed, and its bytes hashed again."""
    shape, turns = _chunk(tile, 0).shape, cycle(range(TURNS))
    spec = OutputSpec(shape=shape, dtype="float32", chunks=shape, codec=name)
    return rate_of(tile.nbytes // TURNS, lambda: encoded_bytes(spec, _chunk(tile, next(turns))), seconds)


def _chunk(tile: np.ndarray, turn: int) -> np.ndarray:
    cols = tile.shape[1] // TURNS
    return tile[:, turn * cols : (turn + 1) * cols]


def _probe_rate(device: str) -> float:
    block = torch.rand(*PROBED_SHAPE).to(device)
    vectors = probing.draw(0, 0, block.shape[1], PROBES).to(device)
    return rate_of(block.numel(), lambda: (probing.apply(block, vectors, probing.Wanted(norms=True)), DEVICES[device].synchronize()))


def _copy_rate(device: str) -> float:
    source = torch.rand(COPIED_BYTES // 4).to(device)
    target = torch.empty_like(source)
    return rate_of(2 * source.nbytes, lambda: (target.copy_(source), DEVICES[device].synchronize()))


def _touch_rate() -> float:
    """Once, as a run touches its buffers: the median of four."""
    held, seconds = [DEVICES["cpu"].empty(TOUCHED_BYTES, torch.uint8) for _ in range(4)], list[float]()
    for buffer in held:
        start = time.perf_counter()
        buffer.zero_()
        seconds.append(time.perf_counter() - start)
    return TOUCHED_BYTES / median(seconds)


def _write_rate(folder: Path, durable: bool) -> float:
    """Files after files, as a run writes them."""
    content, written = np.random.default_rng(1).bytes(WRITTEN_BYTES), 0
    with TemporaryDirectory(dir=folder) as scratch:
        start = time.perf_counter()
        with WriteBehind(durable) as behind:
            while written < MOST_WRITTEN and time.perf_counter() - start < WRITING_SECONDS:
                with behind.replacing(f"{scratch}/{written}") as file:
                    file.append([content])
                written += WRITTEN_BYTES
        return written / (time.perf_counter() - start)
