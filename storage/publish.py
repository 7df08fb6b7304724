"""The last step of a run: the staged array becomes OUT in one rename, so a reader sees the old result or the new one, whole.

    new OUT      renameat2(RENAME_NOREPLACE)  staging/array -> OUT
    overwrite    renameat2(RENAME_EXCHANGE)   staging/array <-> OUT, then the old result goes with the staging folder

Killed at any point, OUT is what it was before or the complete new result. See renameat2(2).
"""

import ctypes
import errno
import json
import os
from collections.abc import Iterable
from pathlib import Path

from storage.errors import GemmflowError, Refused, TakenOver
from storage.folder import LocalFolder
from storage.manifest import HEADER, ordered, render_metadata, write_manifest
from storage.object_files import read_object, write_object
from storage.record import ChunkRecord
from storage.staging import Staging, discard, taken_over
from storage.sync import PARTIAL, sync_folder, write_error

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)

_AT_FDCWD = -100
_LIBC = ctypes.CDLL(None, use_errno=True)


def rename_with(flags: int, source: str, target: str) -> None:
    """Rename as renameat2 does with these flags; raises OSError, its errno in UNSUPPORTED where system or file system lack them."""
    call = getattr(_LIBC, "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), source)
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(flags)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), source, None, target)


def set_attributes(staging: Staging, attributes: dict[str, object]) -> None:
    """Put attributes, in place of those of the same names, into the staged array's zarr.json, whole and durable.

    Raises ValueError where they are not JSON (NaN included), DiskFull, GemmflowError.
    """
    path = Path(staging.array, HEADER)
    try:
        document = json.loads(read_object(LocalFolder(staging.array), HEADER, staging.seal))
        document["attributes"] = {**document.get("attributes", {}), **attributes}
        write_object(Path(staging.array), HEADER, json.dumps(document, indent=2, allow_nan=False).encode(), staging.seal)
    except OSError as error:
        raise _gone(staging) or write_error(path, error) from error


def certify(staging: Staging, certificate: dict[str, object], chunks: Iterable[ChunkRecord], notes: tuple[str, ...] = ()) -> str:
    """Put the certificate and the manifest into the staged array; returns the root, which stands for every bit of it.

    The certificate gets the run's id, by which `is_published` knows it. Raises ValueError where the chunks are not those of the array
    or the certificate is not JSON, TakenOver, DiskFull, GemmflowError.
    """
    array, every = Path(staging.array), ordered(chunks, staging.spec.keys)
    try:
        document = json.loads(read_object(LocalFolder(staging.array), HEADER, staging.seal))
        metadata = render_metadata(document, {**certificate, "run_id": staging.run_id})
        return write_manifest(array, metadata, every, notes, staging.seal)
    except OSError as error:
        raise _gone(staging) or write_error(array, error) from error


def publish(staging: Staging, overwrite: bool) -> None:
    """Make the staged array OUT and remove the rest of the staging folder.

    Raises Refused, the staging kept and named, where OUT appeared meanwhile or cannot be exchanged; TakenOver; GemmflowError otherwise.
    """
    try:
        _sweep(staging)
        for folder in (f"{staging.array}/c", staging.array):
            sync_folder(folder)
        if overwrite and os.path.lexists(staging.out):
            _exchange(staging)
        else:
            _place(staging)
    except OSError as error:
        raise _gone(staging) or GemmflowError(
            f"{staging.out} cannot be published ({error.strerror}): the result is whole in {staging.array}"
        ) from error
    try:
        sync_folder(str(Path(staging.out).parent))
    except OSError as error:
        raise GemmflowError(f"{staging.out} is published and whole, but may not survive a power loss ({error.strerror})") from error
    discard(staging)


def _place(staging: Staging) -> None:
    try:
        rename_with(RENAME_NOREPLACE, staging.array, staging.out)
    except FileExistsError as error:
        raise _appeared(staging) from error
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        if os.path.lexists(staging.out):
            raise _appeared(staging) from error
        os.rename(staging.array, staging.out)  # noqa: PTH104


def _exchange(staging: Staging) -> None:
    try:
        rename_with(RENAME_EXCHANGE, staging.array, staging.out)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        raise Refused(f"{staging.out} cannot be exchanged on this file system: move it away, then rename {staging.array} to it") from error


def _gone(staging: Staging) -> TakenOver | None:
    return None if os.path.isdir(staging.folder) else taken_over(staging)  # noqa: PTH112


def _appeared(staging: Staging) -> Refused:
    return Refused(f"{staging.out} appeared during the run: the result is whole in {staging.array}; move one of them away")


def _sweep(staging: Staging) -> None:
    """Remove the temporaries of writers that were killed, so that they are not published."""
    for folder, _, files in os.walk(staging.array):
        for name in files:
            if name.endswith(PARTIAL):
                Path(folder, name).unlink()
