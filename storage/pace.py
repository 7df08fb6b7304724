"""Which of two ways holds a writer up less: the one that took less time a byte so far, and now and then the other one.

    cached    into the page cache: a copy, by a processor that could multiply, and on a virtual machine its host must find each new page
    behind    past it: a copy to a buffer, and a wait where the disk does not keep up

Neither is always faster, and a page cache that was fast is slow once its pages are new (measured on one machine: 7 and 0.43 GB/s beside
2.8 GB/s of the disk). So each process asks its watch. Finding out whether the other way has become faster may take TRIED_FOR of the time.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Literal

Way = Literal["behind", "cached"]
OTHER: dict[Way, Way] = {"behind": "cached", "cached": "behind"}

KEPT = 0.75
"""Share of what was seen before that still counts beside what is seen now."""

TRIED_FOR = 0.03
"""Share of the time that may be lost by looking whether the slower way is still slower."""


@dataclass
class Seen:
    """Time and bytes, the newest counting most."""

    seconds: float = 0.0
    nbytes: float = 0.0

    def add(self, seconds: float, nbytes: int) -> None:
        """Count a file."""
        self.seconds, self.nbytes = KEPT * self.seconds + seconds, KEPT * self.nbytes + nbytes

    @property
    def seconds_a_byte(self) -> float:
        """0 where nothing is known, so that what was never tried is tried."""
        return self.seconds / self.nbytes if self.nbytes else 0.0


@dataclass
class Pace:
    """What one process saw of one file system."""

    seen: dict[Way, Seen] = field(default_factory=lambda: {"behind": Seen(), "cached": Seen()})
    passes: bool = True
    """Whether the file system has a way past the page cache."""
    _since: float = 0.0
    _last: int = 0

    def choose(self) -> Way:
        """The way of the next file."""
        if not self.passes:
            return "cached"
        best = min(self.seen, key=lambda way: self.seen[way].seconds_a_byte)
        if self._loss(best) < TRIED_FOR * self._since:
            self._since = 0.0
            return OTHER[best]
        return best

    def took(self, way: Way, seconds: float, nbytes: int) -> None:
        """A file of so many bytes, or waiting for those before it, held the writer up for so long."""
        self.seen[way].add(seconds, nbytes)
        self._since += seconds
        self._last = nbytes or self._last

    def _loss(self, best: Way) -> float:
        """Seconds that a file as large as the last one is expected to take longer the other way."""
        return self._last * (self.seen[OTHER[best]].seconds_a_byte - self.seen[best].seconds_a_byte)


@cache
def pace_of(device: int) -> Pace:
    """What this process saw of a file system, by its device number; the same object each time."""
    del device
    return Pace()
