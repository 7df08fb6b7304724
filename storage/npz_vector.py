"""One-dimensional .npy members of an .npz file, read a slice at a time: never pickled objects, never a whole array."""

from dataclasses import dataclass
from io import BytesIO
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray

from storage.errors import BadInput, CorruptData
from storage.files import as_bytes
from storage.zip_member import Member

_MOST_HEADER = 1 << 12
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class Vector:
    """The numbers of one member."""

    member: Member
    header: int
    """Bytes before the first number."""
    stored: str
    """Element type as stored, byte order included."""
    length: int

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return np.dtype(self.stored).itemsize

    def read(self, start: int, stop: int) -> NDArray[np.number]:
        """Numbers `start` to `stop` in native byte order; raises CorruptData where they cannot be read."""
        found = np.empty(stop - start, self.stored)
        if found.size:
            self.member.read(as_bytes(found), self.header + start * found.itemsize)
        return found.astype(found.dtype.newbyteorder("="), copy=False)


def open_vector(member: Member) -> Vector:
    """A member by its header; raises BadInput where it is no vector of numbers, or not as long as its header says."""
    shape, dtype, header = _header(member)
    where = f"{member.archive.path} member {member.name}"
    if len(shape) != 1 or dtype.kind not in "iufbc":
        raise BadInput(f"{where} holds {dtype} of shape {shape}, not a vector of numbers: save it with scipy.sparse.save_npz")
    needed = header + shape[0] * dtype.itemsize
    if member.size != needed or (not member.deflated and member.stored != member.size):
        raise BadInput(f"{where} has {member.size} bytes, its header of {shape[0]} x {dtype} asks for {needed}: save it again")
    return Vector(member, header, dtype.str, shape[0])


def read_small(member: Member) -> NDArray[np.generic]:
    """A small member whole; raises BadInput where it is not small, damaged, or holds objects."""
    if member.size > _MOST_HEADER:
        raise BadInput(f"{member.archive.path} member {member.name} has {member.size} bytes: save it with scipy.sparse.save_npz")
    try:
        member.check()
        return np.lib.format.read_array(BytesIO(_first(member, member.size)), allow_pickle=False)
    except (ValueError, SyntaxError, TokenError, EOFError, CorruptData) as error:
        raise BadInput(f"{member.archive.path} has a damaged member {member.name} ({_line(error)}): save it again") from error


def _header(member: Member) -> tuple[tuple[int, ...], np.dtype[np.generic], int]:
    try:
        file = BytesIO(_first(member, min(member.size, _MOST_HEADER)))
        version = np.lib.format.read_magic(file)
        shape, _, dtype = _HEADERS[version](file)
    except (ValueError, SyntaxError, TokenError, KeyError, CorruptData) as error:
        raise BadInput(f"{member.archive.path} has a damaged member {member.name} ({_line(error)}): save it again") from error
    return shape, dtype, file.tell()


def _first(member: Member, count: int) -> bytes:
    raw = np.empty(count, np.uint8)
    member.read(raw, 0)
    return raw.tobytes()


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
