"""A candidate that is known to fit, what it costs, and what another one must offer to be taken instead."""

from dataclasses import dataclass
from math import inf

from tasks.candidate import Candidate
from tasks.cost import Cost
from tasks.options import SHORT_STEP

LIFETIME = 3600.0
"""Seconds of a run after which some worker is taken to die: half of a step is then lost, and what it takes counts in the choice."""

WORTH_HALVING = 0.03
"""Share of the time that each halving of the output chunks must save: whoever reads the product pays for it."""

BYTES_WORTH_HALVING = 0.05
"""Share of the bytes that it must save otherwise, in no more time."""


@dataclass(frozen=True)
class Need:
    """A candidate and the bytes of one worker."""

    way: Candidate
    host_bytes: int
    """Interpreter and libraries included."""
    device_bytes: int

    @property
    def allocated(self) -> int:
        """Bytes of one worker beyond interpreter and libraries."""
        return self.host_bytes - self.way.layout.base_bytes

    @property
    def total_bytes(self) -> int:
        """All workers."""
        return self.host_bytes * self.way.workers


@dataclass(frozen=True)
class Fit(Need):
    """A candidate that fits, with its price."""

    cost: Cost

    @property
    def step(self) -> float:
        """Seconds of a tile, or of a part of one."""
        return sum(self.cost.lanes.values()) * self.way.workers / (self.way.tiles * self.way.parts)

    @property
    def price(self) -> float:
        """Seconds of the run, deaths included."""
        return self.cost.seconds * (1 + self.step / (2 * LIFETIME))

    @property
    def wait(self) -> float:
        """Seconds until there is progress, or what is short enough."""
        return max(self.step, SHORT_STEP)


@dataclass(frozen=True)
class Bar:
    """What a candidate with smaller output chunks must keep below to be taken."""

    faster: float = inf
    """Price that is enough."""
    price: float = inf
    """Price that is enough where few bytes are moved."""
    nbytes: float = inf
    """Bytes that are few."""

    @staticmethod
    def above(fit: Fit, times: int) -> "Bar":
        """For output chunks that are halved so many times; twice is worth no bytes alone."""
        fewer = fit.cost.bytes_moved * (1 - BYTES_WORTH_HALVING) if times == 1 else 0
        return Bar(fit.price * (1 - WORTH_HALVING) ** times, fit.price, fewer)

    @property
    def limit(self) -> float:
        """Price that is never enough."""
        return self.price if self.nbytes else self.faster

    def admits(self, price: float, bytes_moved: float) -> bool:
        """Whether so little is paid for so few bytes."""
        return price < self.faster or (price < self.price and bytes_moved < self.nbytes)
