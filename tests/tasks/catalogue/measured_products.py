"""Products that were measured on ten devices, from ai-dynamo/aiconfigurator@095f58a (Apache-2.0), and the gate that predictions pass.

products.csv has 60 large products of each device and precision and 30 thin ones in bfloat16, drawn at random of those measured with vLLM.
"""

import csv
import random
from dataclasses import dataclass
from pathlib import Path

from tasks.catalogue import Device, catalogue, find
from tasks.catalogue.fitted import Timed
from tasks.catalogue.kernels import references
from tasks.catalogue.timing import LARGE, learn
from tasks.gemm import Gemm

PRODUCTS = Path(__file__).parent / "products.csv"

GIVEN = 6
"""Rows that a prediction may see."""


def measured(device: str, precision: str, large: bool = True) -> list[Timed]:
    with PRODUCTS.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["device"], row["precision"]) == (device, precision)]
    timed = [Timed(Gemm(device, int(row["m"]), int(row["n"]), int(row["k"])), float(row["microseconds"]) / 1e6) for row in rows]
    return [one for one in timed if (min(one.gemm.m, one.gemm.n, one.gemm.k) >= LARGE) == large]


def family(device: str) -> str:
    return next(row.family for row in references() if row.device == device)


def device_named(name: str) -> Device:
    return find(name, catalogue())


@dataclass(frozen=True)
class Errors:
    """Relative errors of one draw."""

    median: float
    p90: float
    covered: float
    """Share of the products within their 80 % interval."""

    @property
    def passes(self) -> bool:
        return self.median <= 0.10 and self.p90 <= 0.25


def draw(name: str, precision: str, seed: int) -> Errors:
    """Six products drawn by seed, the others predicted; no device of the same family is learnt from."""
    rows = measured(name, precision)
    random.Random(seed).shuffle(rows)
    fitted = learn(device_named(name), precision, rows[:GIVEN], without=family(name))
    spans = [(fitted.time(row.gemm), row.seconds) for row in rows[GIVEN:]]
    errors = [abs(span.expected / seconds - 1) for span, seconds in spans]
    covered = sum(span.low <= seconds <= span.high for span, seconds in spans) / len(spans)
    return Errors(quantile(errors, 0.5), quantile(errors, 0.9), covered)


def quantile(values: list[float], share: float) -> float:
    ordered, place = sorted(values), share * (len(values) - 1)
    low = int(place)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (place - low)
