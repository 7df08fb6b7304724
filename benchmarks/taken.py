"""What one run of a contender took."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Taken:
    """Said by the contender's own process, on its last line."""

    seconds: float
    """From the inputs on disk (in memory, for those that hold them) to the product; without starting Python and workers."""
    peak_bytes: int
    """Most resident bytes of its processes; where there are many, the sum of their peaks."""
    lanes: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds of one worker by lane; gemmflow only."""
    how: str = ""
    """What it decided, for people."""


def peak_bytes() -> int:
    """Most bytes that this process held resident since it started, mapped files included; 0 where Linux does not say.

    Not `getrusage`: its figure begins with what the parent held when it started this process.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
