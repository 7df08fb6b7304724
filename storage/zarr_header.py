"""The metadata of a Zarr array, version 2 or 3, turned into a Matrix.

An array whose codec chain, order and keys are common is read by the thin path; every other goes to zarr-python, which is
imported only then.
Formats: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html and .../v2/v2.0.html
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from storage.chain import Chain
from storage.compressors import is_installed
from storage.errors import BadInput
from storage.folder import Folder, Small
from storage.matrix import ACCEPTED, Matrix, Source, accept_dtype, accept_shape
from storage.shard import Shards
from storage.zarr_thin import ChunkKeys, ThinZarr

Document = dict[str, Any]

_V3_TYPES = {dtype.name: dtype for dtype in ACCEPTED}
_V3_DECODERS: dict[tuple[str, ...], str] = {
    ("bytes",): "none",
    ("bytes", "blosc"): "blosc",
    ("bytes", "zstd"): "zstd",
    ("bytes", "gzip"): "gzip",
    ("bytes", "numcodecs.zlib"): "zlib",
    ("bytes", "numcodecs.shuffle", "numcodecs.zlib"): "huffman",
    ("numcodecs.pcodec",): "pcodec",
}
"""Codec lists without their checksum that have a decoder."""
_V2_COMPRESSORS = ("blosc", "zstd", "gzip", "zlib")
_INDEX_ITEMSIZE = 8
_VERSIONS = {"zarr.json": 3, ".zarray": 2}
_LISTED = 8


class Header(NamedTuple):
    """What a metadata file says, before it is known how to read the chunks."""

    folder: Folder
    file: str
    document: Document
    shape: tuple[int, int]
    native: np.dtype[np.number]
    fingerprint: str


class Layout(NamedTuple):
    """How the chunks of a version 3 array are stored."""

    chunks: tuple[int, int]
    chain: Chain
    order: Literal["<", ">"]
    shards: Shards | None


def is_zarr(path: Path) -> bool:
    """Whether the path is a folder with Zarr metadata, of an array or of a group."""
    return any((path / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup"))


def open_zarr(folder: Folder) -> Matrix:
    """Open a Zarr array by its metadata; raises BadInput where it is a group, no matrix, or nothing that zarr-python opens."""
    found = _metadata(folder)
    if found is None:
        raise BadInput(group_message(folder) if folder.holds(".zgroup") else f"{folder} holds no Zarr array: check the address")
    name, (raw, mark) = found
    try:
        document: Document = json.loads(raw)
        if name == "zarr.json" and document["node_type"] == "group":
            raise BadInput(group_message(folder))
        if document["zarr_format"] != _VERSIONS[name]:
            raise BadInput(f"{folder} is Zarr version {document['zarr_format']}: write the array again as version 2 or 3")
        shape = accept_shape(str(folder), tuple(int(length) for length in document["shape"]))
        native, source = _dtype(folder, name, document), _THIN[name]
        header = Header(folder, name, document, shape, native, hashlib.sha256(raw + mark.encode()).hexdigest())
        thin = source(header)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise BadInput(f"{folder} has a damaged {name} ({type(error).__name__}: {error}): restore it or write the array again") from error
    return _matrix(header, thin, thin.chunks, thin.shards.edges if thin.shards else None) if thin else _fallback(header)


def group_message(folder: Folder) -> str:
    """Say that a folder is a group, and which arrays it could have meant."""
    inside = sorted(islice(arrays_inside(folder), _LISTED + 1))
    if not inside:
        return f"{folder} is a Zarr group without arrays: name an array"
    more = ", ..." if len(inside) > _LISTED else ""
    return f"{folder} is a Zarr group; name one of its arrays: {', '.join(inside[:_LISTED])}{more}"


def arrays_inside(group: Folder, above: str = "") -> Iterator[str]:
    """Names, relative to the group, of the arrays in it and in its groups; an array's own folders hold chunks."""
    for name in group.entries().folders:
        folder = group.inside(name)
        if is_array(folder, folder.entries().files):
            yield f"{above}{name}"
        else:
            yield from arrays_inside(folder, f"{above}{name}/")


def is_array(folder: Folder, files: Collection[str]) -> bool:
    """Whether a folder with these files is a Zarr array."""
    if "zarr.json" not in files:
        return ".zarray" in files
    try:
        return json.loads(folder.read("zarr.json").content)["node_type"] == "array"
    except (ValueError, KeyError, TypeError):
        return False


def _metadata(folder: Folder) -> tuple[str, Small] | None:
    """The name of the metadata file of an array, or of a version 3 group, and what it holds."""
    for name in _VERSIONS:
        with suppress(FileNotFoundError, IsADirectoryError):
            return name, folder.read(name)
    return None


def _matrix(header: Header, source: Source, chunks: tuple[int, int], shard: tuple[int, int] | None) -> Matrix:
    chunk_bytes = chunks[0] * chunks[1] * header.native.itemsize
    codec = _nearest_codec(header.document)
    return Matrix(str(header.folder), "zarr", header.shape, header.native, chunks, chunk_bytes, header.fingerprint, source, codec, shard)


def _nearest_codec(document: Document) -> str:
    """Row of CODECS that decodes about as fast as this array's chunks."""
    listed = [document["compressor"]] if document.get("compressor") else document.get("codecs", [])
    if [codec.get("name") for codec in listed if isinstance(codec, dict)] == ["sharding_indexed"]:
        listed = listed[0]["configuration"]["codecs"]
    known = {str(codec.get("name") or codec.get("id")): codec for codec in listed if isinstance(codec, dict)}
    if "blosc" in known:
        settings = known["blosc"].get("configuration") or known["blosc"]
        slow = settings.get("cname") in ("zstd", "zlib")
        bits = settings.get("shuffle") in ("bitshuffle", 2)
        return ("blosc-zstd-bitshuffle" if bits else "blosc-zstd") if slow else ("blosc-lz4" if bits else "blosc-lz4-shuffle")
    near = {"zstd": "zstd", "gzip": "gzip", "zlib": "gzip", "numcodecs.zlib": "gzip", "numcodecs.pcodec": "pcodec"}
    if {"numcodecs.shuffle", "numcodecs.zlib"} <= set(known):
        return "huffman"
    return next((near[name] for name in known if name in near), "none" if set(known) <= {"bytes", "crc32c"} else "other")


def _fallback(header: Header) -> Matrix:
    from storage.zarr_python import ZarrPython, opened_array  # noqa: PLC0415  half a second that the thin path does not need

    array = opened_array(header.folder, header.fingerprint)
    chunks, files = (_pair(array.chunks), _pair(array.shards or array.chunks))
    source = ZarrPython(header.folder, header.file, chunks, files, header.native.itemsize, header.fingerprint)
    return _matrix(header, source, chunks, files if array.shards else None)


def _dtype(folder: Folder, name: str, document: Document) -> np.dtype[np.number]:
    if name == ".zarray":
        declared = document["dtype"]
        return accept_dtype(str(folder), np.dtype(declared) if isinstance(declared, str) else f"structured {declared}")
    declared = document["data_type"]
    label = declared["name"] if isinstance(declared, dict) else str(declared)
    return accept_dtype(str(folder), _V3_TYPES.get(label, label))


def _thin_v3(header: Header) -> ThinZarr | None:
    document = header.document
    grid, keys = document["chunk_grid"]["name"], document.get("chunk_key_encoding", {"name": "default"})
    if grid != "regular":
        raise BadInput(f"{header.folder} has a {grid} chunk grid: write the array again with chunks of one size")
    layout = _layout(document, header.native.itemsize)
    plain_keys = keys["name"] in ("default", "v2") and not document.get("storage_transformers")
    if layout is None or not plain_keys:
        return None
    if layout.chain.compressor == "pcodec" and not is_installed("pcodec"):
        raise BadInput(f"{header.folder} is stored with pcodec: pip install gemmflow[pcodec] to read it")
    prefix, default = ("c", "/") if keys["name"] == "default" else ("", ".")
    separator = keys.get("configuration", {}).get("separator", default)
    fill = _fill(header.native, document["fill_value"])
    if fill is None:
        return None
    stored = header.native.newbyteorder(layout.order).str
    chain = replace(layout.chain, element=stored)
    named = ChunkKeys(f"{prefix}{separator}" if prefix else "", separator)
    return ThinZarr(header.folder, header.file, layout.chunks, stored, chain, named, b"" if _is_result(document) else fill, layout.shards)


def _is_result(document: Document) -> bool:
    """Whether gemmflow published the array, and so wrote every chunk of it: a missing one is lost, not empty."""
    certificate = document.get("attributes", {}).get("gemmflow")
    return isinstance(certificate, dict) and bool(certificate.get("root"))


def _layout(document: Document, itemsize: int) -> Layout | None:
    """How a version 3 array with a regular grid stores its chunks; None where that is rare."""
    files, codecs = _pair(document["chunk_grid"]["configuration"]["chunk_shape"]), [_named(codec) for codec in document["codecs"]]
    shards = None
    if [name for name, _ in codecs] == ["sharding_indexed"]:
        shards, codecs = _shards(files, codecs[0][1]), [_named(codec) for codec in codecs[0][1]["codecs"]]
        if shards is None:
            return None
    chain, order = _v3_chain(codecs, itemsize)
    return Layout(shards.chunks if shards else files, chain, order, shards) if chain else None


def _shards(files: tuple[int, int], settings: Document) -> Shards | None:
    """How chunks lie in shards; None where the index is stored in a rare way."""
    index, order = _v3_chain([_named(codec) for codec in settings["index_codecs"]], _INDEX_ITEMSIZE)
    if index is None or index.compressor != "none" or order != "<":
        return None
    return Shards(files, _pair(settings["chunk_shape"]), index.checksum, settings.get("index_location", "end") == "start")


def _v3_chain(codecs: list[tuple[str, Document]], itemsize: int) -> tuple[Chain | None, Literal["<", ">"]]:
    """Read a list of _V3_DECODERS and [crc32c]; the chain is None where anything else stands in the list."""
    names, settings = tuple(name for name, _ in codecs), dict(codecs)
    order = "<" if codecs[0][1].get("endian", "little") == "little" else ">"
    checksum = names[-1] == "crc32c"
    decoder = _V3_DECODERS.get(names[: len(names) - checksum])
    odd = decoder == "huffman" and settings["numcodecs.shuffle"].get("elementsize", itemsize) != itemsize
    return (Chain(decoder, checksum) if decoder and not odd else None), order


def _named(codec: str | Document) -> tuple[str, Document]:
    return (codec, {}) if isinstance(codec, str) else (codec["name"], codec.get("configuration") or {})


def _thin_v2(header: Header) -> ThinZarr | None:
    document = header.document
    compressor = (document["compressor"] or {"id": "none"})["id"]
    fill = _fill(header.native, document["fill_value"] if document["fill_value"] is not None else 0)
    common = not document.get("filters") and document.get("order", "C") == "C" and compressor in ("none", *_V2_COMPRESSORS)
    if not common or fill is None:
        return None
    keys = ChunkKeys("", document.get("dimension_separator", "."))
    chain, stored = Chain(compressor, checksum=False), np.dtype(document["dtype"]).str
    return ThinZarr(header.folder, header.file, _pair(document["chunks"]), stored, chain, keys, fill)


def _fill(native: np.dtype[np.number], value: object) -> bytes | None:
    """Return one element's bytes for a fill value of the metadata; None for the rarer spellings, which zarr-python reads."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if plain or value in ("NaN", "Infinity", "-Infinity"):
        return np.array([value if plain else float(str(value))]).astype(native).tobytes()
    return None


def _pair(edges: Any) -> tuple[int, int]:
    rows, cols = (int(edge) for edge in edges)
    if min(rows, cols) < 1:
        raise ValueError(f"chunk edges {rows} x {cols} must be at least 1")
    return rows, cols


_THIN: dict[str, Callable[[Header], ThinZarr | None]] = {"zarr.json": _thin_v3, ".zarray": _thin_v2}
