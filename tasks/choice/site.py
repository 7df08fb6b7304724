"""What surrounds the devices: the storage that they read from and write to. Where nothing was measured, what is assumed is named."""

from dataclasses import dataclass

from tasks.errors import BadInput
from tasks.units import format_count

ASSUMED_STORAGE = 2e9
"""Bytes/s, where the caller says nothing: what one host usually gets from a local NVMe disk or an object store."""

UNSURE = 3.0
"""How many times faster or slower assumed storage may be."""

USABLE = 0.9
"""Of a device's memory: the rest is for its runtime, libraries and what falls between blocks."""


@dataclass(frozen=True)
class Site:
    """Rates around the devices, of all of them together."""

    read: float = ASSUMED_STORAGE
    """Bytes/s from storage."""
    write: float = ASSUMED_STORAGE
    """Bytes/s to storage."""
    assumed: bool = True
    """Whether nobody measured or stated these rates."""

    def __post_init__(self) -> None:
        for name, rate in (("read", self.read), ("written", self.write)):
            if not 0 < rate < 1e18:
                raise BadInput(f"storage of {rate:g} bytes/s {name} is none: name a rate such as 2GB")

    @property
    def words(self) -> str:
        """For people."""
        rates = f"storage reads {format_count(self.read, 'B/s')} and writes {format_count(self.write, 'B/s')}"
        return f"{rates} (assumed: say what yours does with --storage)" if self.assumed else rates
