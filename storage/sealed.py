"""Sealed arrays as a source: each chunk read, unsealed and decoded straight into the caller's memory.

    chunk file --readinto--> sealed bytes --unseal--> encoded bytes --decode--> the chunk's place in `out`, or copied there

What travels to workers is how the array is stored and its seal; each process finds the key by its name. A sealed array has every
one of its chunks: one that is missing was removed, and is damage, never a fill value.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from storage.buffers import borrow
from storage.chain import Undecodable
from storage.envelope import sealing_bytes
from storage.errors import BadInput
from storage.files import Bytes, as_bytes
from storage.folder import LocalFolder, Small
from storage.grid import Piece, pieces
from storage.matrix import Block, Matrix
from storage.object_files import SEALED_NAMES, object_file, overhead, unseal, unseal_file
from storage.seal import SEAL_FILES, Seal, read_seal
from storage.zarr_header import open_thin
from storage.zarr_thin import ThinZarr, corrupt

_HEADER = "zarr.json"


@dataclass(frozen=True)
class SealedZarr:
    """The elements of a sealed local Zarr array."""

    plain: ThinZarr
    """How the array is stored under its seal."""
    seal: Seal
    """What opens its objects, together with the user's key."""

    @property
    def scratch_bytes(self) -> int:
        """Upper bound in bytes of what one thread holds beside the caller's array."""
        return (
            self._buffer_bytes
            + self.plain.folder.scratch_bytes
            + sealing_bytes(self._encoded_bytes)
            + self.plain.chain.working_bytes(self.plain.chunk_bytes)
        )

    @property
    def _encoded_bytes(self) -> int:
        """The largest sound object that holds a chunk."""
        return self.plain.chain.max_encoded_bytes(self.plain.chunk_bytes)

    @property
    def _buffer_bytes(self) -> int:
        """One decoded chunk and, behind it, the largest file that can hold one."""
        return self.plain.chunk_bytes + self._encoded_bytes + overhead(self.seal)

    def read_into(self, out: Block, rows: slice, cols: slice) -> int:
        """Fill `out` chunk by chunk; returns the bytes decoded. Raises CorruptData naming the chunk that is not what was sealed."""
        return sum(self._read_piece(out[piece.target], piece) for piece in pieces(rows, cols, self.plain.chunks))

    def fetch_ahead(self, rows: slice, cols: slice) -> None:
        """Let the system fetch the slice's files, as they are."""
        self.plain.fetch_ahead(rows, cols)

    def file_of(self, row: int, col: int) -> str:
        """The chunk's file, as it is."""
        return self.plain.file_of(row, col)

    def _read_piece(self, region: Block, piece: Piece) -> int:
        key = self.plain.keys.key(piece.chunk)
        buffer = borrow("read", self._buffer_bytes)
        try:
            stored = self._read_file(key, buffer[self.plain.chunk_bytes :])
            self._decode(unseal(self.seal, key, stored), region, piece, buffer[: self.plain.chunk_bytes])
        except FileNotFoundError as error:
            raise corrupt(self.plain.folder, key, "is missing, and a sealed array has every chunk") from error
        except Undecodable as error:
            raise corrupt(self.plain.folder, key, str(error)) from error
        except OSError as error:
            raise corrupt(self.plain.folder, key, f"cannot be read ({error.strerror})") from error
        return self.plain.chunk_bytes

    def _read_file(self, key: str, buffer: Bytes) -> Bytes:
        with self.plain.folder.opened(key) as file:
            size = file.size
            if size > buffer.size:
                raise Undecodable(f"has {size} bytes, more than any sealed encoding of {self.plain.chunk_bytes} decoded bytes")
            if file.read_at(buffer[:size], 0) < size:
                raise Undecodable(f"ended before its {size} bytes were read")
        return buffer[:size]

    def _decode(self, encoded: Bytes, region: Block, piece: Piece, scratch: Bytes) -> None:
        direct = region.shape == self.plain.chunks and region.flags.c_contiguous
        whole = region if direct else scratch.view(region.dtype).reshape(self.plain.chunks)
        self.plain.chain.decode(encoded, as_bytes(whole))
        if not np.dtype(self.plain.stored).isnative:
            whole.byteswap(inplace=True)
        if not direct:
            region[...] = whole[piece.inside]


def is_sealed(path: Path) -> bool:
    """Whether the path is a folder with the header of a sealed array, its copy, or sealed metadata."""
    return any((path / name).is_file() for name in (*SEAL_FILES, *SEALED_NAMES.values()))


def open_sealed(path: Path) -> Matrix:
    """Open a sealed array by its headers.

    Raises BadInput where its key is missing or another one, or its metadata are missing; CorruptData where they do not unseal.
    """
    seal = read_seal(path)
    file = object_file(path, _HEADER, seal)
    try:
        stored = LocalFolder(str(path)).read(file.name)
        raw = unseal_file(file, _HEADER, stored.content, seal)
    except FileNotFoundError as error:
        raise BadInput(f"{path} lost its {file.name}: restore it from a copy or compute the array again") from error
    except BadInput as error:
        raise BadInput(f"{path} is sealed: {error}") from error
    found = open_thin(LocalFolder(str(path)), _HEADER, Small(raw, stored.mark))
    if found is None or found[1].shards:
        raise BadInput(f"{path} is sealed and has shards or codecs that are read from plain arrays only: export it first")
    matrix, thin = found
    return replace(matrix, format="sealed", source=SealedZarr(thin, seal))
