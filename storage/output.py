"""What is written: shape, element type, chunks and compression of a result."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from storage.codecs import LARGEST_CHUNK_BYTES, Codec, resolve_codec
from storage.errors import BadInput
from storage.grid import grid_shape
from storage.matrix import ACCEPTED
from storage.shard import Shards

LOWER = "lower triangle"
"""What a certificate calls the part that is stored where `OutputSpec.lower` is set."""

SMALLEST_CHUNK_BYTES = 4 << 20
USUAL_CHUNK_BYTES = 16 << 20


@dataclass(frozen=True)
class OutputSpec:
    """The array that is written: its shape, element type, chunks and compression."""

    shape: tuple[int, int]
    """Rows and columns."""
    dtype: str
    """NumPy name of the element type; stored little endian."""
    chunks: tuple[int, int]
    """Edges of a chunk in elements."""
    codec: str
    """Row of CODECS, or one of GOALS until the data have chosen."""
    shard: tuple[int, int] | None = None
    """Edges in elements of what one file holds, whole multiples of the chunk's; None: a file for each chunk."""
    sealed: bool = False
    """Whether every file is encrypted; shards are not."""
    remote: bool = False
    """Whether chunks go to an object store, each in one piece."""
    lower: bool = False
    """Whether files wholly above the diagonal are left out, the array being symmetric: they read as the fill value."""

    def __post_init__(self) -> None:
        if self.stored not in ACCEPTED:
            raise BadInput(f"results of {self.dtype} cannot be stored: choose float16/32/64 or (u)int8/16/32/64")
        if min(self.shape) < 1 or min(self.chunks) < 1:
            raise BadInput(f"shape {self.shape} and chunks {self.chunks} must be at least 1 in both directions")
        if self.chunk_bytes > LARGEST_CHUNK_BYTES:
            raise BadInput(
                f"chunks {self.chunks} of {self.dtype} have {self.chunk_bytes} bytes: at most {LARGEST_CHUNK_BYTES} can be encoded"
            )
        if self.shard and (min(self.shard) < 1 or any(edge % chunk for edge, chunk in zip(self.shard, self.chunks, strict=True))):
            raise BadInput(f"shard {self.shard} must be whole multiples of chunks {self.chunks} in both directions")
        if self.shard and self.sealed:
            raise BadInput("sealed results have no shards: leave out seal or shard")
        if self.lower and self.shape[0] != self.shape[1]:
            raise BadInput(f"a product of {self.shape[0]} x {self.shape[1]} has no triangle: store it full")
        if self.lower and self.stored.kind != "f":
            raise BadInput(
                f"a triangle of {self.dtype} cannot be stored: what is left out would read as 0, which may be a value, and not as NaN; "
                "give --store full or --dtype-out float64"
            )
        resolve_codec(self.codec).require(self.stored)

    @property
    def stored(self) -> np.dtype[np.number]:
        """Element type as stored."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def fill(self) -> float | int:
        """What a missing chunk reads as: NaN where the type has it, so that a lost chunk is never a plausible number."""
        return math.nan if self.stored.kind == "f" else 0

    @property
    def chunk_bytes(self) -> int:
        """Decoded bytes of one chunk, padding included."""
        return self.chunks[0] * self.chunks[1] * self.stored.itemsize

    @property
    def objects(self) -> tuple[int, int]:
        """Edges in elements of what one file holds: a shard, or a chunk where there are none."""
        return self.shard or self.chunks

    @property
    def shards(self) -> Shards | None:
        """How the shards are laid out; None where there are none."""
        return Shards(self.shard, self.chunks) if self.shard else None

    @property
    def grid(self) -> tuple[int, int]:
        """Files along rows and columns."""
        return grid_shape(self.shape, self.objects)

    def holds(self, row: int, col: int) -> bool:
        """Whether the file at a place of `grid` is written: all are, or those with an element on or below the diagonal."""
        (height, width), rows = self.objects, self.shape[0]
        return not self.lower or min((row + 1) * height, rows) > col * width

    @property
    def places(self) -> list[tuple[int, int]]:
        """Places of all files that are written, in the order of the grid."""
        rows, cols = self.grid
        return [(row, col) for row in range(rows) for col in range(cols) if self.holds(row, col)]

    @property
    def keys(self) -> list[str]:
        """Keys of all files that are written, in the order of the grid."""
        return [f"c/{row}/{col}" for row, col in self.places]

    @property
    def elements(self) -> int:
        """Elements that are written, without padding."""
        (rows, cols), (height, width) = self.shape, self.objects
        if not self.lower:
            return rows * cols
        stops = np.minimum(np.arange(height, rows + height, height), rows)
        held = np.minimum(-(-stops // width) * width, cols)
        return int((np.diff(stops, prepend=0) * held).sum())

    @cached_property
    def nbytes(self) -> int:
        """Bytes that are written, before compression."""
        return self.elements * self.stored.itemsize

    @property
    def compression(self) -> Codec:
        """The codec itself; the default one while the data have not chosen."""
        return resolve_codec(self.codec)


def default_chunks(shape: tuple[int, int], itemsize: int) -> tuple[int, int]:
    """Near-square chunk of 4 to 16 MiB with power-of-two edges, cut to the shape: `default_chunks((9000, 9000), 4) => (2048, 2048)`.

    Where one edge is cut, the other grows by powers of two until the chunk has 4 MiB or covers the matrix.
    """
    edge = 1 << (math.isqrt(USUAL_CHUNK_BYTES // itemsize).bit_length() - 1)
    edges = [min(edge, shape[0]), min(edge, shape[1])]
    for axis in (0, 1):
        while math.prod(edges) * itemsize < SMALLEST_CHUNK_BYTES and edges[axis] < shape[axis]:
            edges[axis] = min(2 * edges[axis], shape[axis])
    return edges[0], edges[1]
