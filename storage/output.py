"""What is written and where: the geometry of a result and the staging folder that holds it until it is published.

    parent/OUT                       the result, old or absent until publish
    parent/OUT.gemmflow-RUN/         the staging folder, on the same file system
        array/zarr.json, array/c/..  the new result as it grows
        journal                      which tiles are durable

Readers of OUT see nothing of it: publish exchanges the two in one step.
"""

import errno
import math
import os
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

import numpy as np

from storage.codecs import LARGEST_CHUNK_BYTES, Codec, resolve_codec
from storage.errors import BadInput, Refused
from storage.grid import grid_shape
from storage.journal import Journal
from storage.matrix import ACCEPTED
from storage.shard import Shards
from storage.sync import sync_folder, write_error

Durability = Literal["power", "process"]

MARK = ".gemmflow-"
"""Between the name of OUT and the run id."""
PROBE = f"{MARK}probe-"
"""Of folders that live for a moment, to ask the file system what it can do."""

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
    """Row of CODECS, or auto."""
    shard: tuple[int, int] | None = None
    """Edges in elements of what one file holds, whole multiples of the chunk's; None: a file for each chunk."""

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
        resolve_codec(self.codec)

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

    @property
    def compression(self) -> Codec:
        """The codec itself."""
        return resolve_codec(self.codec)


@dataclass(frozen=True)
class Staging:
    """Where a run writes: all that a worker needs to write blocks."""

    folder: str
    """Absolute path of the staging folder."""
    array: str
    """Absolute path of the array in it."""
    out: str
    """Absolute path of the result, symbolic links resolved."""
    spec: OutputSpec
    """What is written."""
    durability: Durability
    """power: a written block survives a power loss; process: it survives the death of the process."""

    @property
    def journal(self) -> str:
        """Absolute path of the journal."""
        return f"{self.folder}/journal"


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


def create_staging(out: Path, spec: OutputSpec, durability: Durability, run_id: str) -> Staging:
    """Make the staging folder of a run beside OUT, with the metadata of the array, its folders and an empty journal.

    Raises BadInput where the parent folder is missing or read-only, Refused where the run has a staging folder already,
    DiskFull where the file system has no room for it.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", run_id):
        raise ValueError(f"run id {run_id!r} must be 1 to 64 letters, digits, dots, dashes or underscores")
    place = require_parent(out)
    folder = place.parent / f"{place.name}{MARK}{run_id}"
    staging = Staging(str(folder), str(folder / "array"), str(place), spec, durability)
    try:
        folder.mkdir()
        _fill_staging(staging)
    except FileExistsError as error:
        raise Refused(f"{folder} exists: run {run_id} was started before; remove the folder or give another run id") from error
    except OSError as error:
        raise parent_error(place, error) from error
    return staging


def preload() -> None:
    """Import what `create_staging` needs, which takes a third of a second, while there is time."""
    import_module("zarr")


def staging_folders(out: Path) -> list[Path]:
    """Staging folders beside OUT, those of running and of ended runs, sorted by run id; none where the folder cannot be read."""
    place = Path(os.path.realpath(out.expanduser()))
    try:
        with os.scandir(place.parent) as entries:
            found = [entry.name for entry in entries if entry.name.startswith(f"{place.name}{MARK}") and entry.is_dir()]
    except OSError:
        return []
    return [place.parent / name for name in sorted(found) if not name.startswith(f"{place.name}{PROBE}")]


def require_parent(out: Path) -> Path:
    """Return OUT with links resolved; raises BadInput where its folder is none."""
    place = Path(os.path.realpath(out.expanduser()))
    if not place.parent.is_dir():
        if place.parent.exists():
            raise BadInput(f"{place.parent} is not a folder: choose another place")
        raise BadInput(f"the folder {place.parent} does not exist: create it")
    return place


def parent_error(place: Path, error: OSError) -> Exception:
    """Translate what the system says when something is made beside OUT."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return BadInput(f"the folder {place.parent} cannot be written ({error.strerror}): choose another place or change its permissions")
    return write_error(place.parent, error)


def _fill_staging(staging: Staging) -> None:
    import zarr  # noqa: PLC0415  workers write chunks without it

    spec = staging.spec
    zarr.create_array(
        store=staging.array,
        shape=spec.shape,
        chunks=spec.chunks,
        shards=spec.shard,
        dtype=spec.dtype,
        compressors=spec.compression.bytes_codecs(spec.stored.itemsize),
        fill_value=spec.fill,
        zarr_format=3,
    )
    for row in range(spec.grid[0]):
        Path(staging.array, "c", str(row)).mkdir(parents=True, exist_ok=True)
    Journal.create(Path(staging.journal)).close()
    for path in (f"{staging.array}/c", staging.array, staging.folder, str(Path(staging.folder).parent)):
        sync_folder(path)
