"""The header of a .safetensors file: names, types and shapes of what it holds; the values are never read.

Format: https://huggingface.co/docs/safetensors - 8 bytes with the header's length (little-endian), the header as JSON, then the values,
each byte once, in the order of their offsets, without gaps. A header that says otherwise is refused: its counts would be no counts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import TypeGuard

from tasks.errors import BadInput
from tasks.models.strict_json import decode_object, shown

MOST_HEADER = 100_000_000
"""The format's own limit, in bytes."""

BITS: dict[str, int] = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
"""Bits of an element by the name of its type."""


@dataclass(frozen=True)
class Tensor:
    """One array of a file."""

    name: str
    """Its name."""
    dtype: str
    """Its type as the format names it."""
    elements: int
    """How many numbers."""
    begin: int
    """Its first byte, counted from the end of the header."""
    end: int
    """One past its last byte."""
    shape: tuple[int, ...] = ()
    """Sizes of its axes."""

    @property
    def bytes(self) -> int:
        """Of its values."""
        return self.end - self.begin


def read_header(path: Path) -> tuple[Tensor, ...]:
    """What a file holds, in the order of its bytes.

    Raises BadInput: unreadable, not such a file, cut off, or a header that contradicts itself or the file's size.
    """
    try:
        state = path.stat()
        if not S_ISREG(state.st_mode):
            raise BadInput(f"{path} is not a file: give a .safetensors file, its index.json or the folder of a model")
        with path.open("rb") as file:
            length = _length(path, file.read(8), state.st_size)
            header = file.read(length)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): give a path that exists") from None
    tensors = [
        _tensor(path, name, entry) for name, entry in decode_object(header, f"the header of {path}").items() if name != "__metadata__"
    ]
    ordered = tuple(sorted(tensors, key=lambda tensor: (tensor.begin, tensor.end)))
    _require_each_byte_once(path, ordered, state.st_size - 8 - length)
    return ordered


def _length(path: Path, first: bytes, size: int) -> int:
    length = int.from_bytes(first, "little")
    if len(first) < 8 or length < 2:
        raise BadInput(f"{path} is no safetensors file: it has {size} bytes and a header of {length}")
    if length > MOST_HEADER:
        raise BadInput(f"{path} is no safetensors file: its header would have {length} bytes, more than the {MOST_HEADER} allowed")
    if length > size - 8:
        raise BadInput(f"{path} is cut off: its header has {length} bytes, the file {size}: copy or download it again")
    return length


def _tensor(path: Path, name: str, entry: object) -> Tensor:
    where = f"{path}: array {shown(name)}"
    if not isinstance(entry, Mapping):
        raise BadInput(f"{where} is {shown(entry)} in the header, not an object: the file is damaged")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in BITS:
        raise BadInput(f"{where} has the type {shown(dtype)}: known are {', '.join(BITS)}")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise BadInput(f"{where} has the shape {shown(shape)} and the bytes {shown(offsets)}: the file is damaged")
    elements = math.prod(shape)
    if elements * BITS[dtype] != 8 * (offsets[1] - offsets[0]):
        held = offsets[1] - offsets[0]
        raise BadInput(f"{where} of type {dtype} and shape {shown(shape)} does not fit its {held} bytes: the file is damaged")
    return Tensor(name, dtype, elements, offsets[0], offsets[1], tuple(shape))


def _are_sizes(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**63 for size in value) and len(value) <= 64


def _require_each_byte_once(path: Path, tensors: tuple[Tensor, ...], size: int) -> None:
    end = 0
    for tensor in tensors:
        if tensor.begin != end:
            what = "overlaps the one before" if tensor.begin < end else "leaves a gap before"
            raise BadInput(f"{path}: array {shown(tensor.name)} {what} (bytes {tensor.begin} and {end}): the file is damaged")
        end = tensor.end
    if end != size:
        raise BadInput(f"{path} has {size} bytes of values, its header speaks of {end}: copy or download it again")
