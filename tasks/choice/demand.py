"""What a job asks of the devices that share it, whatever the job is.

A `Demand` answers for one device at a time, since what has to cross the link depends on the memory behind it. Its `Work` is plain
numbers, from which `tasks.choice.estimate` makes time and money.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tasks.gemm import Gemm

if TYPE_CHECKING:
    from tasks.catalogue.device import Device


@dataclass(frozen=True)
class Way:
    """One arithmetic in which a job may be computed."""

    name: str
    """For people: a row of the ladder, or the type of a model's weights."""
    precision: str
    """Type that the devices multiply in: a column of the catalogue."""
    products: int = 1
    """Products of slices for each product of the job."""


@dataclass(frozen=True)
class Team:
    """So many of one device."""

    device: "Device"
    count: int


@dataclass(frozen=True)
class Share:
    """One device's part of the products of one shape."""

    gemm: Gemm
    """Computed once."""
    times: float
    """How often; no whole number where devices share what is computed an odd number of times."""


@dataclass(frozen=True)
class Work:
    """What one way of computing the whole job asks of a team."""

    shares: tuple[Share, ...]
    """Of each device; all do alike."""
    link_bytes: float = 0.0
    """Cross the links between hosts and devices."""
    read_bytes: float = 0.0
    """From storage."""
    written_bytes: float = 0.0
    """To storage."""
    exchanged_bytes: float = 0.0
    """What each device tells others, where several share what one cannot hold; 0 for one device."""
    notes: tuple[str, ...] = field(default=())
    """What is assumed."""


def on_cpu(device: "Device") -> bool:
    """Whether it multiplies in the host's own memory: nothing crosses a link."""
    return device.kind in ("cpu", "this machine")


class Demand(Protocol):
    """A job, as far as devices are concerned."""

    @property
    def title(self) -> str:
        """What it is, in a line."""
        ...

    @property
    def flops(self) -> float:
        """Operations of the whole job in its own arithmetic; a multiply-add is two."""
        ...

    def ways(self, device: "Device") -> tuple[Way, ...]:
        """Arithmetics that keep what was asked on this device, cheapest kind first; none where no arithmetic does."""
        ...

    def resident_bytes(self, way: Way) -> int:
        """Bytes that all devices together must hold at least."""
        ...

    def work(self, way: Way, team: Team) -> Work:
        """What this team has to do."""
        ...
