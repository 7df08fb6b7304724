"""Bytes that plans move, against the least that any schedule could: `python -m benchmarks.traffic`. Plans only, nothing is multiplied.

Elements decoded from A and B (whole chunks, as often as decoded) and written of C, over

    LB = max(mk + kn + mn,  p (2V / sqrt(S) - 2S),  p min(xy + yz + xz))      V = mnk / p, xyz = V, x <= m, y <= n, z <= k

where a worker's S is what the budget leaves beside its interpreter and libraries, in elements (see `tasks.bound` for the sources).
"""

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import exp, log, sqrt

import numpy as np

from benchmarks.saved import save_as
from storage import Block, Matrix
from tasks.bound import surface
from tasks.calibrate import measure
from tasks.errors import Refused
from tasks.hardware import Hardware
from tasks.job import make_job
from tasks.plan import Plan
from tasks.planner import make_plan
from tasks.survey import Operand, Problem

EXTENTS = (500, 60_000)
DEPTHS = (100, 2_000_000)
MOST_ELEMENTS = 3e10
BUDGETS_GIB = (1, 2, 4, 8, 16)
WORKERS = (1, 2, 4, 8)
CHUNKS = (256, 500, 512, 1000, 1024, 2000, 2048, 4096)
ITEMSIZE = 4


@dataclass(frozen=True)
class Nowhere:
    """A source without elements."""

    scratch_bytes: int = 0

    def read_into(self, out: Block, rows: slice, cols: slice) -> int:
        """Never called: plans read nothing."""
        raise NotImplementedError


@dataclass(frozen=True)
class Draw:
    """A product and what it may use."""

    shape: tuple[int, int, int]
    chunks: tuple[tuple[int, int], tuple[int, int]]
    budget_gib: int
    workers: int


def main() -> None:
    """Plan all of them and show how they are spread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    found: list[dict[str, object]] = []
    for draw in _draws(options.seed):
        if len(found) == options.count:
            break
        plan = _planned(draw)
        if plan is not None:
            found.append(_row(draw, plan))
    _show(found)
    if options.save:
        save_as("traffic", {"seed": options.seed, "results": {"plans": found}})


def _draws(seed: int) -> Iterator[Draw]:
    rng = np.random.default_rng(seed)

    def extent(limits: tuple[int, int]) -> int:
        return int(exp(rng.uniform(log(limits[0]), log(limits[1]))))

    while True:
        m, k, n = extent(EXTENTS), extent(DEPTHS), extent(EXTENTS)
        stored = [(int(rng.choice(CHUNKS)), int(rng.choice(CHUNKS))) for _ in "AB"]
        chunks = tuple((min(high, rows), min(wide, cols)) for (high, wide), (rows, cols) in zip(stored, ((m, k), (k, n)), strict=True))
        if m * k + k * n + m * n <= MOST_ELEMENTS:
            yield Draw((m, k, n), (chunks[0], chunks[1]), int(rng.choice(BUDGETS_GIB)), int(rng.choice(WORKERS)))


def _planned(draw: Draw) -> Plan | None:
    """None where the budget is too small for so many workers."""
    (m, k, n), (of_a, of_b) = draw.shape, draw.chunks
    problem = Problem(Operand(_matrix((m, k), of_a), False), Operand(_matrix((k, n), of_b), False), None)
    job = make_job(a="A", b="B", out="C", memory=f"{draw.budget_gib}GiB", workers=draw.workers, codec="blosc-zstd", max_error=0.5)
    try:
        return make_plan(job, problem, _team(problem, draw.workers))
    except Refused:
        return None


def _matrix(shape: tuple[int, int], chunks: tuple[int, int]) -> Matrix:
    kind = np.dtype("float32")
    return Matrix("/data/x", "zarr", shape, kind, chunks, chunks[0] * chunks[1] * ITEMSIZE, "0" * 16, Nowhere(), "blosc-zstd")


def _team(problem: Problem, workers: int) -> Hardware:
    """This machine, with as many of its single-threaded workers."""
    measured = measure(make_job(a="A", b="B", out="C"), problem)
    single = measured.layout(2, 1)
    return replace(measured, layouts=(replace(single, workers=workers),), memory_bytes=1 << 40)


def _row(draw: Draw, plan: Plan) -> dict[str, object]:
    base = plan.predicted.memory_items["interpreter and libraries"]
    memory = (plan.memory_limit - plan.workers * base) / plan.workers / ITEMSIZE
    partial = 2 * plan.parts * plan.shape[0] * plan.shape[2] if plan.parts > 1 else 0
    moved = (plan.predicted.bytes_read + plan.predicted.bytes_written) / ITEMSIZE + partial
    least = lower_bound(draw.shape, plan.workers, memory)
    return {
        "shape": draw.shape,
        "chunks": draw.chunks,
        "budget_gib": draw.budget_gib,
        "workers": plan.workers,
        "tile": (plan.tile.rows, plan.tile.cols, plan.tile.depth),
        "grid": plan.grid,
        "residency": plan.residency,
        "parts": plan.parts,
        "ratio": moved / least,
        "why": "; ".join(plan.warnings),
    }


def lower_bound(shape: tuple[int, int, int], workers: int, memory: float) -> float:
    """Elements; `memory` is one worker's, in elements.

    >>> lower_bound((10, 10, 10), 1, 1e6)
    300.0
    """
    m, k, n = shape
    volume = m * n * k / workers
    streamed = workers * (2 * volume / sqrt(memory) - 2 * memory)
    return float(max(m * k + k * n + m * n, streamed, workers * surface(volume, shape)))


def _show(found: list[dict[str, object]]) -> None:
    ratios = sorted(float(str(row["ratio"])) for row in found)
    for row in sorted(found, key=lambda row: -float(str(row["ratio"])))[:25]:
        print(f"{row['ratio']:.2f}", {key: value for key, value in row.items() if key != "ratio"})
    print(f"{len(ratios)} plans: median {statistics.median(ratios):.3f}, 90 % {ratios[int(0.9 * len(ratios))]:.3f}, worst {ratios[-1]:.2f}")
    above = [row for row in found if float(str(row["ratio"])) > 1.5]
    print(f"above 1.5: {len(above)}, of which {sum(not row['why'] for row in above)} unexplained")


if __name__ == "__main__":
    main()
