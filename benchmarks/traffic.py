"""Bytes that plans move, against the least that any schedule could: `python -m benchmarks.traffic`. Plans only, nothing is multiplied.

Elements decoded from A and B (whole chunks, as often as decoded), written of C, and written and read of partial sums, over

    LB = max(mk + kn + mn,  p (2V / sqrt(S) - 2S),  p min(xy + yz + xz))      V = mnk / p, xyz = V, x <= m, y <= n, z <= k

where a worker's S is what the budget leaves beside its interpreter and libraries, in elements (see `tasks.bound` for the sources).
Beside it stands what the stored chunks allow: edge chunks are stored whole, so the first of the three counts their padding.
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from math import exp, log, sqrt

import numpy as np

from benchmarks.saved import save_as
from storage import Block, Matrix
from tasks.bound import surface
from tasks.calibrate import measure
from tasks.errors import Refused
from tasks.geometry import blocks
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
MUCH = 1.5
SHOWN = 25
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


@dataclass(frozen=True)
class Row:
    """A plan and how far it is from the bound."""

    shape: tuple[int, int, int]
    """m, k, n."""
    chunks: tuple[tuple[int, int], tuple[int, int]]
    """Of A and of B."""
    budget_gib: int
    workers: int
    tile: tuple[int, int, int]
    grid: tuple[int, int, int]
    residency: str
    parts: int
    ratio: float
    """Elements moved over LB."""
    stored_ratio: float
    """The same over the larger of LB and A and B as they are stored, padded, with C."""
    why: str
    """What the plan says about it."""


def main() -> None:
    """Plan all of them and show how they are spread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    found: list[Row] = []
    for draw in _draws(options.seed):
        if len(found) == options.count:
            break
        plan = _planned(draw)
        if plan is not None:
            found.append(_row(draw, plan))
    _show(found)
    if options.save:
        save_as("traffic", {"seed": options.seed, "results": {"plans": [asdict(row) for row in found]}})


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


def _row(draw: Draw, plan: Plan) -> Row:
    base = plan.predicted.memory_items["interpreter and libraries"]
    memory = (plan.memory_limit - plan.workers * base) / plan.workers / ITEMSIZE
    (m, k, n), (of_a, of_b) = draw.shape, draw.chunks
    partial = 2 * plan.parts * m * n if plan.parts > 1 else 0
    moved = (plan.predicted.bytes_read + plan.predicted.bytes_written) / ITEMSIZE + partial
    least = lower_bound(draw.shape, plan.workers, memory)
    stored = _padded((m, k), of_a) + _padded((k, n), of_b) + m * n
    return Row(
        shape=draw.shape,
        chunks=draw.chunks,
        budget_gib=draw.budget_gib,
        workers=plan.workers,
        tile=(plan.tile.rows, plan.tile.cols, plan.tile.depth),
        grid=plan.grid,
        residency=plan.residency,
        parts=plan.parts,
        ratio=moved / least,
        stored_ratio=moved / max(least, stored),
        why="; ".join(plan.warnings),
    )


def _padded(shape: tuple[int, int], chunks: tuple[int, int]) -> int:
    """Elements of all chunks, whole."""
    rows, cols = (blocks(extent, edge) * edge for extent, edge in zip(shape, chunks, strict=True))
    return rows * cols


def lower_bound(shape: tuple[int, int, int], workers: int, memory: float) -> float:
    """Elements; `memory` is one worker's, in elements.

    >>> lower_bound((10, 10, 10), 1, 1e6)
    300.0
    """
    m, k, n = shape
    volume = m * n * k / workers
    streamed = workers * (2 * volume / sqrt(memory) - 2 * memory)
    return float(max(m * k + k * n + m * n, streamed, workers * surface(volume, shape)))


def _show(found: list[Row]) -> None:
    for row in sorted(found, key=lambda row: -row.ratio)[:SHOWN]:
        print(f"{row.ratio:.2f} {row}")
    for workers in (*sorted({row.workers for row in found}), None):
        rows = [row for row in found if workers in (row.workers, None)]
        who = f"{workers or 'all'} workers, {len(rows)} plans"
        print(f"{who}: {_quantiles(row.ratio for row in rows)}; of what is stored {_quantiles(row.stored_ratio for row in rows)}")
    much = [row for row in found if row.ratio > MUCH]
    print(f"above {MUCH}: {len(much)}, of which {sum(not row.why for row in much)} unexplained")


def _quantiles(values: Iterable[float]) -> str:
    median, most = np.quantile(list(values), (0.5, 0.9)).tolist()
    return f"median {median:.3f}, 90 % {most:.3f}"


if __name__ == "__main__":
    main()
