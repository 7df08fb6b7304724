"""What time it is, by a clock that nobody sets: the wall clock is read once a process, and from then on time only passes.

So what lies between two moments of a process is how long it took, whatever happens to the host's clock meanwhile. Moments of two
processes differ by as much as the wall clock was off when each of them began.
"""

import os
import time
from pathlib import Path

_ZERO = time.time() - time.monotonic()


def now() -> float:
    """Seconds since the epoch."""
    return _ZERO + time.monotonic()


def process_start() -> float:
    """When this process began, in the same seconds."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return now() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
