"""The folders of ours beside OUT, and OUT's own folder: may it be written, what lies there, what may be removed.

    parent/OUT                    the result
    parent/OUT.gemmflow/          the staging folder of a run (see staging)
    parent/OUT.gemmflow-new-..    a staging folder in the making, for a moment
    parent/OUT.gemmflow-old-..    what is being removed, or is still read by somebody
    parent/OUT.gemmflow-probe-..  asks the file system what it can do, for a moment

Who makes or reads one of the last three holds it by a lock; `sweep` removes those that nobody holds.
"""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Generator
from pathlib import Path

from storage.errors import BadInput
from storage.sync import write_error

HOME = ".gemmflow"
"""Added to the name of OUT."""
NEW, OLD, PROBE = f"{HOME}-new-", f"{HOME}-old-", f"{HOME}-probe-"
"""Folders that live for a moment: in the making, being removed, asking the file system what it can do."""


def require_parent(out: Path) -> Path:
    """Return OUT with links resolved; raises BadInput where its folder is none."""
    place = Path(os.path.realpath(out.expanduser()))
    if not place.parent.is_dir():
        if place.parent.exists():
            raise BadInput(f"{place.parent} is not a folder: choose another place")
        raise BadInput(f"the folder {place.parent} does not exist: create it")
    return place


def parent_error(place: Path, error: OSError) -> Exception:
    """Translate what the system says when something is made beside OUT."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return BadInput(f"the folder {place.parent} cannot be written ({error.strerror}): choose another place or change its permissions")
    return write_error(place.parent, error)


def sweep(out: Path) -> None:
    """Remove what killed runs left beside OUT in the making or being removed, and what the last reader has closed."""
    place = Path(os.path.realpath(out.expanduser()))
    for folder in _beside(place, (NEW, OLD, PROBE)):
        with contextlib.suppress(OSError), held(folder):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def held(folder: Path) -> Generator[None]:
    """Hold a folder against `sweep`; raises OSError where it is gone, somebody else holds it, or reads what is in it."""
    array = folder / "array"
    with contextlib.ExitStack() as stack:
        for path in (folder, array) if array.is_dir() else (folder,):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def leftovers(out: Path) -> list[Path]:
    """Folders of ours beside OUT: the staging folder, and what `sweep` could not remove."""
    place = Path(os.path.realpath(out.expanduser()))
    return [*([Path(f"{place}{HOME}")] if Path(f"{place}{HOME}").is_dir() else []), *_beside(place, (NEW, OLD, PROBE))]


def _beside(place: Path, marks: tuple[str, ...]) -> list[Path]:
    starts = tuple(f"{place.name}{mark}" for mark in marks)
    try:
        return sorted(entry for entry in place.parent.iterdir() if entry.name.startswith(starts) and entry.is_dir())
    except OSError:
        return []
