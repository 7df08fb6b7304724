"""The metadata of an array that is not finished, and whether what lies in a staging folder still is that array."""

import contextlib
import json
from importlib import import_module
from pathlib import Path
from typing import Any

from storage.errors import CorruptData
from storage.manifest import CERTIFICATE, HEADER
from storage.object_files import object_file, write_object
from storage.output import OutputSpec
from storage.seal import Seal, find_seal, write_seal
from storage.settled import name_codec


def write_header(array: Path, spec: OutputSpec, run_id: str, seal: Seal | None = None) -> None:
    """Write the metadata of an array that is not finished, and what opens it, whole and durable. Raises OSError."""
    if seal is not None:
        write_seal(array, seal)
    write_object(array, HEADER, make_header(spec, run_id), seal)


def make_header(spec: OutputSpec, run_id: str) -> bytes:
    """The metadata of an array that is not finished."""
    import zarr  # noqa: PLC0415  workers write chunks without it

    store: dict[str, Any] = {}
    zarr.create_array(
        store=store,
        shape=spec.shape,
        chunks=spec.chunks,
        shards=spec.shard,
        dtype=spec.dtype,
        compressors=None,
        fill_value=spec.fill,
        attributes={CERTIFICATE: {"run_id": run_id, "unfinished": True}},
        zarr_format=3,
    )
    document = json.loads(store[HEADER].to_bytes())
    name_codec(document, spec.compression, spec.stored.itemsize)
    return json.dumps(document, indent=2).encode()


def is_array_of(run_id: str, mine: Seal | None, array: Path) -> bool:
    """Whether the folder `array` is what the run was writing, and not gone to OUT or exchanged for an older result. Needs no key."""
    there = None
    with contextlib.suppress(CorruptData):
        there = find_seal(array)
    if mine or there:
        return _is_sealed_array(mine, there, array)
    try:
        return json.loads((array / HEADER).read_bytes())["attributes"][CERTIFICATE]["run_id"] == run_id
    except FileNotFoundError:  # moved to OUT, or exchanged for an older result of Zarr version 2
        return array.is_dir() and not (array / ".zarray").is_file()
    except (KeyError, TypeError):
        return False
    except (OSError, ValueError):
        return True


def _is_sealed_array(mine: Seal | None, there: Seal | None, array: Path) -> bool:
    if mine and there:
        return mine.array_id == there.array_id
    if mine is None:
        return False
    plain = any((array / name).is_file() for name in (HEADER, ".zarray")) and not object_file(array, HEADER, mine).exists()
    return array.is_dir() and not plain


def preload() -> None:
    """Import what `create_staging` needs, which takes a third of a second, while there is time."""
    import_module("zarr")
