"""What this process holds in memory, as the operating system counts it."""

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

import psutil

_HIGH_WATER_MARK = "5"
"""What proc(5) wants written to clear_refs to forget the peak."""


def resident_bytes() -> int:
    """Bytes that this process holds now."""
    return psutil.Process().memory_info().rss


def peak_resident_bytes() -> int:
    """Most bytes that this process held since `forget_peak`; not `ru_maxrss`, which remembers the process that started this one."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resident_bytes()


def forget_peak() -> None:
    """Let the peak count from now on: a worker of a running cluster may have held more for somebody else."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_HIGH_WATER_MARK)


def give_back_free_memory() -> None:
    """Return the heap's free pages to the system, where the C library can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def let_go() -> None:
    """Collect what refers to itself alone, and return what is free: after a job, before the next one is in need of it."""
    gc.collect()
    give_back_free_memory()


def idle_bytes() -> int:
    """Bytes that this process holds while it does nothing; runs on workers."""
    give_back_free_memory()
    return resident_bytes()
