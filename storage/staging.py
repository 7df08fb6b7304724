"""The staging folder: where a result grows until it is published, one run at a time.

    parent/OUT                           the result, old or absent until publish
    parent/OUT.gemmflow/                 at most one for an OUT, on the same file system
        RUN.EPOCH/                       the run and how often it was taken over
            array/zarr.json, array/c/..  the new result as it grows
            journal                      which tiles are durable
            holder                       who writes (see lease)
            sums/..                      partial sums of tiles that are not finished (see sums)
            gemmflow-seal.json           what opens array and journal of a sealed run

The folder appears with one rename, so of two runs that start together one wins. Every path that a run writes to holds its epoch:
`take_over` renames RUN.3 to RUN.4, and from then on nothing of the old run or of its workers, should they wake up, can write.
Run ids do not repeat, so neither do these paths.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storage.beside import HOME, NEW, OLD, held, parent_error, require_parent, sweep
from storage.errors import Refused, TakenOver
from storage.journal import Journal, Record
from storage.output import OutputSpec
from storage.seal import SEAL_HEADER, Seal, find_seal, render_seal
from storage.sync import sync_folder, write_atomically
from storage.unfinished import is_array_of, write_header

Durability = Literal["power", "process"]

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


@dataclass(frozen=True)
class Start:
    """What a run's folder holds from its first moment."""

    records: tuple[Record, ...] = ()
    """What the journal starts with."""
    seal: Seal | None = None
    """What seals array and journal; None where they are plain."""


def create_staging(out: Path, spec: OutputSpec, durability: Durability, run_id: str, start: Start = Start()) -> Staging:
    """Make the staging folder of a run, with the metadata of the array, its folders and its journal.

    Raises BadInput where the parent folder is missing or read-only, Refused where OUT has a staging folder already, DiskFull
    where the file system has no room for it.
    """
    if not _RUN.fullmatch(run_id):
        raise ValueError(f"run id {run_id!r} must be 1 to 64 letters, digits, dashes or underscores")
    place = require_parent(out)
    staging = Staging(str(place), run_id, 1, spec, durability, start.seal)
    try:
        _appear(staging, start.records)
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


def is_published(found: Found) -> bool:
    """Whether the run had made its result visible before it ended: what lies in its folder is not its array any more."""
    return not is_array_of(found.run_id, found.seal, found.folder / "array")


def taken_over(staging: Staging) -> TakenOver:
    """The error for a run that finds its folder gone."""
    return TakenOver(
        f"run {staging.run_id} of {staging.out} stood still and was taken over by another one, or its folder was removed: "
        "this one stops and has changed nothing since"
    )


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
