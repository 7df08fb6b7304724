"""A repaired result grows like a new one: sound chunks are linked into a staging folder, the others are written again there.

    OUT/c/0/0  --link-->  staging/array/c/0/0          sound: the same file
    OUT/c/0/1  damaged    staging/array/c/0/1          written again, whole

Then the two folders are exchanged, so a reader sees the damaged result or the repaired one, and a repair that is killed changes
nothing.
"""

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from storage.assess import REPAIRS, Assessment
from storage.chain import Undecodable
from storage.errors import CorruptData
from storage.manifest import blank_root, ordered, render_metadata, write_manifest
from storage.record import ChunkRecord
from storage.result import Result
from storage.scrub import record_of
from storage.staging import Staging
from storage.sync import write_error


def link_sound(result: Result, staging: Staging, keys: Iterable[str]) -> None:
    """Put these chunks of a result into the staged array, linked, or copied where the file system has no links.

    Raises DiskFull, GemmflowError.
    """
    for key in keys:
        source, target = f"{result.folder}/{key}", f"{staging.array}/{key}"
        try:
            try:
                os.link(source, target)
            except FileExistsError:
                continue
            except OSError:
                shutil.copyfile(source, target)
        except OSError as error:
            raise write_error(target, error) from error


def records_of(result: Result, found: Assessment, keys: Iterable[str]) -> list[ChunkRecord]:
    """Records of sound chunks: those of the manifest, or made afresh where it is damaged. Raises CorruptData."""
    if found.manifest is not None:
        known = {record.key: record for record in found.manifest.chunks}
        return [known[key] for key in keys]
    try:
        return [record_of(result, key, found.spec) for key in keys]
    except (OSError, Undecodable) as error:
        raise CorruptData(f"{result.out} changed while it was repaired ({error}): try again") from error


def restore(staging: Staging, found: Assessment, chunks: Iterable[ChunkRecord]) -> str:
    """Put the result's own metadata into the staged array, nothing in them changed; returns the root, which has to be the old one.

    Raises DiskFull, GemmflowError.
    """
    return _write(staging, blank_root(found.header, found.root), chunks, found.notes)


def amend(staging: Staging, found: Assessment, certificate: dict[str, object], chunks: Iterable[ChunkRecord], note: str) -> str:
    """Put changed metadata into the staged array, with a note that says what was changed; returns the new root.

    Raises DiskFull, GemmflowError.
    """
    changed = {**certificate, REPAIRS: [*found.notes, note]}
    return _write(staging, render_metadata(json.loads(found.header), changed), chunks, (*found.notes, note))


def _write(staging: Staging, metadata: bytes, chunks: Iterable[ChunkRecord], notes: tuple[str, ...]) -> str:
    array = Path(staging.array)
    try:
        return write_manifest(array, metadata, ordered(chunks, staging.spec.keys), notes, staging.seal)
    except OSError as error:
        raise write_error(array, error) from error
