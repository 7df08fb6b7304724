"""Chunks of a Zarr array that were never written, from a listing of its files and the indexes of its shards.

A chunk that is not there reads as the fill value. So it is zero only where that is +0; of an array with another fill value the map says
what is read, and nothing is skipped. One that says that all of its chunks were written has no map, nor one with more than MOST_CELLS.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, cast

import numpy as np

from storage.address import is_url
from storage.chain import Undecodable
from storage.errors import Unreachable
from storage.folder import Folder
from storage.grid import Pair, grid_shape
from storage.matrix import Matrix
from storage.occupancy import MOST_CELLS, Flags, Occupancy
from storage.shard import ABSENT
from storage.zarr_thin import ChunkKeys, ThinZarr

if TYPE_CHECKING:
    from storage.objects import ObjectStore
    from storage.zarr_python import ZarrPython

MOST_REMOTE = 100_000
"""Objects that are listed; a service lists a thousand a request."""

MOST_SHARDS = 20_000
"""Local shards whose indexes are read; of more, only whole shards are known to be absent."""

_INDEX = re.compile("0|[1-9][0-9]*", re.ASCII)


def zarr_occupancy(matrix: Matrix) -> Occupancy | None:
    """Which chunks are stored; None where none may be absent, or it is not cheap to know."""
    source = matrix.source
    if isinstance(source, ThinZarr):
        return _filled(_of(matrix, source.folder, source.keys), source.fill) if source.fill else None
    return _of_fallback(matrix, cast("ZarrPython", source))


def _filled(found: Occupancy | None, fill: bytes) -> Occupancy | None:
    """The map of an array whose absent chunks have this element everywhere."""
    return replace(found, zero=not any(fill)) if found else None


def _of_fallback(matrix: Matrix, source: "ZarrPython") -> Occupancy | None:
    from storage.zarr_python import opened_array  # noqa: PLC0415  only such arrays need zarr-python

    array = opened_array(source.folder, source.fingerprint)
    fill, key = array.fill_value, array.metadata.encode_chunk_key((0, 0))
    keys = ChunkKeys(key[:-3], key[-2])
    if fill is None or array.metadata.encode_chunk_key((12, 34)) != keys.key((12, 34)):
        return None
    return _filled(_of(matrix, source.folder, keys), np.asarray(fill).astype(matrix.dtype).tobytes())


def _of(matrix: Matrix, folder: Folder, keys: ChunkKeys) -> Occupancy | None:
    grid, files = grid_shape(matrix.shape, matrix.chunks), grid_shape(matrix.shape, matrix.shard or matrix.chunks)
    most = MOST_REMOTE if is_url(matrix.path) else MOST_CELLS
    if grid[0] * grid[1] > MOST_CELLS or files[0] * files[1] > most:
        return None
    try:
        stored = _stored(folder, keys, files)
    except (OSError, Unreachable):
        return None  # reading finds out what is wrong, and says so
    if matrix.shard is None:
        return Occupancy.of(stored, matrix.shape, matrix.chunks)
    opened = isinstance(matrix.source, ThinZarr) and not is_url(matrix.path) and int(stored.sum()) <= MOST_SHARDS
    held = _inner(matrix, stored, cast("ThinZarr", matrix.source) if opened else None)
    return Occupancy.of(held, matrix.shape, matrix.chunks, exact=opened)


def _stored(folder: Folder, keys: ChunkKeys, grid: Pair) -> Flags:
    """Which chunk files are there, under whatever kind of entry: what is no file is an error where it is read."""
    found = np.zeros(grid, np.bool_)
    names = _remote_names(folder, keys) if is_url(str(folder)) else _local_names(folder, keys)
    for row, col in names:
        if row < grid[0] and col < grid[1]:
            found[row, col] = True
    return found


def _local_names(folder: Folder, keys: ChunkKeys) -> Iterator[Pair]:
    """Indices of the entries that are named like a chunk; rows of chunks are folders where a slash stands between the indices."""
    above, _, prefix = keys.prefix.rpartition("/")
    if keys.separator != "/":
        yield from _indices((name.removeprefix(prefix) for name in _names(f"{folder}/{above}") if name.startswith(prefix)), keys.separator)
        return
    for row in _names(f"{folder}/{above}"):
        if _INDEX.fullmatch(row):
            yield from _indices((f"{row}/{name}" for name in _names(f"{folder}/{above}/{row}")), "/")


def _names(place: str) -> list[str]:
    try:
        return os.listdir(place)  # noqa: PTH208  a million names, and no more than the names
    except FileNotFoundError:
        return []


def _remote_names(folder: Folder, keys: ChunkKeys) -> Iterator[Pair]:
    above = keys.prefix.rpartition("/")[0]
    listed = cast("ObjectStore", folder).list(f"{above}/" if above else "")
    names = (one.key for one in islice(listed, 2 * MOST_REMOTE))
    yield from _indices((name.removeprefix(keys.prefix) for name in names if name.startswith(keys.prefix)), keys.separator)


def _indices(names: Iterable[str], separator: str) -> Iterator[Pair]:
    for name in names:
        row, _, col = name.partition(separator)
        if _INDEX.fullmatch(row) and _INDEX.fullmatch(col):
            yield int(row), int(col)


def _inner(matrix: Matrix, stored: Flags, source: ThinZarr | None) -> Flags:
    """The chunks in the shards that are there: those that the indexes name, or all of them."""
    assert matrix.shard is not None
    rows, cols = grid_shape(matrix.shape, matrix.chunks)
    high, wide = grid_shape(matrix.shard, matrix.chunks)
    held = np.repeat(np.repeat(stored, high, axis=0), wide, axis=1)
    for row, col in np.argwhere(stored) if source else ():
        held[row * high : (row + 1) * high, col * wide : (col + 1) * wide] = _named(cast("ThinZarr", source), (int(row), int(col)))
    return held[:rows, :cols]


def _named(source: ThinZarr, shard: Pair) -> Flags | bool:
    """Which chunks the index of a shard names; all where it cannot be read: reading says why."""
    assert source.shards is not None
    try:
        with source.folder.opened(source.keys.key(shard), whole=False) as file:
            return (source.shards.read_index(file).entries != ABSENT).any(axis=2)
    except (OSError, Undecodable):
        return True
