"""What one worker holds, item by item, in bytes: the budget's arithmetic.

Everything that a worker allocates has a line here; the run uses these same sizes to allocate, and a test compares the sum
with the resident memory that the operating system reports.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

import numpy as np

from storage import CODECS, OutputSpec, chunk_buffer_bytes, waiting_bytes
from tasks.adding_up import codec_of_sums
from tasks.arithmetic import Arithmetic
from tasks.candidate import Candidate
from tasks.compression import sample_bytes
from tasks.plan import TileShape
from tasks.probes import SIGNS
from tasks.survey import Operand, Problem

PROBE_BLOCK = 1 << 18
"""Elements that the verifier converts to float64 at a time: few enough for a cache, and enough to be worth a call."""

DEVICE_BLOCK = 1 << 22
"""The same on an accelerator, where a block must be worth its launch."""

PROBED_COLUMNS = 4
"""Tile columns of which a worker keeps what it has found of B, lest it probe a slab again that it reads again."""

MOST_PROBED = 32 << 20
"""Bytes that this may take."""

PROBE_GROUP = 12
"""Vectors that the verifier multiplies at a time: BLAS's AVX2 kernels hold so many columns in registers, and MKL takes 2.5 times as
long for 11 as for 12."""

PRODUCT_ROWS = 1024
"""Rows of a slab product that is held apart before it is added to the accumulator."""

STRIP_BYTES = 16 << 20
"""Of a partial sum that goes to a file, or comes from one, at a time."""

HEADROOM = 12 << 20
"""Allocator slack, messages and small objects of one worker, beyond what scales with the tile."""

DEVICE_HEADROOM = 128 << 20
"""An allowance that no device has confirmed yet: for what libraries keep there, and for what torch rounds its buffers up to."""

ITEMSIZE = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "int32": 4}


@dataclass(frozen=True)
class TileMemory:
    """What a worker needs for its tiles, besides its own interpreter and libraries."""

    host: dict[str, int]
    device: dict[str, int]
    """Empty on the CPU: everything is on the host."""

    @property
    def host_bytes(self) -> int:
        """Sum over the host's items."""
        return sum(self.host.values())

    @property
    def device_bytes(self) -> int:
        """Sum over the device's items."""
        return sum(self.device.values())


def tile_memory(problem: Problem, way: Candidate) -> TileMemory:
    """Bytes that one worker allocates to compute this candidate's tiles."""
    working = _slabs(problem, way) | _arithmetic(problem, way) | _verifier(way)
    staging = _input(problem, way.hands) | _output(problem, way) | _partial_sums(way) | {"headroom": HEADROOM}
    if way.device == "cpu":
        return TileMemory(working | staging, {})
    pinned = _block_bytes(problem.a, way.tile.rows, way.tile.depth) + _block_bytes(problem.b, way.tile.depth, way.tile.cols)
    return TileMemory(staging | {"pinned staging": pinned}, working | _passing(problem, way) | {"libraries": DEVICE_HEADROOM})


def _slabs(problem: Problem, way: Candidate) -> dict[str, int]:
    spares = spare_slabs(way.device, way.grid[2])
    return {
        "slabs of A": (way.slots[0] + spares) * _block_bytes(problem.a, way.tile.rows, way.tile.depth),
        "slabs of B": (way.slots[1] + spares) * _block_bytes(problem.b, way.tile.depth, way.tile.cols),
    }


def spare_slabs(device: str, slabs: int) -> int:
    """Buffers of each operand beside its slots, for panels of so many slabs: a device multiplies while the host reads the next one."""
    return int(device != "cpu" and slabs > 1)


def _arithmetic(problem: Problem, way: Candidate) -> dict[str, int]:
    row, tile, types = way.arithmetic, way.tile, (problem.a.dtype, problem.b.dtype)
    elements = (tile.rows * tile.depth, tile.depth * tile.cols)
    converted = sum(size for size, dtype in zip(elements, types, strict=True) if row.converts(dtype))
    wide = max(block_elements(way.device, way.layout.threads), tile.rows, tile.depth, tile.cols) if converted else 0
    lines = tile.rows + tile.cols if any(map(row.scales, types)) else 0
    return {
        "accumulator": tile.rows * tile.cols * ITEMSIZE[row.accumulate],
        "converted slabs": row.slices * converted * ITEMSIZE[row.stored_as] + 8 * (wide + 4 * lines),
        "slab product": strip_elements(row, types, tile) * ITEMSIZE[row.block_output[way.device]] + (8 * wide if lines else 0),
    }


def strip_elements(row: Arithmetic, inputs: tuple[str, str], tile: TileShape) -> int:
    """Elements of a product that is held apart: none where the library adds to the accumulator itself, and no factors come between."""
    return min(tile.rows, PRODUCT_ROWS) * tile.cols if row.block or any(map(row.scales, inputs)) else 0


def block_elements(device: str, threads: int) -> int:
    """Elements that pass in float64 at a time: as many as each thread's cache takes."""
    return PROBE_BLOCK * threads if device == "cpu" else DEVICE_BLOCK


def keeps_probed(k: int, tile_columns: int, probes: int) -> bool:
    """Whether a worker keeps B G of every slab and tile column when slabs of B go."""
    return tile_columns <= PROBED_COLUMNS and _probed_bytes(k, probes) > 0


def _probed_bytes(k: int, probes: int) -> int:
    """Counted whatever the tile is: no larger tile needs less."""
    needed = 8 * k * PROBED_COLUMNS * padded_probes(probes + SIGNS)
    return needed if needed <= MOST_PROBED else 0


def padded_probes(probes: int) -> int:
    """Columns that the verifier's products have: whole groups."""
    return -(-probes // PROBE_GROUP) * PROBE_GROUP


def _verifier(way: Candidate) -> dict[str, int]:
    tile, columns = way.tile, padded_probes(way.probes + SIGNS)
    lines = tile.cols + 4 * tile.rows + (way.slots[1] + 2) * tile.depth + max(tile.cols, tile.depth)
    vectors = columns * lines + (2 * way.slots[0] + 5) * tile.rows + 2 * tile.depth
    return {
        "verifier": _probed_bytes(way.shape[1], way.probes)
        + 8 * (vectors + block_elements(way.device, way.layout.threads) + max(tile.cols, tile.rows, tile.depth))
    }


def _partial_sums(way: Candidate) -> dict[str, int]:
    """A strip, or the rest, on its way: as bytes, hashed or sealed, as values, and before the disk; and what compresses it."""
    if way.parts == 1:
        return {}
    itemsize = ITEMSIZE[way.arithmetic.accumulate]
    rows = min(way.tile.rows, strip_rows(way.tile.cols, itemsize))
    rest = 8 * (way.probes + SIGNS + 1) * way.tile.rows
    strip, codec = rows * way.tile.cols * itemsize, CODECS[codec_of_sums(way)]
    packing = 0 if codec.name == "none" else codec.max_encoded_bytes(strip) + codec.working_bytes(strip)
    return {"partial sums": 4 * max(strip, rest) + waiting_bytes(STRIP_BYTES) + packing}


def strip_rows(cols: int, itemsize: int) -> int:
    """Rows of a partial sum that go through a file at a time."""
    return max(1, STRIP_BYTES // (cols * itemsize))


def _input(problem: Problem, hands: int) -> dict[str, int]:
    matrices = [problem.a.matrix, problem.b.matrix] + ([problem.add] if problem.add is not None else [])
    staying = sum(matrix.scratch_bytes for matrix in matrices if matrix.one_file)  # decoders stay where they were
    return {"input decoding": staying + max((matrix.scratch_bytes for matrix in matrices if not matrix.one_file), default=0) * hands}


def _output(problem: Problem, way: Candidate) -> dict[str, int]:
    elements = prod(way.output.chunks)
    as_it_stands = way.output.dtype == way.arithmetic.accumulate and way.device == "cpu"
    epilogue = 0 if as_it_stands else elements * (ITEMSIZE[way.arithmetic.accumulate] + np.dtype(way.output.dtype).itemsize)
    added = elements * (problem.add.dtype.itemsize + 8) if problem.add is not None else 0
    return {"output encoding": (_encoding(way.output, way.settles) + epilogue) * way.hands + added}


def _passing(problem: Problem, way: Candidate) -> dict[str, int]:
    """On a device: a chunk of C for each hand, as it is stored, and one of C0, as it is and as it is added."""
    added = problem.add.dtype.itemsize + ITEMSIZE[way.arithmetic.accumulate] if problem.add is not None else 0
    return {"chunks on their way": prod(way.output.chunks) * (np.dtype(way.output.dtype).itemsize * way.hands + added)}


@lru_cache(maxsize=64)
def _encoding(output: OutputSpec, settles: tuple[str, ...]) -> int:
    """Of the codec that needs most, where the data will choose it, beside the samples of the choice."""
    if not settles:
        return chunk_buffer_bytes(output)
    return max(chunk_buffer_bytes(replace(output, codec=name)) for name in settles) + sample_bytes(output)


def _block_bytes(operand: Operand, rows: int, cols: int) -> int:
    return rows * cols * operand.matrix.dtype.itemsize
