"""What products took on devices that somebody measured, in a few weights each, and what that lets one expect of a device that nobody did.

`kernels.csv` has a row for a device and a precision: the weights of `shape` fitted to thousands of measured products with m, n and k of
1024 and more, and what is left (`scatter`, a standard deviation of the logarithm); and for thinner products, which a roofline describes,
its bias and scatter. Of an unknown device the weights are expected to be those of the known ones, give or take how much families of
devices differ. Members of one family count as one: five times Blackwell is one experience, not five.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import log
from pathlib import Path
from statistics import fmean

from tasks.catalogue.shape import NAMES

SAME_KERNELS = {"float16": "bfloat16"}
"""Precisions that the same units compute at the same rate as another that was measured."""

LIKE = "bfloat16"
"""The precision whose weights stand for those that nobody measured."""

MORE_DOUBT = 0.01
"""Variance of the logarithm of a new family's efficiency beyond what the known ones show: they are few."""

BEST_SHARE, BEST_DOUBT = 0.92, 0.07
"""What large products reach of the best that a search over shapes found (A100, H100, H200, B200, GB200, B300: 0.86 to 0.97), and the
standard deviation of its logarithm."""

MORE_SCATTER = 2.0
"""Of the variance of the known ones: a new device may be noisier, as L40S and GB200 are."""

SIBLING = 0.5
"""Of the doubt between families: that between two specimens of a device with their libraries."""

ALONE = 0.5
"""Share of the covariance between weights that is taken to be chance, with so few families."""


@dataclass(frozen=True)
class Kernels:
    """One row: a device's library at work."""

    device: str
    precision: str
    family: str
    """Devices of one architecture."""
    weights: tuple[float, ...]
    """In the order of `shape.NAMES`; of the logarithm of time over time at the peak."""
    scatter: float
    """Standard deviation of that logarithm around the fit."""
    thin: float
    """Median logarithm of time over the roofline's, of thin products."""
    thin_scatter: float
    efficiency: tuple[float, float, float, float]
    """10th percentile, median, 90th and most of the share of the peak, large products."""
    products: int
    """Measured products."""
    source: str


@dataclass(frozen=True)
class Belief:
    """What is expected of a device's weights, and how sure that is."""

    weights: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    scatter: float
    thin: float
    thin_scatter: float
    ground: str
    """What it rests on: efficiency or prior (`span.GROUNDS`)."""
    limit: float
    """Most of the peak that large products are expected to reach."""


@cache
def references() -> tuple[Kernels, ...]:
    """All rows."""
    with (Path(__file__).parent / "kernels.csv").open(newline="", encoding="utf-8") as file:
        return tuple(_kernels(row) for row in csv.DictReader(file))


def _kernels(row: dict[str, str]) -> Kernels:
    low, middle, high, most = (float(row[f"efficiency_{name}"]) for name in ("p10", "median", "p90", "max"))
    return Kernels(
        device=row["device"],
        precision=row["precision"],
        family=row["family"],
        weights=tuple(float(row[name]) for name in NAMES),
        scatter=float(row["scatter"]),
        thin=float(row["thin"]),
        thin_scatter=float(row["thin_scatter"]),
        efficiency=(low, middle, high, most),
        products=int(row["products"]),
        source=row["source"],
    )


def known(device: str, precision: str) -> Kernels | None:
    """The row of a device, None where nobody measured it."""
    wanted = SAME_KERNELS.get(precision, precision)
    return next((row for row in references() if (row.device, row.precision) == (device, wanted)), None)


@cache
def belief(device: str, precision: str, without: str = "") -> Belief:
    """What is expected of a device, from its own row or from all others but those of the family `without`."""
    row = known(device, precision)
    if row is not None and row.family != without:
        nothing = tuple((0.0,) * len(NAMES) for _ in NAMES)
        return Belief(row.weights, nothing, row.scatter, row.thin, row.thin_scatter, "efficiency", row.efficiency[-1])
    return prior(precision, without)


def starting(device: str, precision: str, without: str = "") -> Belief:
    """What to correct by products of one device: its name's own weights, if there are any, half as unsure as those of a new family."""
    row, found = known(device, precision), prior(precision, without)
    if row is None or row.family == without:
        return found
    return replace(doubted(found, SIBLING), weights=row.weights, scatter=row.scatter)


def prior(precision: str, without: str = "") -> Belief:
    """What is expected of any device."""
    wanted = SAME_KERNELS.get(precision, precision)
    rows = [row for row in references() if row.precision == wanted and row.family != without]
    rows = rows or [row for row in references() if row.precision == LIKE and row.family != without]
    families = _families(rows)
    weights = [_mean(row.weights for row in family) for family in families]
    scatter = (MORE_SCATTER * fmean(fmean(row.scatter**2 for row in family) for family in families)) ** 0.5
    thin = [fmean(row.thin for row in family) for family in families]
    within = fmean(fmean(row.thin_scatter**2 for row in family) for family in families)
    between = _covariance([(value,) for value in thin])[0][0]
    return Belief(
        _mean(weights), _doubt(weights), scatter, fmean(thin), (within + between) ** 0.5, "prior", max(row.efficiency[-1] for row in rows)
    )


def with_best(believed: Belief, share: float) -> Belief:
    """The same where the best share of the peak that any product reaches was measured, and nothing else."""
    size = range(len(NAMES))
    covariance = tuple(
        tuple((BEST_DOUBT**2 if i == j == 0 else 0.0 if 0 in (i, j) else believed.covariance[i][j]) for j in size) for i in size
    )
    return replace(
        believed, weights=(-log(BEST_SHARE * share), *believed.weights[1:]), covariance=covariance, ground="efficiency", limit=share
    )


def doubted(believed: Belief, times: float) -> Belief:
    """The same, so many times less sure."""
    covariance = tuple(tuple(value * times**2 for value in row) for row in believed.covariance)
    return replace(believed, covariance=covariance, scatter=believed.scatter * times, thin_scatter=believed.thin_scatter * times)


def _families(rows: Sequence[Kernels]) -> list[list[Kernels]]:
    return [[row for row in rows if row.family == name] for name in dict.fromkeys(row.family for row in rows)]


def _mean(lines: Iterable[Sequence[float]]) -> tuple[float, ...]:
    return tuple(fmean(column) for column in zip(*lines, strict=True))


def _doubt(weights: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    """Covariance between families, shrunk, and never none."""
    found = _covariance(weights)
    return tuple(tuple(_shrunk(value, i, j) for j, value in enumerate(row)) for i, row in enumerate(found))


def _shrunk(value: float, i: int, j: int) -> float:
    return value * (1 - ALONE) if i != j else value + 1e-4 + (MORE_DOUBT if i == 0 else 0.0)


def _covariance(lines: Sequence[Sequence[float]]) -> list[list[float]]:
    mean, freedom = _mean(lines), max(1, len(lines) - 1)
    away = [[value - usual for value, usual in zip(line, mean, strict=True)] for line in lines]
    size = range(len(mean))
    return [[sum(line[i] * line[j] for line in away) / freedom for j in size] for i in size]
