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
from tempfile import TemporaryDirectory, gettempdir

import numpy as np
import psutil
import torch

from storage import CODECS, OutputSpec, encoded_bytes
from storage.sync import write_error
from tasks import blas, probing
from tasks.devices import DEVICES
from tasks.disk_rates import durable_rates, unsynced_rate
from tasks.hardware import Rates, installed_memory, processor_name, usable_cores
from tasks.kernel_rates import BLOCK, THIN_BLOCK, block_rates, trusted_kernels, warm_rates
from tasks.stopwatch import rate_of
from tasks.worker_rates import WorkerRates

CHUNKS = ((256, 2048), (2048, 2048))
"""Rows and columns of the float32 chunks that a codec is timed on: a small one, and, if that took no time, what results are made of."""

QUICK = 300e6
"""Bytes/s from which a codec is timed on the larger chunk."""

SECONDS_A_CODEC = 0.03
"""For the repetitions on that one."""

TURNS = 2
"""Chunks that lie beside each other in a tile and are used in turn: together more than the cache that cores share."""

PROBED_SHAPE = (2048, 4096)

COPIED_BYTES = 64 << 20

TOUCHED_BYTES = 32 << 20
"""Fresh memory that is touched, four times without giving it back in between: on a virtual machine the host faults, too."""

PROBES = 10

BRIEFLY = 0.05
"""Seconds for which files are written that only need be there."""


def measure_worker(device: str, folder: str) -> WorkerRates:
    """Every rate of this process; files are written to `folder` and removed. Raises DiskFull, GemmflowError where they cannot be."""
    with _place(folder) as place:
        return _measured(device, place)


@contextmanager
def _place(folder: str) -> Generator[Path]:
    """Where files can be written; what goes wrong there is one line."""
    place = _writable(Path(folder))
    try:
        yield place
    except OSError as error:
        raise write_error(place, error) from error


def _writable(folder: Path) -> Path:
    """The folder; the system's for temporary files where nothing can be put there, as in a home that is read-only or another host's."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder):
            return folder
    except OSError:
        return Path(gettempdir())


def _measured(device: str, place: Path) -> WorkerRates:
    blas.limit_threads(torch.get_num_threads())
    small = warm_rates(trusted_kernels(device))
    base = psutil.Process().memory_info().rss
    tiles, names = _tiles(), [name for name, codec in CODECS.items() if codec.installed]
    write, uncached = durable_rates(place)  # first: other work leaves pages ready
    write_unsynced = unsynced_rate(place)
    rates = Rates(
        gemm=block_rates(small, BLOCK, device),
        thin=block_rates(small, THIN_BLOCK, device),
        decode={name: _codec_rate(tiles, partial(_decode_rate, name, place)) for name in names},
        encode={name: _codec_rate(tiles, partial(_encode_rate, name)) for name in names},
        probe=probe_rate(device),
        write=write,
        write_unsynced=write_unsynced,
        uncached=uncached,
        copy=copy_rate(device),
        touch=_touch_rate(),
    )
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else 0
    facts = (processor_name(), platform.node(), usable_cores(), installed_memory())
    return WorkerRates(rates, base, free, torch.get_num_threads(), *facts)


def measure_threads(alone: WorkerRates, device: str, folder: str) -> WorkerRates:
    """The same worker with a thread for each core and idle neighbours; what one thread does in any case was measured before.

    Raises as `measure_worker` does.
    """
    threads = usable_cores()
    with _threads(threads), _place(folder) as place:
        before = psutil.Process().memory_info().rss
        small = warm_rates(trusted_kernels(device))
        more = max(0, psutil.Process().memory_info().rss - before)
        rates = replace(
            alone.rates,
            gemm=block_rates(small, BLOCK, device),
            thin=block_rates(small, THIN_BLOCK, device),
            probe=probe_rate(device),
            uncached=durable_rates(place, BRIEFLY)[1],
            copy=copy_rate(device),
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
    return [np.tile(np.random.default_rng(0).standard_normal(shape, dtype=np.float32), TURNS) for shape in CHUNKS]


def _codec_rate(tiles: list[np.ndarray], rate: Callable[[np.ndarray, float], float]) -> float:
    """Bytes/s on the first tile, or, if that took no time, on the second."""
    first, second = tiles
    found = rate(first, 0.0)
    return found if found < QUICK else rate(second, SECONDS_A_CODEC)


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


def probe_rate(device: str) -> float:
    """Elements of float32 that a verifier's pass takes a second, norms included."""
    block = torch.rand(*PROBED_SHAPE).to(DEVICES[device].place)
    vectors = probing.draw(0, 0, block.shape[1], PROBES).to(block.device)
    return rate_of(block.numel(), lambda: (probing.apply(block, vectors, probing.Wanted(norms=True)), DEVICES[device].synchronize()))


def copy_rate(device: str) -> float:
    """Bytes a second that a copy within the device's memory moves, read and written."""
    source = torch.rand(COPIED_BYTES // 4).to(DEVICES[device].place)
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
