"""A device that can multiply, as the catalogue knows it: what its sheet says, who says so, and what it costs."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.catalogue.price import Price
from tasks.errors import BadInput
from tasks.number_types import width

__all__ = ["KINDS", "PRECISIONS", "Device", "Figure", "Measured", "Price"]

KINDS = ("dc-gpu", "consumer-gpu", "tpu", "npu", "cpu", "this machine")

PRECISIONS = {name: width(name) for name in ("float64", "float32", "tf32", "bfloat16", "float16", "fp8", "int8")}
"""Bytes of an element, by the name of the arithmetic."""


@dataclass(frozen=True)
class Figure:
    """One number of a sheet, in the unit of its column."""

    value: float
    sources: tuple[str, ...]
    """Who says so."""
    conflict: str = ""
    """Who says otherwise."""


@dataclass(frozen=True)
class Measured:
    """FLOP/s of an arithmetic on all of a machine, measured on it."""

    thick: float
    """Of blocks whose shortest edge is THICK or more (`tasks.hardware`)."""
    thin: float
    """Of blocks whose shortest edge is THIN."""


@dataclass(frozen=True)
class Device:
    """One accelerator, or one socket of a CPU, or this whole machine."""

    name: str
    vendor: str
    kind: str
    """One of KINDS."""
    peaks: Mapping[str, float]
    """Dense FLOP/s by precision, never with sparsity; a precision that is missing is not supported, or unknown."""
    memory_bytes: int | None = None
    """None where unknown. A sheet's GB are taken as 10**9 bytes, the smaller meaning."""
    memory_bandwidth: float | None = None
    """Bytes/s; None where unknown."""
    link_bandwidth: float | None = None
    """Bytes/s between host and device, one way; None where unknown."""
    price: Price | None = None
    """The cheapest that is known, and of those that are equally cheap the one with the smallest instance."""
    prices: tuple[Price, ...] = ()
    """All that are known."""
    multiprocessors: int | None = None
    """Units that compute one tile at a time; None where unknown."""
    aliases: tuple[str, ...] = ()
    notes: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict[str, Figure])
    """Every number with its source, by column."""
    best: Mapping[str, float] = field(default_factory=dict[str, float])
    """FLOP/s of the fastest product that a search over shapes found, by precision."""
    measured: Mapping[str, Measured] = field(default_factory=dict[str, Measured])
    """By precision; only of this machine."""
    storage: Mapping[str, float] = field(default_factory=dict[str, float])
    """Bytes/s that were measured, by lane: read, write; only of this machine."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadInput(f"{self.name} is of the kind {self.kind!r}: one of {', '.join(KINDS)}")
        unknown = [name for name in self.peaks if name not in PRECISIONS]
        if unknown and not self.measured:
            raise BadInput(f"{self.name} has a peak for {unknown[0]}: one of {', '.join(PRECISIONS)}")
        for name, rate in self.peaks.items():
            if not rate > 0:
                raise BadInput(f"{self.name} has {rate:g} FLOP/s of {name}: leave out what it cannot do")

    @property
    def conflicts(self) -> tuple[str, ...]:
        """Where sources disagree, a line each."""
        return tuple(f"{name} {figure.value:g}: {figure.conflict}" for name, figure in self.figures.items() if figure.conflict)

    def cost_notes(self, today: datetime.date) -> tuple[str, ...]:
        """What is to be said about its price."""
        if self.price is None:
            return (f"no price of {self.name} is known: time without cost; give one in a file of your own",)
        doubts = self.price.doubts(today)
        return (f"{self.name}: {doubts}",) if doubts else ()


def cheapest(prices: tuple[Price, ...]) -> Price | None:
    """The one to reckon with."""
    return min(prices, key=lambda price: (price.usd_per_hour, price.devices_per_instance), default=None)
