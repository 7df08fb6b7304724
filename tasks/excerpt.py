"""A few blocks of a product, computed before it is: what its run would store there, to the last step before the codec.

    plan --> draw rows and columns --> gathered A, B, C0: a small product of the same depth --> one tile, by the run's own tile function

So arithmetic, scaling, C0, rounding to the type and to storage's steps are those of the run. What differs: a run's tile has
other neighbours, so the steps of `--round` follow all drawn columns and not those of one tile.

Nothing is written. It takes memory in this process: about 64 MiB of blocks, slabs of as much, and the chunks that are decoded.
"""

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from storage import Block, OutputSpec, Staging
from tasks.gathered import Span, gathered
from tasks.geometry import blocks
from tasks.job import Job
from tasks.kernels import libraries
from tasks.nonfinite import listed
from tasks.plan import Plan, TileShape
from tasks.prepare import product_spec
from tasks.recipe import Recipe, make_recipe, on_rung
from tasks.sparsity import edges_of, rule_of
from tasks.stripes import Drawing, Drawn, Flags, draw, draw_more
from tasks.survey import Operand, Problem
from tasks.tile import Examined, examine
from tasks.turns import ONE_AT_A_TIME
from tasks.workspace import release

STAND_INS: dict[str, str] = dict.fromkeys(("float16", "bfloat16", "tf32", "bfloat16x3", "bfloat16x6", "bfloat16x9"), "float32")
"""What is computed here in place of a GPU's arithmetic, whose sums have as many digits."""

MOST_MET = 1 << 30
"""Pairs of blocks of A and B up to which it is found out which chunks of the product are known to be zero."""


@dataclass(frozen=True)
class Excerpt:
    """Blocks of a product, and where they are."""

    drawn: Drawn
    values: Block
    """All of them side by side, in the stored type."""
    spec: OutputSpec
    """How the product is stored."""
    filled: Flags
    """Of each chunk of the product: whether it may hold anything but zeros."""
    held: Flags
    """Of each chunk of the product: whether it is stored."""
    bytes_sampled: int
    """Decoded bytes of A, B and C0 that were read."""
    notes: tuple[str, ...] = ()
    """What was seen that the run will mind, and what was computed otherwise than it will be."""

    def block(self, row: int, col: int) -> Block:
        """The block where two runs meet."""
        return self.values[self.drawn.rows.cuts[row], self.drawn.cols.cuts[col]]

    @property
    def counted(self) -> Flags:
        """Of each block: whether it tells of chunks that are stored and not known to be zero."""
        return (self.filled & self.held)[np.ix_(self.drawn.rows.places, self.drawn.cols.places)]

    @property
    def elements(self) -> tuple[int, int]:
        """Elements of the product that are stored: of chunks that may hold something, and of those that are known to be zero."""
        tall, wide = (np.diff(edges_of(extent, edge)) for extent, edge in zip(self.spec.shape, self.spec.chunks, strict=True))
        sizes = np.multiply.outer(tall, wide)
        filled = int(sizes[self.held & self.filled].sum())
        return filled, int(sizes[self.held].sum()) - filled

    @property
    def shape(self) -> tuple[int, int]:
        """Runs of rows and of columns."""
        return len(self.drawn.rows.spans), len(self.drawn.cols.spans)

    @property
    def seen(self) -> tuple[float, float]:
        """Share of the product's rows, and of its columns."""
        return self.drawn.rows.seen, self.drawn.cols.seen


def take_excerpt(job: Job, problem: Problem, plan: Plan) -> Excerpt:
    """Compute blocks of the product as the plan says.

    Raises Refused where that would read too much, and what reading raises.
    """
    spec = product_spec(job, problem, plan)
    drawing = Drawing(problem, plan, spec, _filled(problem, plan, spec))
    return _excerpt(job, drawing, draw(drawing), 0)


def take_more(job: Job, problem: Problem, plan: Plan, before: Excerpt) -> Excerpt | None:
    """The same with more blocks, its bytes those of both; None where that would read too much."""
    drawing = Drawing(problem, plan, before.spec, before.filled)
    drawn = draw_more(drawing, before.drawn)
    return None if drawn is None else _excerpt(job, drawing, drawn, before.bytes_sampled)


def _excerpt(job: Job, drawing: Drawing, drawn: Drawn, before: int) -> Excerpt:
    plan, spec = drawing.plan, drawing.spec
    with ONE_AT_A_TIME, _passing():
        found, read, note = _compute(_small_recipe(job, drawing.problem, (plan, drawn)), plan)
        values = found.values.cpu().numpy().astype(spec.stored)
    notes = (*note, *_complaints(job, found, drawn))
    return Excerpt(drawn, values, spec, drawing.filled, _held(spec), before + read + drawn.added, notes)


def _small_recipe(job: Job, problem: Problem, how: tuple[Plan, Drawn]) -> Recipe:
    """Of the product of the drawn rows of A and columns of B, and C0 at the same places, in one tile.

    As if nothing were known of zeros or symmetry, and NaN allowed: errors would name places in the small product.
    """
    plan, drawn = how
    small = replace(
        problem,
        a=_lines_of(problem.a, 0, drawn.rows.spans),
        b=_lines_of(problem.b, 1, drawn.cols.spans),
        add=None if problem.add is None else gathered(gathered(problem.add, 1, drawn.cols.spans), 0, drawn.rows.spans),
    )
    tile = TileShape(drawn.rows.lines, drawn.cols.lines, drawn.depth)
    grid = 1, 1, blocks(small.k, drawn.depth)
    planned = replace(plan, shape=small.shape, tile=tile, grid=grid, residency="C", slots=(1, 1), symmetry="none", parts=1)
    spec = OutputSpec((small.m, small.n), plan.dtype_out, (small.m, small.n), plan.codec)  # C0 is read at once: each of its chunks once
    return replace(
        make_recipe(job, small, planned, Staging("", "excerpt", 1, spec, "process")),
        run_id=f"excerpt-{secrets.token_hex(4)}",
        allow_nonfinite=True,
        threads=min(plan.workers * plan.threads_per_worker, len(os.sched_getaffinity(0))),
    )


def _lines_of(operand: Operand, side: int, spans: tuple[Span, ...]) -> Operand:
    return replace(operand, matrix=gathered(operand.matrix, 1 - side if operand.transposed else side, spans))


def _compute(whole: Recipe, plan: Plan) -> tuple[Examined, int, tuple[str, ...]]:
    """The small product in the first arithmetic of the plan that is exact enough, and the bytes of A and B that this took."""
    recipe, note = _here(whole)
    found = examine(recipe, recipe.walk[0])
    read = found.measured.bytes_read
    for rung in range(1, len(plan.rungs)):
        if not found.measured.missed:
            break
        recipe, note = _here(on_rung(whole, plan, rung))
        found = examine(recipe, recipe.walk[0])
        read += found.measured.bytes_read
    return found, read, note


def _here(recipe: Recipe) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe, or what comes nearest on this processor to that of a GPU which is not here."""
    if recipe.device == "cpu" or torch.cuda.is_available():
        return recipe, ()
    name = STAND_INS.get(recipe.arithmetic_name, recipe.arithmetic_name)
    note = f"computed in {name} on this processor, in place of {recipe.arithmetic_name} on {recipe.device}"
    return replace(recipe, arithmetic_name=name, device="cpu", kernel=libraries(name, "cpu")[0]), (note,)


@contextmanager
def _passing() -> Generator[None]:
    """Leave numbers of threads as they were, and no buffer behind."""
    threads = torch.get_num_threads()
    try:
        with threadpool_limits():
            yield
    finally:
        release()
        torch.set_num_threads(threads)


def _filled(problem: Problem, plan: Plan, spec: OutputSpec) -> Flags:
    """Of each chunk of the product, whether it may hold anything but zeros, as far as is known without reading."""
    rows, cols = (edges_of(extent, edge) for extent, edge in zip(spec.shape, spec.chunks, strict=True))
    whole = np.ones((len(rows) - 1, len(cols) - 1), np.bool_)
    depths = edges_of(problem.k, plan.tile.depth)
    if not problem.sparse or problem.add is not None or whole.size * len(depths) > MOST_MET:
        return whole
    a = problem.a.blocks(rows, depths)[0] if problem.a.sparse else whole[:, :1]
    b = problem.b.blocks(depths, cols)[0] if problem.b.sparse else whole[:1]
    some_a, some_b = (np.asarray(flags.any(axis)) for axis, flags in ((1, a), (0, b)))
    both = problem.a.sparse and problem.b.sparse
    met = a.astype(np.float32) @ b.astype(np.float32) > 0 if both else np.logical_and.outer(some_a, some_b)
    rule = rule_of(problem)
    return met | (some_a & rule.whole_a)[:, None] | (some_b & rule.whole_b)


def _held(spec: OutputSpec) -> Flags:
    """Of each chunk of the product, whether it is stored."""
    rows, cols = (np.arange(blocks(extent, edge)) for extent, edge in zip(spec.shape, spec.chunks, strict=True))
    if not spec.lower:
        return np.ones((len(rows), len(cols)), np.bool_)
    tall, wide = (edge // chunk for edge, chunk in zip(spec.objects, spec.chunks, strict=True))
    stops = np.minimum((rows // tall + 1) * spec.objects[0], spec.shape[0])
    return stops[:, None] > cols // wide * spec.objects[1]


def _complaints(job: Job, found: Examined, drawn: Drawn) -> tuple[str, ...]:
    """What the run will end with, seen in the blocks."""
    if job.allow_nonfinite:
        return ()
    sides = (("row", drawn.rows, found.affected.rows, "A or C0"), ("column", drawn.cols, found.affected.cols, "B"))
    bad = [
        f"{name} holds NaN or infinity that reaches {listed(noun, map(stripes.line, lines))} of the product: the run will refuse it"
        for noun, stripes, lines, name in sides
        if lines
    ]
    overflow = "the product holds a value that its type cannot: the run will end with the position"
    return (*bad, *([overflow] if found.overflow else []))
