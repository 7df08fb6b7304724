"""Compressed bytes of a product that is not computed yet, from blocks of it.

    stored = elements that may not be zero x bytes an element (mean of the blocks, with its spread)
           + elements of chunks that are known to be zero x bytes an element of zeros
           + padding of chunks at the edges x bytes an element of padding  + indices of shards + what sealing adds

The codec is the one that was named, or the one that the run's own trials choose on these blocks: on those within its first tile,
if there are any, because its first tile decides. A block is a whole chunk where that is cheap, else rows of one.
"""

from dataclasses import asdict, dataclass, replace
from math import inf

import numpy as np
import torch

from storage import GOALS, Block, Codec, resolve_codec
from storage.envelope import SEAL_OVERHEAD
from tasks.compression import CodecDecision, Weighed, choice_for
from tasks.excerpt import Excerpt, take_excerpt, take_more
from tasks.hardware import Hardware
from tasks.job import Job
from tasks.plan import Plan
from tasks.spread import Estimate, estimate
from tasks.survey import Problem
from tasks.trials import take_pieces, try_codecs
from tasks.units import format_bytes

GOAL = 0.05
"""Where the interval reaches further from the prediction than this share of it, more is read."""

PART_DOUBT = 0.02
"""Standard doubt, as a share, of what rows of a chunk tell of the bytes of whole chunks."""

REPETITIVE = 8.0
"""From this ratio on what a piece begins with counts: a chunk takes the bytes of the piece, and its second half's again and again."""

NEAR_TIE = 1.15
"""A codec that costs at most so many times what the chosen one does, in time or bytes as the goal says, might be chosen by another
tile: the interval counts it."""


@dataclass(frozen=True)
class Compressed:
    """What a product will take where it is stored."""

    codec: str
    """Row of CODECS."""
    why: str
    ratio: float
    """Bytes before compression over bytes stored."""
    nbytes: int
    """Bytes stored, of all files."""
    interval: tuple[int, int] | None
    """Bytes that four products of five fall between, whichever of near codecs is taken; None where one row of blocks says nothing."""
    bytes_sampled: int
    """Decoded bytes of A, B and C0 that were read to find out."""
    share_sampled: float
    """Of what reading all of them decodes; above 1 where chunks were decoded more than once."""
    blocks: tuple[int, int]
    """Blocks along rows and along columns."""
    block: tuple[int, int]
    """Rows and columns of the largest block."""
    codecs: tuple[Weighed, ...]
    """What each codec did to the blocks; empty where the caller named one."""
    notes: tuple[str, ...]
    """What else was seen."""

    def to_json(self) -> dict[str, object]:
        """For machines: bytes stored and codecs are named as in a report."""
        found = asdict(self)
        nbytes, interval = found.pop("nbytes"), found.pop("interval")
        return {"bytes_stored": nbytes, "bytes_stored_interval": interval} | found

    def rows(self) -> list[tuple[str, str]]:
        """For people, name and text."""
        low_high = [format_bytes(side) for side in self.interval or ()]
        between = f" (between {' and '.join(low_high)})" if low_high else " (one row of blocks: how far off is not known)"
        blocks = f"{self.blocks[0]} x {self.blocks[1]} blocks of {self.block[0]} x {self.block[1]}"
        read = f"{format_bytes(self.bytes_sampled)} read for them, {100 * self.share_sampled:.3g} % of the inputs"
        return [
            ("compressed", f"{format_bytes(self.nbytes)} as {self.codec}, {self.ratio:.2f} : 1{between}"),
            ("", f"{self.why}; from {blocks}, {read}"),
            *(("", note) for note in self.notes),
        ]


@dataclass(frozen=True)
class Sampled:
    """A product's blocks, and what they tell of its bytes."""

    excerpt: Excerpt
    compressed: Compressed


def sample_product(job: Job, problem: Problem, plan: Plan, hardware: Hardware) -> Sampled:
    """Compute a few blocks of the product and predict its compressed bytes; more blocks where the first ones differ a lot.

    Raises Refused where that would read too much, and what reading raises.
    """
    excerpt = take_excerpt(job, problem, plan)
    decision = _decide(job, plan, hardware, excerpt)
    total = _bytes(excerpt, resolve_codec(decision.codec if decision else plan.codec))
    if total.high - total.low > 2 * GOAL * total.expected and (more := take_more(job, problem, plan, excerpt)):
        excerpt, decision = more, _decide(job, plan, hardware, more)
    return Sampled(excerpt, _compressed(job, problem, excerpt, decision))


def _decide(job: Job, plan: Plan, hardware: Hardware, excerpt: Excerpt) -> CodecDecision | None:
    """As the first tile of the run would; None where the caller named a codec."""
    choice = choice_for(job, plan.dtype_out, hardware.layout(plan.workers, plan.threads_per_worker))
    if plan.codec not in GOALS or choice is None:
        return None
    values, (rows, cols) = excerpt.values, (excerpt.drawn.rows, excerpt.drawn.cols)
    sides = zip((rows, cols), (plan.tile.rows, plan.tile.cols), strict=True)
    tall, wide = (sum(stop - start for start, stop in stripes.spans if stop <= edge) for stripes, edge in sides)
    seen = values[:tall, :wide] if tall and wide else values
    block = rows.spans[0][1] - rows.spans[0][0], cols.spans[0][1] - cols.spans[0][0]
    spec = replace(excerpt.spec, shape=seen.shape, chunks=block, shard=None, lower=False)
    return try_codecs(take_pieces(torch.from_numpy(seen), spec), choice)


def _compressed(job: Job, problem: Problem, excerpt: Excerpt, decision: CodecDecision | None) -> Compressed:
    spec = excerpt.spec
    name, near = (decision.codec, _near(job, decision)) if decision else (spec.codec, [])
    total, *others = (_bytes(excerpt, resolve_codec(codec)) for codec in (name, *near))
    low, high = min(one.low for one in (total, *others)), max(one.high for one in (total, *others))
    note = f"nearly as good, and taken if the first tile says so: {', '.join(near)}"
    matrices = [matrix for matrix in (problem.a.matrix, problem.b.matrix, problem.add) if matrix is not None]
    blocks = [excerpt.block(row, col).shape for row, col in np.ndindex(excerpt.shape)]
    return Compressed(
        codec=name,
        why=decision.why.replace("on the first tile", "on blocks of the product") if decision else "asked for",
        ratio=spec.nbytes / total.expected,
        nbytes=round(total.expected),
        interval=None if low == -inf else (round(low), round(high)),
        bytes_sampled=excerpt.bytes_sampled,
        share_sampled=excerpt.bytes_sampled / max(1, sum(matrix.decoded_bytes(slice(None), slice(None)) for matrix in matrices)),
        blocks=excerpt.shape,
        block=(max(rows for rows, _ in blocks), max(cols for _, cols in blocks)),
        codecs=decision.weighed if decision else (),
        notes=(*excerpt.notes, *([note] if near else [])),
    )


def _near(job: Job, decision: CodecDecision) -> list[str]:
    """Codecs that another tile might choose."""
    costs = {row.name: 1 / row.ratio if job.codec == "smallest" else row.seconds_per_gib for row in decision.weighed}
    return [name for name, cost in costs.items() if name != decision.codec and cost <= NEAR_TIE * costs[decision.codec]]


def _bytes(excerpt: Excerpt, codec: Codec) -> Estimate:
    """Of all files."""
    spec = excerpt.spec
    filled, empty = excerpt.elements
    padding = int(excerpt.held.sum()) * spec.chunks[0] * spec.chunks[1] - filled - empty
    zeros, fill = (_each(codec, np.full(spec.chunks, value, spec.stored), spec.chunks) for value in (0, spec.fill))
    fixed = empty * zeros + padding * fill + _overhead(excerpt)
    if not filled:
        return Estimate(fixed, fixed, fixed)
    return _mean(excerpt, codec).scaled(filled, fixed)


def _mean(excerpt: Excerpt, codec: Codec) -> Estimate:
    """Bytes an element of the blocks that may not be zero."""
    counted, spec = excerpt.counted, excerpt.spec
    values, parts = np.zeros(excerpt.shape), False
    for row, col in np.argwhere(counted).tolist():
        block = excerpt.block(row, col)
        values[row, col] = _each(codec, block, (spec.chunks[0], block.shape[1]))
        parts |= block.shape != spec.chunks
    found = estimate(values, counted, excerpt.seen)
    if found.low == -inf:
        return found
    most = codec.max_encoded_bytes(spec.chunk_bytes) / spec.chunk_bytes * spec.stored.itemsize
    return found.widened(PART_DOUBT if parts and codec.name != "none" else 0.0).within(0.0, most)


def _each(codec: Codec, block: Block, chunk: tuple[int, int]) -> float:
    """Bytes an element of a chunk of which the block is all, or the first rows."""
    rows = len(block)
    whole = _encoded(codec, block)
    half = rows // 2
    if rows == chunk[0] or not half or block.nbytes < REPETITIVE * whole:
        return whole / block.size
    further = (whole - _encoded(codec, block[:half])) / (rows - half)
    return (whole + further * (chunk[0] - rows)) / (chunk[0] * chunk[1])


def _encoded(codec: Codec, block: Block) -> int:
    return sum(map(len, codec.parts(np.ascontiguousarray(block))))


def _overhead(excerpt: Excerpt) -> int:
    """Bytes of files beside their chunks."""
    spec = excerpt.spec
    files = len(spec.places) if spec.lower else spec.grid[0] * spec.grid[1]
    return files * ((SEAL_OVERHEAD if spec.sealed else 0) + (spec.shards.index_bytes if spec.shards else 0))
