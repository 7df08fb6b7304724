"""Writing blocks of the result: each chunk padded, encoded, written aside and renamed into place.

    block (any strides) --copy, pad--> one chunk, contiguous --compress--> body --> temporary file [body | crc32c] --> rename

A chunk that is whole and contiguous in the block is compressed where it stands. A chunk that holds only the fill value is
written like any other: absence is never an answer.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from storage.buffers import borrow
from storage.chain import crc32c
from storage.codecs import GOALS, suffix
from storage.grid import Piece, pieces
from storage.matrix import Block
from storage.output import OutputSpec
from storage.record import ChunkRecord, digest
from storage.staging import Staging, taken_over
from storage.sync import replace_file, sync_folder, write_error


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What writing one block took."""

    records: tuple[ChunkRecord, ...]
    """One for each chunk, in the order of the grid."""
    encode_seconds: float
    """Padding, compressing, checksums, hashes."""
    write_seconds: float
    """Files, renames, syncs."""

    @property
    def nbytes(self) -> int:
        """Bytes stored."""
        return sum(record.nbytes for record in self.records)


def chunk_buffer_bytes(spec: OutputSpec) -> int:
    """Upper bound in bytes of what one thread holds beside the block while it writes: a padded chunk and its encoding."""
    codec, nbytes = spec.compression, spec.chunk_bytes
    return nbytes + codec.max_encoded_bytes(nbytes) + codec.working_bytes(nbytes)


def write_block(staging: Staging, row0: int, col0: int, block: Block) -> WriteResult:
    """Write a block whose first element is (row0, col0) of the result and whose edges lie on the chunk grid or the array's edge.

    When it returns, the chunks are in the staging array, durable as the staging asks. Writing a block again replaces its chunks.
    Raises DiskFull where there is no room, TakenOver where the folder is gone, GemmflowError where the system refuses, ValueError
    where the block does not fit the grid.
    """
    if staging.spec.codec in GOALS:
        raise ValueError(f"codec {staging.spec.codec} names no row: settle it before writing")
    rows, cols = _checked(staging.spec, row0, col0, block)
    records: list[ChunkRecord] = []
    seconds = [0.0, 0.0]
    try:
        for piece in pieces(rows, cols, staging.spec.chunks):
            _write_chunk(staging, block[piece.target], piece, records, seconds)
        begin = time.perf_counter()
        for folder in _folders(staging, rows):
            sync_folder(folder)
        seconds[1] += time.perf_counter() - begin
    except FileNotFoundError as error:
        raise taken_over(staging) from error
    except OSError as error:
        raise write_error(staging.array, error) from error
    return WriteResult(tuple(records), seconds[0], seconds[1])


def _write_chunk(staging: Staging, region: Block, piece: Piece, records: list[ChunkRecord], seconds: list[float]) -> None:
    begin = time.perf_counter()
    chunk = _whole_chunk(staging.spec, region)
    values = digest(chunk)
    body = staging.spec.compression.compress(chunk)
    checksum = crc32c(body)
    encoded = values if staging.spec.compression.chain.in_place else digest(body)
    done = time.perf_counter()
    key, end = f"c/{piece.chunk[0]}/{piece.chunk[1]}", suffix(checksum)
    replace_file(f"{staging.array}/{key}", (body, end), staging.durability == "power")
    seconds[0] += done - begin
    seconds[1] += time.perf_counter() - done
    records.append(ChunkRecord(key, body.size + len(end), checksum, encoded, values))


def _whole_chunk(spec: OutputSpec, region: Block) -> Block:
    """Return the chunk as it is stored: the region itself where it is whole and contiguous, else a padded copy of it."""
    if region.shape == spec.chunks and region.flags.c_contiguous and region.dtype == spec.stored:
        return region
    height, width = region.shape
    padded = borrow("padded", spec.chunk_bytes).view(spec.stored).reshape(spec.chunks)
    padded[:height, :width] = region
    padded[height:, :] = spec.fill
    padded[:height, width:] = spec.fill
    return padded


def _folders(staging: Staging, rows: slice) -> Iterator[str]:
    """Name the folders that must be synced for the block's renames to survive a power loss."""
    if staging.durability == "power":
        edge = staging.spec.chunks[0]
        for row in range(rows.start // edge, -(-rows.stop // edge)):
            yield f"{staging.array}/c/{row}"


def _checked(spec: OutputSpec, row0: int, col0: int, block: Block) -> tuple[slice, slice]:
    if block.ndim != 2 or block.dtype != np.dtype(spec.dtype):
        raise ValueError(f"the block is {block.ndim}-d of {block.dtype}: the result is 2-d of {spec.dtype}")
    spans = slice(row0, row0 + block.shape[0]), slice(col0, col0 + block.shape[1])
    for span, edge, length in zip(spans, spec.chunks, spec.shape, strict=True):
        on_grid = span.start % edge == 0 and (span.stop % edge == 0 or span.stop == length)
        if not (0 <= span.start < span.stop <= length and on_grid):
            raise ValueError(f"block edges {span.start}..{span.stop} are not on the grid of {edge} within 0..{length}")
    return spans
