"""A model's weights as published: one .safetensors file, several with an index, or a folder of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tasks.errors import BadInput
from tasks.models.safetensors import Tensor, read_header
from tasks.models.strict_json import read_json, shown

INDEX = "model.safetensors.index.json"

MOST_INDEX = 256 * 1024**2
"""Bytes of an index; the largest published have a few MiB."""


@dataclass(frozen=True)
class Stored:
    """What is stored in one type."""

    dtype: str
    """As the format names it."""
    tensors: int
    """Arrays."""
    elements: int
    """Numbers in them. In a packed model one of these may hold several weights, or be a scale."""
    bytes: int
    """Of their values."""


@dataclass(frozen=True)
class Weights:
    """What the files of a model hold."""

    files: tuple[str, ...]
    """Their names."""
    by_dtype: tuple[Stored, ...]
    """By type, most bytes first."""
    notes: tuple[str, ...] = ()
    """What is odd about them, one sentence each."""
    tensors: tuple[Tensor, ...] = field(default=(), repr=False)
    """All arrays, in the order of files and bytes."""

    @property
    def parameters(self) -> int:
        """Numbers in all arrays."""
        return sum(stored.elements for stored in self.by_dtype)

    @property
    def bytes(self) -> int:
        """Of all values, without headers."""
        return sum(stored.bytes for stored in self.by_dtype)

    def to_json(self) -> dict[str, object]:
        """Schema 1: files, parameters, bytes, by_dtype (dtype, tensors, elements, bytes), notes."""
        kinds = [{"dtype": each.dtype, "tensors": each.tensors, "elements": each.elements, "bytes": each.bytes} for each in self.by_dtype]
        return {
            "schema": 1,
            "files": list(self.files),
            "parameters": self.parameters,
            "bytes": self.bytes,
            "by_dtype": kinds,
            "notes": list(self.notes),
        }


def read_weights(path: Path) -> Weights:
    """What a .safetensors file, an index of several, or a folder with either holds, from headers alone.

    Raises BadInput: nothing there, a file that is damaged or missing, arrays that index and files do not agree on.
    """
    if path.is_dir():
        return _of_folder(path)
    return _of_index(path) if path.suffix == ".json" else _summed({path.name: read_header(path)})


def _of_folder(path: Path) -> Weights:
    if (path / INDEX).exists():
        return _of_index(path / INDEX)
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise BadInput(f"{path} holds no .safetensors file: give one, its index.json or the folder of a model")
    whole = path / "model.safetensors"
    return _summed({file.name: read_header(file) for file in ([whole] if whole in files else files)})


def _of_index(path: Path) -> Weights:
    index = read_json(path, MOST_INDEX)
    places = index.get("weight_map")
    if not isinstance(places, Mapping) or not places:
        raise BadInput(f"{path} has no weight_map: give the index.json that lies beside the .safetensors files")
    for file in places.values():
        if not isinstance(file, str) or Path(file).name != file or "\\" in file or "\0" in file or not file.endswith(".safetensors"):
            raise BadInput(f"{path} names the file {shown(file)}: only .safetensors files beside it are read")
    headers = {file: read_header(path.parent / file) for file in sorted(set(places.values()))}
    held = {tensor.name: file for file, tensors in headers.items() for tensor in tensors}
    wrong = next((name for name in sorted(places.keys() | held.keys()) if places.get(name) != held.get(name)), None)
    if wrong is not None:
        said, found = places.get(wrong, "no file"), held.get(wrong, "none of its files")
        raise BadInput(f"{path} says {said} holds {shown(wrong)}, which {found} holds: copy or download index and files again")
    return _summed(headers, _total_size(index))


def _total_size(index: Mapping[str, object]) -> int | None:
    metadata = index.get("metadata")
    size = metadata.get("total_size") if isinstance(metadata, Mapping) else None
    return size if type(size) is int else None


def _summed(headers: Mapping[str, tuple[Tensor, ...]], said: int | None = None) -> Weights:
    tensors = [tensor for each in headers.values() for tensor in each]
    twice = next((name for name, count in Counter(tensor.name for tensor in tensors).items() if count > 1), None)
    if twice is not None:
        raise BadInput(f"two files hold {shown(twice)}: give one file, or the index.json that says which counts")
    kinds = {tensor.dtype for tensor in tensors}
    stored = [_stored(dtype, [tensor for tensor in tensors if tensor.dtype == dtype]) for dtype in kinds]
    weights = Weights(tuple(headers), tuple(sorted(stored, key=lambda kind: (-kind.bytes, kind.dtype))), tensors=tuple(tensors))
    if said is None or said == weights.bytes:
        return weights
    return replace(weights, notes=(f"the index says {said} bytes, the files hold {weights.bytes}",))


def _stored(dtype: str, tensors: list[Tensor]) -> Stored:
    return Stored(dtype, len(tensors), sum(each.elements for each in tensors), sum(each.bytes for each in tensors))
