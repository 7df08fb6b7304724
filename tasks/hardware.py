"""What the workers can do: measured rates, as values, and the file that remembers them.

A rate belongs to a layout (processes x threads) because cores share caches, memory and clock: it is one worker's rate
while every worker of the layout is busy. The calibration that fills these values is in `tasks.calibrate`.
"""

import hashlib
import os
import platform
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path

import psutil
from pydantic import TypeAdapter, ValidationError

from storage import CODECS, write_atomically
from tasks.history import Past
from tasks.ladder import ARITHMETICS
from tasks.units import format_bytes

CALIBRATION_VERSION = 14

THICK, THIN = 1024, 32
"""Shortest edges of the two blocks that are multiplied to measure a kernel."""

TOLD = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
)
"""Variables by which libraries are told what the processor can do, whatever it can."""

KERNEL_TIE = 0.02
"""Libraries whose rates differ by less are equal: the first is taken."""


@dataclass(frozen=True)
class Rates:
    """One worker's speed while all workers of its layout are busy."""

    gemm: dict[str, dict[str, float]]
    """FLOP/s by arithmetic and library, the libraries that passed their self-test, in the order of `tasks.kernels`."""
    decode: dict[str, float]
    """Decoded bytes/s by codec, from a file in the page cache to the chunk's place in a slab."""
    encode: dict[str, float]
    """Decoded bytes/s by codec."""
    probe: float
    """Matrix elements/s through one pass of the verifier."""
    write: float
    """Bytes/s of a file written and synced to disk."""
    write_unsynced: float
    """Bytes/s of a file written and left to the page cache."""
    uncached: float
    """Bytes/s of files that are read and are not in the page cache."""
    copy: float
    """Bytes/s through memory, reads and writes together."""
    touch: float
    """Bytes/s of touching fresh memory for the first time: page faults."""
    task: float = 4e-3
    """Seconds from sending an empty task to having its answer."""
    thin: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    """FLOP/s as in `gemm`, of a block with only THIN columns; empty where it was not measured."""

    @cached_property
    def kernels(self) -> dict[str, str]:
        """The library to multiply large blocks with, by arithmetic: the first of the fastest."""
        return {name: _first_of_the_fastest(speeds) for name, speeds in self.gemm.items() if speeds}

    def kernel(self, arithmetic: str, edge: int) -> str:
        """The library to multiply blocks with whose shortest edge is `edge`."""
        return _first_of_the_fastest(self._speeds(arithmetic, edge))

    def speed(self, arithmetic: str, edge: int) -> float:
        """FLOP/s of that library on such blocks."""
        speeds = self._speeds(arithmetic, edge)
        return speeds[_first_of_the_fastest(speeds)]

    def _speeds(self, arithmetic: str, edge: int) -> dict[str, float]:
        """Seconds a FLOP are a + b / edge up to THICK, through the two that were measured."""
        thin = self.thin.get(arithmetic, {})
        return {library: _at(edge, rate, thin.get(library, rate)) for library, rate in self.gemm[arithmetic].items()}

    @cached_property
    def flops(self) -> dict[str, float]:
        """FLOP/s of that library, by arithmetic."""
        return {name: self.gemm[name][library] for name, library in self.kernels.items()}


def _first_of_the_fastest(speeds: dict[str, float]) -> str:
    return next(library for library, rate in speeds.items() if rate >= max(speeds.values()) * (1 - KERNEL_TIE))


def _at(edge: int, thick: float, thin: float) -> float:
    """FLOP/s of a block with that shortest edge.

    >>> [_at(edge, 100.0, 50.0) for edge in (THIN, THICK, 5000)]
    [50.0, 100.0, 100.0]
    >>> 50 < _at(100, 100.0, 50.0) < 100, _at(8, 100.0, 50.0) < 25, _at(8, 100.0, 120.0)
    (True, True, 100.0)
    """
    if thin >= thick:
        return thick
    more = (1 / thin - 1 / thick) / (1 / THIN - 1 / THICK)
    return 1 / (1 / thick + more * (1 / min(edge, THICK) - 1 / THICK))


@dataclass(frozen=True)
class Layout:
    """A way to fill the machine with workers."""

    workers: int
    """Most worker processes."""
    threads: int
    """BLAS threads of each."""
    base_bytes: int
    """Resident bytes of an idle worker: interpreter, libraries, warm kernels."""
    rates: Rates


@dataclass(frozen=True)
class Hardware:
    """Measured on the workers that will run."""

    fingerprint: str
    """Changes when processor, libraries or this program change."""
    processor: str
    cores: int
    memory_bytes: int
    """Installed, or the cgroup's limit."""
    layouts: tuple[Layout, ...]
    device: str = "cpu"
    device_memory_bytes: int = 0
    """Free memory of one device; 0 on the host."""
    history: tuple[Past, ...] = ()
    """What earlier runs took; corrects predictions, never plans."""

    def layout(self, workers: int, threads: int) -> Layout:
        """The layout whose rates these workers have: that of as many threads, with the fewest workers that are enough."""
        fitting = [layout for layout in self.layouts if layout.threads == threads and layout.workers >= workers]
        return min(fitting or self.layouts, key=lambda layout: layout.workers)


def lacking(hardware: Hardware) -> frozenset[str]:
    """Arithmetics for which some workers have no kernel that passed its self-test."""
    return frozenset(name for name in ARITHMETICS if any(name not in layout.rates.kernels for layout in hardware.layouts))


def available_memory() -> int:
    """Free bytes of this host, or of its cgroup where that is less."""
    return max(0, min(psutil.virtual_memory().available, _cgroup_limit() - _cgroup_usage()))


def installed_memory() -> int:
    """Bytes of this host, or its cgroup's limit."""
    return min(psutil.virtual_memory().total, _cgroup_limit())


def default_memory(free: int) -> int:
    """The budget of a job that names none: 60 % of what is free.

    It is rounded down in steps of 3 to 6 %, so that a few MiB more or less do not make another plan of the same call.

    >>> default_memory(1000 * 2**20) // 2**20, default_memory(1020 * 2**20) // 2**20
    (576, 608)
    """
    budget = free * 6 // 10
    step = max(1, 1 << max(0, budget.bit_length() - 5))
    return budget // step * step


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


@cache
def processor_name() -> str:
    """The model name that the kernel reports."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


@cache
def instructions() -> str:
    """The sets of instructions that the kernel reports: a virtual machine's name for its processor says nothing of them."""
    return _cpuinfo("flags") or _cpuinfo("Features")


def _cpuinfo(key: str) -> str:
    """The first processor's value; empty where there is none."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(key):
            return line.partition(":")[2].strip()
    return ""


def host_fingerprint(device: str) -> str:
    """Hash of what the measured rates depend on."""
    libraries = _libraries()
    codecs = [name for name, codec in CODECS.items() if codec.installed]
    machine = [device, processor_name(), instructions(), usable_cores(), installed_memory() >> 28]
    told = [os.environ.get(name) for name in TOLD]
    facts = [CALIBRATION_VERSION, *machine, *told, platform.python_version(), *libraries, *codecs]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


@cache
def _libraries() -> list[str]:
    """Names and versions of what computes; they are read from files, and this process has loaded or will load what lies there now."""
    return [f"{name} {metadata.version(name)}" for name in ("gemmflow", "torch", "numpy", "scipy", "numcodecs", "distributed")]


def cache_folder() -> Path:
    """Where calibrations are kept: GEMMFLOW_CACHE, or gemmflow in the user's cache folder."""
    root = os.environ.get("GEMMFLOW_CACHE")
    return Path(root) if root else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gemmflow"


_HARDWARE = TypeAdapter(Hardware)
_UNWRITTEN: dict[str, Hardware] = {}
"""Calibrations of this process that no file holds, by fingerprint: a run asks more than once."""


def remember(hardware: Hardware) -> None:
    """Store a calibration under its fingerprint; where the cache cannot be written, this process remembers it."""
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        write_atomically(_path(hardware.fingerprint), _HARDWARE.dump_json(hardware, indent=1))
    except OSError:
        _UNWRITTEN[hardware.fingerprint] = hardware


def recall(fingerprint: str) -> Hardware | None:
    """The stored calibration, or None when there is none or it cannot be read."""
    try:
        return _HARDWARE.validate_json(_path(fingerprint).read_bytes())
    except (OSError, ValidationError):
        return _UNWRITTEN.get(fingerprint)


def describe(hardware: Hardware) -> str:
    """One line for people."""
    return f"{hardware.processor}, {hardware.cores} cores, {format_bytes(hardware.memory_bytes)}, {hardware.device}"


def _path(fingerprint: str) -> Path:
    return cache_folder() / f"calibration-{fingerprint}.json"


def _cgroup_limit() -> int:
    return _cgroup_number("memory.max", "memory/memory.limit_in_bytes", 2**62)


def _cgroup_usage() -> int:
    return _cgroup_number("memory.current", "memory/memory.usage_in_bytes", 0)


def _cgroup_number(v2: str, v1: str, default: int) -> int:
    for name in (v2, v1):
        try:
            return int((Path("/sys/fs/cgroup") / name).read_text())
        except (OSError, ValueError):
            continue
    return default
