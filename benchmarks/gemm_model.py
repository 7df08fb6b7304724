"""Does the time model of products hold on devices that it has not seen? `python -m benchmarks.gemm_model`. Nothing is measured here.

From six measured products of a device, drawn by seed, the others are predicted: with the model, which learns nothing from devices of the
same family, and with one efficiency alone (the median of the six). Each line is a device; errors are means over the seeds.

`--weights FILE DEVICE PRECISION` makes the row of `tasks/catalogue/kernels.csv` from products of a device that the catalogue has: a CSV
with the columns m, n, k, seconds.
"""

import argparse
import csv
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

import numpy as np

from tasks.catalogue.fitted import Timed
from tasks.catalogue.kernels import references
from tasks.catalogue.shape import NAMES, Engine, numbers
from tasks.gemm import Gemm
from tests.tasks.catalogue.measured_products import GIVEN, Errors, device_named, draw, measured, quantile

SEEDS = 200
RIDGE = 1e-4


def one_efficiency(name: str, precision: str, seed: int) -> Errors:
    """The same draw, predicted with the median share of the peak."""
    peak, rows = device_named(name).peaks[precision], measured(name, precision)
    random.Random(seed).shuffle(rows)
    share = median(row.gemm.flops / row.seconds / peak for row in rows[:GIVEN])
    errors = [abs(row.gemm.flops / peak / share / row.seconds - 1) for row in rows[GIVEN:]]
    return Errors(quantile(errors, 0.5), quantile(errors, 0.9), 0.0)


def line(name: str, precision: str, seeds: range) -> str:
    """One device: the model, one efficiency, and how many draws pass the gate."""
    model, plain = ([how(name, precision, seed) for seed in seeds] for how in (draw, one_efficiency))
    cells = [f"{100 * fmean(one.median for one in how):.1f} / {100 * fmean(one.p90 for one in how):.0f}" for how in (plain, model)]
    worst = f"{100 * max(one.median for one in model):.0f} / {100 * max(one.p90 for one in model):.0f}"
    shares = (fmean(one.passes for one in model), fmean(one.covered for one in model))
    return f"| {name} | {precision} | {' | '.join(cells)} | {worst} | {' | '.join(f'{100 * share:.0f}' for share in shares)} |"


def table(seeds: int) -> list[str]:
    """All devices and precisions of which products are at hand."""
    head = "| device | precision | one efficiency, median / p90 % | model | model, worst draw | draws that pass % | in the interval % |"
    rows = [(row.device, row.precision) for row in references() if measured(row.device, row.precision)]
    return [head, "|---|---|---|---|---|---|---|", *(line(name, precision, range(seeds)) for name, precision in rows)]


def weights(rows: Sequence[Timed], engine: Engine) -> tuple[list[float], float]:
    """Weights of the shape's numbers by ridge regression, and the scatter around them."""
    x = np.array([numbers(engine, row.gemm) for row in rows])
    y = np.log([row.seconds / engine.ideal(row.gemm) for row in rows])
    found = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(len(NAMES)), x.T @ y)
    return [float(value) for value in found], float(np.std(y - x @ found))


def read(path: Path) -> list[Timed]:
    """Products and seconds of a CSV."""
    with path.open(newline="") as file:
        return [Timed(Gemm("", *(int(row[name]) for name in "mnk")), float(row["seconds"])) for row in csv.DictReader(file)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--weights", nargs=3, metavar=("FILE", "DEVICE", "PRECISION"))
    arguments = parser.parse_args()
    if arguments.weights:
        path, name, precision = arguments.weights
        device = device_named(name)
        found, scatter = weights(read(Path(path)), Engine(device.peaks[precision], device.multiprocessors, device.memory_bandwidth))
        print(*(f"{key} {value:.4f}" for key, value in zip((*NAMES, "scatter"), (*found, scatter), strict=True)), sep="\n")
        return
    print(*table(arguments.seeds), sep="\n")


if __name__ == "__main__":
    main()
