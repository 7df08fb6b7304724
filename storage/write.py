"""Writing blocks of the result: each chunk padded, encoded, written aside and renamed into place.

    block (any strides) --copy, pad--> one chunk, contiguous --compress--> body --> temporary file [body | crc32c] --> rename

A file is synced while later ones are encoded (behind). A chunk that is whole and contiguous in the block is compressed where it
stands. A chunk that holds only the fill value is written like any other: absence is never an answer. A shard is one file of many
chunks, each written as soon as it is encoded, the index last; it is never read and never changed. Only chunks wholly beyond the
array's edge, without an element, are left out. In a sealed result body and checksum are encrypted before they reach a file (seal).
"""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from storage.behind import BUFFER_BYTES, WriteBehind, waiting_bytes
from storage.buffers import borrow
from storage.chain import crc32c
from storage.codecs import GOALS, suffix
from storage.envelope import sealing_bytes
from storage.files import Bytes
from storage.grid import Piece, pieces
from storage.matrix import Block
from storage.object_files import seal_parts
from storage.output import OutputSpec
from storage.record import ChunkRecord, ValuesDigest, digest, values_digest
from storage.shard import INDEX_COPIES, Filling
from storage.staging import Staging, taken_over
from storage.sync import sync_folder, write_error

TURNED_COLUMNS = 16
"""Columns that are copied at a time of a block stored by columns: all at once would take twice as long."""


class Elements(Protocol):
    """A block that gives its parts when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        ...

    @property
    def dtype(self) -> np.dtype[np.number]:
        """Element type of the parts."""
        ...

    def __getitem__(self, part: tuple[slice, slice], /) -> Block:
        """The elements of some rows and columns."""
        ...


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What writing one block took."""

    records: tuple[ChunkRecord, ...]
    """One for each file, in the order of the grid."""
    encode_seconds: float
    """Padding, compressing, checksums, hashes, sealing."""
    write_seconds: float
    """Files, renames, syncs."""

    @property
    def nbytes(self) -> int:
        """Bytes stored, as they are before sealing."""
        return sum(record.nbytes for record in self.records)


def chunk_buffer_bytes(spec: OutputSpec) -> int:
    """Upper bound in bytes of what one thread holds beside the block while it writes.

    A padded chunk, its encoding, that sealed, or that in one piece on its way to an object store, and what waits for a disk.
    """
    codec, nbytes = spec.compression, spec.chunk_bytes
    index = INDEX_COPIES * spec.shards.index_bytes if spec.shards else 0
    encoded = codec.max_encoded_bytes(nbytes)
    sealing = sealing_bytes(encoded) if spec.sealed else 0
    sending = encoded if spec.remote else 0
    waiting = 0 if spec.remote else waiting_bytes(BUFFER_BYTES if spec.shard else encoded + sealing)
    return nbytes + encoded + codec.working_bytes(nbytes) + index + sealing + sending + waiting


def write_block(staging: Staging, row0: int, col0: int, block: Block | Elements) -> WriteResult:
    """Write a block whose first element is (row0, col0) of the result and whose edges lie on the grid of files or the array's edge.

    One chunk is asked of it at a time. When the call returns, the chunks are in the staging array, durable as the staging asks.
    Writing a block again replaces its files.
    Raises DiskFull where there is no room, TakenOver where the folder is gone, GemmflowError where the system refuses, ValueError
    where the block does not fit the grid.
    """
    if staging.spec.codec in GOALS:
        raise ValueError(f"codec {staging.spec.codec} names no row: settle it before writing")
    rows, cols = checked_spans(staging.spec, row0, col0, block)
    writing = _Writing(staging, block)
    try:
        writing.files(rows, cols)
        with writing.timed("write"):
            for folder in _folders(staging, rows):
                sync_folder(folder)
    except FileNotFoundError as error:
        raise taken_over(staging) from error
    except OSError as error:
        raise write_error(staging.array, error) from error
    return writing.result()


class _Writing:
    """One block on its way to its files, and the time that it takes."""

    def __init__(self, staging: Staging, block: Block | Elements) -> None:
        self._staging, self._block = staging, block
        self._records: list[ChunkRecord] = []
        self._seconds = {"encode": 0.0, "write": 0.0}

    def files(self, rows: slice, cols: slice) -> None:
        """Write all of them; they are in place when it returns."""
        spec = self._staging.spec
        write = self._shard if spec.shard else self._chunk
        with WriteBehind(self._staging.durability == "power") as behind:
            for piece in pieces(rows, cols, spec.objects):
                write(behind, piece)
            with self.timed("write"):
                behind.settle()

    def result(self) -> WriteResult:
        """What it took."""
        return WriteResult(tuple(self._records), self._seconds["encode"], self._seconds["write"])

    @contextmanager
    def timed(self, lane: str) -> Generator[None]:
        """Count the time of the block within."""
        begin = time.perf_counter()
        yield
        self._seconds[lane] += time.perf_counter() - begin

    def _chunk(self, behind: WriteBehind, piece: Piece) -> None:
        with self.timed("encode"):
            record, encoded = encode_chunk(self._staging.spec, self._block, piece)
            parts = seal_parts(self._staging.seal, record.key, encoded)
        with self.timed("write"), behind.replacing(self._path(record.key)) as file:
            file.append(parts)
        self._records.append(record)

    def _shard(self, behind: WriteBehind, piece: Piece) -> None:
        spec, key = self._staging.spec, f"c/{piece.chunk[0]}/{piece.chunk[1]}"
        assert spec.shards is not None
        filling, values = Filling(spec.shards), ValuesDigest()
        height, width = (span.stop - span.start for span in piece.target)
        with behind.replacing(self._path(key)) as file:
            for inner in pieces(slice(0, height), slice(0, width), spec.chunks):
                with self.timed("encode"):
                    chunk = _whole_chunk(spec, self._block[_within(piece, inner)])
                    values.update(chunk)
                    body = spec.compression.compress(chunk)
                    parts = body, suffix(crc32c(body))
                    filling.add(inner.chunk, parts)
                with self.timed("write"):
                    file.append(parts)
            file.append(filling.end())
        self._records.append(ChunkRecord(key, filling.nbytes, filling.crc32c, filling.hash.hexdigest(), values.hexdigest()))

    def _path(self, key: str) -> str:
        return f"{self._staging.array}/{key}"


def encode_chunk(spec: OutputSpec, block: Block | Elements, piece: Piece) -> tuple[ChunkRecord, tuple[Bytes, bytes]]:
    """The record of a chunk and the parts of its file; they are valid until the thread encodes the next one."""
    chunk = _whole_chunk(spec, block[piece.target])
    values = values_digest(chunk)
    body = spec.compression.compress(chunk)
    checksum = crc32c(body)
    key, end = f"c/{piece.chunk[0]}/{piece.chunk[1]}", suffix(checksum)
    return ChunkRecord(key, body.size + len(end), checksum, digest(body), values), (body, end)


def encoded_bytes(spec: OutputSpec, block: Block) -> int:
    """Bytes of the file of the first chunk of a block at the origin, which is encoded, hashed and forgotten."""
    piece = next(pieces(slice(0, block.shape[0]), slice(0, block.shape[1]), spec.chunks))
    return encode_chunk(spec, block, piece)[0].nbytes


def _within(piece: Piece, inner: Piece) -> tuple[slice, slice]:
    """Rows and columns of a part of a piece, counted in the block."""
    rows, cols = (slice(outer.start + part.start, outer.start + part.stop) for outer, part in zip(piece.target, inner.target, strict=True))
    return rows, cols


def _whole_chunk(spec: OutputSpec, region: Block) -> Block:
    """Return the chunk as it is stored: the region itself where it is whole and contiguous, else a padded copy of it."""
    if region.shape == spec.chunks and region.flags.c_contiguous and region.dtype == spec.stored:
        return region
    height, width = region.shape
    padded = borrow("padded", spec.chunk_bytes).view(spec.stored).reshape(spec.chunks)
    step = TURNED_COLUMNS if region.strides[0] < region.strides[1] else width
    for first in range(0, width, step):
        part = slice(first, min(first + step, width))
        padded[:height, part] = region[:, part]
    padded[height:, :] = spec.fill
    padded[:height, width:] = spec.fill
    return padded


def _folders(staging: Staging, rows: slice) -> Iterator[str]:
    """Name the folders that must be synced for the block's renames to survive a power loss."""
    if staging.durability == "power":
        edge = staging.spec.objects[0]
        for row in range(rows.start // edge, -(-rows.stop // edge)):
            yield f"{staging.array}/c/{row}"


def checked_spans(spec: OutputSpec, row0: int, col0: int, block: Block | Elements) -> tuple[slice, slice]:
    """Rows and columns of a block; raises ValueError where it does not fit the grid."""
    if len(block.shape) != 2 or block.dtype != np.dtype(spec.dtype):
        raise ValueError(f"the block is {len(block.shape)}-d of {block.dtype}: the result is 2-d of {spec.dtype}")
    spans = slice(row0, row0 + block.shape[0]), slice(col0, col0 + block.shape[1])
    for span, edge, length in zip(spans, spec.objects, spec.shape, strict=True):
        on_grid = span.start % edge == 0 and (span.stop % edge == 0 or span.stop == length)
        if not (0 <= span.start < span.stop <= length and on_grid):
            raise ValueError(f"block edges {span.start}..{span.stop} are not on the grid of {edge} within 0..{length}")
    return spans
