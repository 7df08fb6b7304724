"""How long a product takes on a device: an interval, and what it rests on.

large    m, n and k of 1024 and more: the weights of its shape (`shape`), from products measured on this device, elsewhere or on others
thin     else: starting the kernel, then the slower of the bytes, each once, and the operations of whole tiles (roofline), corrected by
         what thin products took on the devices that were measured
here     this machine: the rates that it was calibrated with

What a sheet says is never more than the least time: an efficiency always comes on top. Where nobody measured many shapes but somebody
searched for the fastest one, that bounds it. Devices of another kind than the measured ones (CPUs, TPUs, other vendors) are expected to
do as well as those, with twice the doubt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import exp

from tasks.catalogue.device import PRECISIONS, Device, Measured
from tasks.catalogue.fitted import EIGHTY, Fitted, Timed, fit, unfitted
from tasks.catalogue.kernels import SAME_KERNELS, Belief, belief, doubted, references, starting, with_best
from tasks.catalogue.shape import Engine, overhead
from tasks.catalogue.span import Span
from tasks.errors import BadInput
from tasks.gemm import Gemm

LARGE = 1024
"""Shortest edge of products that are large."""

SHARE = 0.75
"""Of the peak and of the bandwidth, in the roofline of thin products; the fitted bias is relative to it."""

STARTING = {"fp8": 6e-6}
"""Seconds before a thin product computes, where it is not START: fp8 is quantized by a kernel of its own."""

START = 3e-6

OTHER_KIND = 2.0
"""Times the doubt where no device of the kind was measured, or no such precision."""

OUTDONE = 0.9
"""Times the time of the fastest product that somebody found, which another library may need."""

GPUS, MEASURED_VENDOR = ("dc-gpu", "consumer-gpu"), "NVIDIA"
"""Of these five families were measured, of all others one."""

HERE = 1.3
"""Factor either way that holds four of five times from this machine's own rates (that of `tasks.history`, before there is a history)."""

THICK, THIN = 1024, 32
"""Shortest edges of the blocks that this machine was calibrated with (those of `tasks.hardware`, which takes a while to import)."""


@dataclass(frozen=True)
class Known:
    """What decides which belief a device gets."""

    name: str
    precision: str
    alike: bool
    """Whether devices like it were measured."""
    best: float | None
    """Share of the peak that the fastest product reaches."""
    without: str

    @cached_property
    def belief(self) -> Belief:
        """What is expected of it."""
        if self._own.ground == "efficiency":
            return self._own
        found = self._own if self.alike else doubted(self._own, OTHER_KIND)
        return with_best(found, self.best) if self.best else found

    @property
    def _own(self) -> Belief:
        return belief(self.name, self.precision, self.without)


def gemm_time(device: Device, precision: str, gemm: Gemm, without: str = "") -> Span:
    """Seconds of one product of this shape, whatever its count; 80 % fall in between.

    `without` names a family of devices that nothing is learnt from. Raises BadInput where the device has no such arithmetic.
    """
    if precision in device.measured:
        return _here(device, device.measured[precision], precision, gemm)
    engine, known = _engine(device, precision), _known(device, precision, without)
    if min(gemm.m, gemm.n, gemm.k) >= LARGE:
        return _large(engine, known, (gemm.m, gemm.n, gemm.k))
    return _thin(engine, known.belief, precision, gemm)


def learn(device: Device, precision: str, rows: Sequence[Timed], without: str = "") -> Fitted:
    """What large products take on this very device, after some were measured on it: six do, of shapes as different as those to come.

    It starts from what was measured elsewhere on a device of this name; else from all others but those of the family `without`.
    Raises BadInput where the device has no such arithmetic.
    """
    return fit(_engine(device, precision), starting(device.name, precision, without), rows)


def is_bound_by_memory(device: Device, precision: str, gemm: Gemm) -> bool:
    """Whether moving the bytes of one such product takes longer than computing it; False where the bandwidth is unknown."""
    engine = _engine(device, precision)
    return _moving(engine, precision, gemm) > _computing(engine, gemm)


def _engine(device: Device, precision: str) -> Engine:
    if precision not in device.peaks:
        raise BadInput(f"{device.name} has no {precision}, or its rate is unknown: one of {', '.join(device.peaks) or 'none'}")
    return Engine(device.peaks[precision], device.multiprocessors, device.memory_bandwidth)


@lru_cache(maxsize=65536)
def _large(engine: Engine, known: Known, shape: tuple[int, int, int]) -> Span:
    gemm = Gemm("", *shape)
    return _possible(_fitted(engine, known).time(gemm), engine.ideal(gemm), known.belief.limit)


def _possible(span: Span, ideal: float, limit: float) -> Span:
    """Not faster than the peak, nor much faster than the fastest product that was found: weights are not to be trusted far outside."""
    least = ideal / limit
    low = max(span.low, ideal, OUTDONE * least)
    middle = max(span.expected, least, low)
    return Span(middle, low, span.high * middle / span.expected, span.how)


@lru_cache(maxsize=1024)
def _fitted(engine: Engine, known: Known) -> Fitted:
    return unfitted(engine, known.belief)


def _known(device: Device, precision: str, without: str) -> Known:
    best = device.best.get(precision)
    alike = device.kind in GPUS and device.vendor == MEASURED_VENDOR and _is_measured(precision)
    return Known(device.name, precision, alike, best and best / device.peaks[precision], without)


def _is_measured(precision: str) -> bool:
    return any(row.precision == SAME_KERNELS.get(precision, precision) for row in references())


def _thin(engine: Engine, believed: Belief, precision: str, gemm: Gemm) -> Span:
    working = max(_moving(engine, precision, gemm), _computing(engine, gemm)) / SHARE
    middle = (STARTING.get(precision, START) + working) * exp(believed.thin)
    away = exp(EIGHTY * believed.thin_scatter)
    return Span(middle, middle / away, middle * away, believed.ground)


def _moving(engine: Engine, precision: str, gemm: Gemm) -> float:
    """Seconds of A, B and C through the memory once, C no narrower than 16 bits."""
    size = PRECISIONS.get(precision, 4)
    count = size * (gemm.m + gemm.n) * gemm.k + max(2, size) * gemm.m * gemm.n
    return count / engine.bandwidth if engine.bandwidth else 0.0


def _computing(engine: Engine, gemm: Gemm) -> float:
    return engine.ideal(gemm) * (overhead(engine, gemm) if engine.multiprocessors else 1.0)


def _here(device: Device, rates: Measured, precision: str, gemm: Gemm) -> Span:
    """From rates at two thicknesses: seconds of an operation are a + b / edge up to THICK, as the planner has it."""
    edge = min(gemm.m, gemm.n, gemm.k, THICK)
    more = max(0.0, (1 / rates.thin - 1 / rates.thick) / (1 / THIN - 1 / THICK))
    computing = 2 * gemm.m * gemm.n * gemm.k * (1 / rates.thick + more * (1 / edge - 1 / THICK))
    bandwidth = Engine(rates.thick, None, device.memory_bandwidth)
    seconds = max(computing, _moving(bandwidth, precision, gemm))
    return Span(seconds, seconds / HERE, seconds * HERE, "measured")
