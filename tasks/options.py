"""What the planner may choose from: tile edges, slab depths, output chunks, workers.

Tile edges are whole stored files (chunks, or shards) that divide the product into 1, 2, 3, ... tiles; slab depths follow the
chunk grids of A and B, so that no chunk is decoded for a part of it; output chunks are as asked, or the default and its halves;
shards are as asked, or none; workers are all, or fewer where memory is short. Deep tiles may be cut into parts of k: where there are
fewer of them than workers, where they do not come out even, and where each takes long.
"""

from collections.abc import Iterator
from math import ceil, gcd, isqrt, lcm

import numpy as np

from storage import OutputSpec, default_chunks, is_url, resolve_codec
from tasks.candidate import Candidate
from tasks.geometry import blocks
from tasks.hardware import Hardware, Layout
from tasks.job import Job
from tasks.survey import Problem

_COUNTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_DEPTHS = (256, 512, 1024, 2048, 4096)
_SMALLEST_EDGE = 256

LEAST_DEPTH = 256
"""Of a part of k."""

SHORT_STEP = 15.0
"""Seconds of work of a tile, or of a part of one, that need not be less: what a death costs, and how often there is progress."""

STEPS = 16
"""Tiles of each worker that need not be cut, however long they take."""

PARTS_SHARE = 0.1
"""Of what is read: partial sums are no more where fewer parts would do for all workers."""


def edges(extent: int, unit: int, along: int = 1) -> list[int]:
    """Tile edges to try: whole units, which are chunks or shards, largest first; also whole chunks of the input, `along` this extent.

    >>> edges(8192, 2048), edges(5, 8), edges(12_000, 2048, 1500)[1:]
    ([8192, 4096, 2048], [5], [6144, 4096, 2048])
    >>> edges(6000, 1000, 1500)
    [6000, 3000, 2000, 1000]
    """
    both = lcm(unit, along)
    units = [unit, both] if unit % along and both < extent else [unit]
    steps = {ceil(blocks(extent, count) / step) * step for count in _COUNTS for step in units} | {unit}
    return sorted({min(step, extent) for step in steps}, reverse=True)


def aligned(edge: int, along: int, extent: int) -> int:
    """The chunk edge near `edge` that divides the input's chunks, `along` the same extent, or is whole ones: then a tile decodes no part.

    >>> [aligned(2048, along, 9000) for along in (1, 500, 1000, 1500, 2048, 3000, 4096, 6000)]
    [2048, 2000, 2000, 1500, 2048, 3000, 2048, 2000]
    >>> aligned(2048, 5000, 9000), aligned(700, 500, 700)
    (2500, 700)
    """
    if edge >= extent:
        return edge
    if along <= edge:
        return min(extent, round(edge / along) * along)
    pieces = round(along / edge)
    return along // pieces if along % pieces == 0 else edge


def depths(problem: Problem) -> list[int]:
    """Slab depths to try, deepest first: all of k, whole chunks of both operands, and plain powers of two."""
    k = problem.k
    chunks = [min(problem.a.chunks[1], k), min(problem.b.chunks[0], k)]
    aligned = {step << doubling for step in (*chunks, lcm(*chunks)) if step > 32 for doubling in range(6)}
    return sorted({k, *(depth for depth in aligned | set(_DEPTHS) if depth < k)}, reverse=True)


def outputs(job: Job, shape: tuple[int, int], dtype: str, along: tuple[int, int] = (1, 1)) -> Iterator[OutputSpec]:
    """Ways to store the product, largest chunks first, aligned with the inputs' chunks `along` m and n."""
    m, n = shape
    codec = resolve_codec(job.codec).name  # the default one stands in until the data have chosen
    rows, cols = job.chunk or map(aligned, default_chunks(shape, np.dtype(dtype).itemsize), along, shape)
    if job.shard:
        (rows, high), (cols, wide) = (in_shard(*sizes) for sizes in zip(shape, job.shard, (rows, cols), strict=True))
        yield OutputSpec(shape=shape, dtype=dtype, chunks=(rows, cols), codec=codec, shard=(high, wide))
        return
    rows, cols = min(rows, m), min(cols, n)
    while True:
        yield OutputSpec(shape=shape, dtype=dtype, chunks=(rows, cols), codec=codec, sealed=job.seal is not None, remote=is_url(job.out))
        if job.chunk or max(rows, cols) <= _SMALLEST_EDGE:
            return
        rows, cols = max(ceil(rows / 2), min(rows, _SMALLEST_EDGE)), max(ceil(cols / 2), min(cols, _SMALLEST_EDGE))


def in_shard(extent: int, shard: int, chunk: int) -> tuple[int, int]:
    """Edges of chunk and shard: the divisor of the shard's that is nearest to the chunk's; whole chunks where one shard spans all.

    >>> in_shard(10_000, 4096, 1500), in_shard(10_000, 4096, 512), in_shard(1000, 4096, 512)
    ((2048, 4096), (512, 4096), (512, 1024))
    """
    if shard >= extent:
        chunk = min(chunk, extent)
        return chunk, ceil(extent / chunk) * chunk
    small = [divisor for divisor in range(1, isqrt(shard) + 1) if shard % divisor == 0]
    divisors = small + [shard // divisor for divisor in small]
    return min(divisors, key=lambda divisor: max(divisor / chunk, chunk / divisor)), shard


def parts_for(job: Job, problem: Problem, group: Candidate) -> list[int]:
    """Into how many parts of k each of the group's tiles may be cut, fewest first; none where so few tiles cannot be cut."""
    least = ceil(group.workers / group.tiles)
    if not may_be_cut(job, problem):
        return [1] if least == 1 else []
    k, (rows, cols) = group.shape[1], (group.tile.rows, group.tile.cols)
    most, cheap = max(1, k // LEAST_DEPTH), PARTS_SHARE * k * (rows + cols) / (rows * cols)
    even = group.workers // gcd(group.tiles, group.workers)
    whole = problem.flops / group.layout.rates.flops[group.arithmetic.name]
    steps = ceil(whole / group.tiles / least / SHORT_STEP) if group.tiles < STEPS * group.workers else 1
    more = {even, *(least << doubling for doubling in range(1, (steps - 1).bit_length() + 1))}
    return sorted(parts for parts in {least, *(parts for parts in more if parts <= cheap)} if parts <= most)


def may_be_cut(job: Job, problem: Problem) -> bool:
    """Whether tiles may be summed up in parts of k.

    NaN in B must be known before the first slab is probed, and a part knows only its own; of what is mostly zero, parts would be uneven.
    """
    return not (job.allow_nonfinite or problem.sparse)


def crews(job: Job, hardware: Hardware, most_tiles: int) -> list[tuple[Layout, int]]:
    """Layouts with every worker, then with fewer; as many as the job asks for, but never more than there can be tiles.

    Workers that are asked for get a layout that was measured with so many, lest their threads share cores; more than any has get the
    one with most workers.
    """
    if job.workers:
        count, most = min(job.workers, most_tiles), max(layout.workers for layout in hardware.layouts)
        return [(layout, count) for layout in hardware.layouts if layout.workers >= min(count, most)]
    pairs: list[tuple[Layout, int]] = []
    for layout in hardware.layouts:
        counts = {max(1, layout.workers >> halving) for halving in range(layout.workers.bit_length())}
        pairs += [(layout, count) for count in sorted(counts, reverse=True)]
    return pairs
