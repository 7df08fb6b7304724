"""Whether a result may be written to OUT at all: asked before anything is computed.

OUT must not touch an input, must not replace what is no result, must fit, and, where it replaces an older result, must lie on a
file system that can exchange two folders in one step.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from storage.address import is_url
from storage.beside import PROBE, held, parent_error, require_parent
from storage.errors import BadInput, Refused
from storage.folder import LocalFolder
from storage.location import locate
from storage.manifest import FOLDER
from storage.publish import RENAME_EXCHANGE, UNSUPPORTED, rename_with
from storage.staging import discard_rest
from storage.sync import PARTIAL
from storage.zarr_header import is_array

SPARE_BYTES = 16 << 20

_ARRAY_ENTRY = re.compile(
    rf"zarr\.json(\.sealed)?|gemmflow-seal\.json|\.zarray|\.zattrs|gemmflow|c|(c\.)?\d+(\.\d+)*|.*{re.escape(PARTIAL)}"
)


def check_out(out: str | Path, inputs: Sequence[str | Path], overwrite: bool) -> None:
    """Raise BadInput or Refused where OUT cannot be written, with what to change; writes nothing that stays.

    BadInput: OUT is an input, lies in one or holds one; it exists and `overwrite` is not asked, or is no Zarr array; its folder
    is missing or read-only. Refused: `overwrite` is asked and the file system cannot exchange folders.
    """
    for given in inputs:
        if not is_url(given):
            _check_apart(Path(out), Path(given))
    place = require_parent(Path(out))
    _check_around(place)
    if os.path.lexists(place):
        discard_rest(place)
        _check_replaceable(place, overwrite)
    if not os.access(place.parent, os.W_OK | os.X_OK):
        raise BadInput(f"the folder {place.parent} cannot be written: choose another place or change its permissions")
    if overwrite:
        _check_exchange(place)


def check_space(out: Path, nbytes: int) -> None:
    """Raise Refused where OUT's file system has less free than `nbytes`, 1 % and 16 MiB."""
    place = require_parent(out)
    needed, free = nbytes + nbytes // 100 + SPARE_BYTES, shutil.disk_usage(place.parent).free
    if free < needed:
        raise Refused(f"{place.parent} has {free} bytes free, the result needs {needed}: free space or choose another place")


def _check_apart(out: Path, given: Path) -> None:
    target, source = locate(out), locate(given)
    if target.key == source.key:
        raise BadInput(f"{out} is also the input {given}: choose another place for the result")
    if target.inside(source):
        raise BadInput(f"{out} lies inside the input {given}: choose another place for the result")
    if source.inside(target):
        raise BadInput(f"{out} contains the input {given}: choose another place for the result")


def _check_around(place: Path) -> None:
    """What lies in an array goes when that is overwritten or repaired."""
    for folder in place.parents:
        names = [name for name in ("zarr.json", ".zarray", "zarr.json.sealed") if (folder / name).is_file()]
        if names and is_array(LocalFolder(str(folder)), names):
            raise BadInput(f"{place} lies inside the Zarr array {folder}: choose another place for the result")


def _check_replaceable(place: Path, overwrite: bool) -> None:
    if not overwrite:
        raise BadInput(f"{place} exists: choose another place or pass --overwrite")
    require_nothing_foreign(place)


def require_nothing_foreign(place: Path) -> None:
    """Raise BadInput where a folder is no Zarr array, or holds what its exchange for another one would delete."""
    entries = sorted(os.listdir(place)) if place.is_dir() else []  # noqa: PTH208
    ours = (place / FOLDER).is_dir()  # a result of ours, even where its zarr.json is lost
    if not (ours or is_array(LocalFolder(str(place)), entries)):
        raise BadInput(f"{place} is no Zarr array: only a Zarr array is overwritten; remove it or choose another place")
    foreign = next((name for name in entries if not _ARRAY_ENTRY.fullmatch(name)), None)
    if foreign is not None:
        raise BadInput(f"{place} holds {foreign} beside a Zarr array: replacing it would delete that; move it or choose another place")


def _check_exchange(place: Path) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix=f"{place.name}{PROBE}", dir=place.parent) as probe, held(Path(probe)):
            for name in ("a", "b"):
                Path(probe, name).mkdir()
            rename_with(RENAME_EXCHANGE, f"{probe}/a", f"{probe}/b")
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise parent_error(place, error) from error
        raise Refused(
            f"{place.parent} lies on a file system that cannot exchange folders: remove {place} or choose another place"
        ) from error
