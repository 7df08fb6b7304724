"""The staging folder: where a result grows until it is published, one run at a time.

    parent/OUT                           the result, old or absent until publish
    parent/OUT.gemmflow/                 at most one for an OUT, on the same file system
        RUN.EPOCH/                       the run and how often it was taken over
            array/zarr.json, array/c/..  the new result as it grows
            journal                      which tiles are durable
            holder                       who writes (see lease)
            gemmflow-seal.json           what opens array and journal of a sealed run
    parent/OUT.gemmflow-new-..           a staging folder in the making, for a moment
    parent/OUT.gemmflow-old-..           what is being removed, or is still read by somebody

The folder appears with one rename, so of two runs that start together one wins. Every path that a run writes to holds its epoch:
`take_over` renames RUN.3 to RUN.4, and from then on nothing of the old run or of its workers, should they wake up, can write.
Run ids never repeat, so neither do these paths.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from storage.errors import BadInput, CorruptData, Refused, TakenOver
from storage.journal import Journal, Record
from storage.manifest import CERTIFICATE, HEADER
from storage.object_files import object_file, write_object
from storage.output import OutputSpec
from storage.seal import SEAL_HEADER, Seal, find_seal, render_seal, write_seal
from storage.settled import name_codec
from storage.sync import sync_folder, write_atomically, write_error

Durability = Literal["power", "process"]

HOME = ".gemmflow"
"""Added to the name of OUT."""
NEW, OLD, PROBE = f"{HOME}-new-", f"{HOME}-old-", f"{HOME}-probe-"
"""Folders that live for a moment: in the making, being removed, asking the file system what it can do."""

_RUN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EPOCH = re.compile(rf"({_RUN.pattern})\.([1-9]\d*)")
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY)
_TRIES = 5


@dataclass(frozen=True)
class Staging:
    """Where a run writes: all that a worker needs to write blocks."""

    out: str
    """Absolute path of the result, symbolic links resolved."""
    run_id: str
    epoch: int
    """How many runs, this one included, have held the folder."""
    spec: OutputSpec
    """What is written."""
    durability: Durability
    """power: a written block survives a power loss; process: it survives the death of the process."""
    seal: Seal | None = None
    """What seals array and journal; None where they are plain."""

    def __post_init__(self) -> None:
        if self.spec.sealed != (self.seal is not None):
            raise ValueError(f"a result with sealed={self.spec.sealed} does not go with {'a' if self.seal else 'no'} seal")

    @property
    def home(self) -> str:
        """Absolute path of the folder beside OUT."""
        return f"{self.out}{HOME}"

    @property
    def folder(self) -> str:
        """Absolute path of this run's folder in this epoch."""
        return f"{self.home}/{self.run_id}.{self.epoch}"

    @property
    def array(self) -> str:
        """Absolute path of the array that grows."""
        return f"{self.folder}/array"

    @property
    def journal(self) -> str:
        """Absolute path of the journal."""
        return f"{self.folder}/journal"


@dataclass(frozen=True)
class Found:
    """A staging folder that lies beside OUT."""

    out: Path
    """Symbolic links resolved."""
    run_id: str
    epoch: int

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(f"{self.out}{HOME}", f"{self.run_id}.{self.epoch}")

    @property
    def seal(self) -> Seal | None:
        """What opens it; None where it is plain. Raises as `read_seal` does."""
        return find_seal(self.folder)

    def staging(self, spec: OutputSpec, durability: Durability) -> Staging:
        """The same folder, for who writes to it."""
        return Staging(str(self.out), self.run_id, self.epoch, spec, durability, self.seal)


def create_staging(
    out: Path, spec: OutputSpec, durability: Durability, run_id: str, records: Iterable[Record] = (), seal: Seal | None = None
) -> Staging:
    """Make the staging folder of a run, with the metadata of the array, its folders and a journal that starts with `records`.

    Raises BadInput where the parent folder is missing or read-only, Refused where OUT has a staging folder already, DiskFull
    where the file system has no room for it.
    """
    if not _RUN.fullmatch(run_id):
        raise ValueError(f"run id {run_id!r} must be 1 to 64 letters, digits, dashes or underscores")
    place = require_parent(out)
    staging = Staging(str(place), run_id, 1, spec, durability, seal)
    try:
        _appear(staging, tuple(records))
        sync_folder(str(place.parent))
    except OSError as error:
        if error.errno in _TAKEN:
            raise Refused(f"{staging.home} exists: another run of {place} was started; wait for it or see gemmflow clean") from error
        raise parent_error(place, error) from error
    return staging


def find_staging(out: Path) -> Found | None:
    """The staging folder beside OUT, None where there is none or OUT's folder cannot be read."""
    place = Path(os.path.realpath(out.expanduser()))
    with contextlib.suppress(OSError):
        for name in os.listdir(f"{place}{HOME}"):  # noqa: PTH208
            if match := _EPOCH.fullmatch(name):
                return Found(place, match[1], int(match[2]))
    return None


def take_over(found: Found) -> Found:
    """Rename the folder to its next epoch: after this one step no path of whoever held it exists.

    Raises Refused where another run was faster.
    """
    following = Found(found.out, found.run_id, found.epoch + 1)
    try:
        found.folder.rename(following.folder)
        sync_folder(str(following.folder.parent))
    except FileNotFoundError as error:
        raise Refused(f"the unfinished run {found.run_id} of {found.out} was taken over or ended meanwhile: try again") from error
    except OSError as error:
        raise parent_error(found.out, error) from error
    return following


def discard(staging: Staging | Found) -> None:
    """Remove the staging folder; what cannot be removed, or is still read, stays for `sweep`. A folder taken over by another stays."""
    out, moved = str(staging.out), f"{staging.out}{OLD}{secrets.token_hex(4)}"
    with contextlib.suppress(OSError):
        os.rename(staging.folder, moved)  # noqa: PTH104
        with contextlib.suppress(OSError):
            os.rmdir(f"{out}{HOME}")  # noqa: PTH106
    sweep(Path(out))


def discard_rest(out: Path) -> None:
    """Remove the staging folder that holds no array any more: its run was killed after its last step, and OUT is whole."""
    found = find_staging(out)
    if found is not None and not (found.folder / "array").is_dir():
        discard(found)


def taken_over(staging: Staging) -> TakenOver:
    """The error for a run that finds its folder gone."""
    return TakenOver(
        f"run {staging.run_id} of {staging.out} stood still and was taken over by another one, or its folder was removed: "
        "this one stops and has changed nothing since"
    )


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


def is_published(found: Found) -> bool:
    """Whether the run had made its result visible before it ended: what lies in its folder is not its array any more. Needs no key."""
    array, mine, there = found.folder / "array", found.seal, None
    with contextlib.suppress(CorruptData):
        there = find_seal(array)
    if mine and not there:
        replaced = any((array / name).is_file() for name in (HEADER, ".zarray")) and not object_file(array, HEADER, mine).exists()
        return replaced or not array.is_dir()
    if mine or there:
        return not (mine and there and mine.array_id == there.array_id)
    try:
        attributes = json.loads((found.folder / "array" / HEADER).read_bytes())["attributes"]
        return attributes[CERTIFICATE]["run_id"] != found.run_id
    except FileNotFoundError:  # moved to OUT, or exchanged for an older result of Zarr version 2
        return not (found.folder / "array").is_dir() or (found.folder / "array" / ".zarray").is_file()
    except (KeyError, TypeError):
        return True
    except (OSError, ValueError):
        return False


def preload() -> None:
    """Import what `create_staging` needs, which takes a third of a second, while there is time."""
    import_module("zarr")


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


def _beside(place: Path, marks: tuple[str, ...]) -> list[Path]:
    starts = tuple(f"{place.name}{mark}" for mark in marks)
    try:
        return sorted(entry for entry in place.parent.iterdir() if entry.name.startswith(starts) and entry.is_dir())
    except OSError:
        return []


def _appear(staging: Staging, records: tuple[Record, ...]) -> None:
    """Make the folder under another name and rename it; again where the sweep of another run was faster than the lock. Raises OSError."""
    for left in reversed(range(_TRIES)):
        fresh = Path(f"{staging.out}{NEW}{secrets.token_hex(4)}")
        try:
            fresh.mkdir()
            with held(fresh):
                _fill(fresh / Path(staging.folder).name, staging, records)
                fresh.rename(staging.home)
            return
        except (FileNotFoundError, BlockingIOError):
            if not left:
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _fill(folder: Path, staging: Staging, records: tuple[Record, ...]) -> None:
    spec, seal = staging.spec, staging.seal
    for path in (folder, folder / "array", folder / "array" / "c"):
        path.mkdir()
    for row in range(spec.grid[0]):
        (folder / "array" / "c" / str(row)).mkdir()
    if seal is not None:
        write_atomically(folder / SEAL_HEADER, render_seal(seal))
    write_header(folder / "array", spec, staging.run_id, seal)
    Journal.create(folder / "journal", records, seal).close()
    for path in (folder / "array" / "c", folder / "array", folder, folder.parent):
        sync_folder(str(path))
