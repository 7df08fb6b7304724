"""A published result, opened: its certificate, its manifest and its elements, all of one run.

`open_result` holds the folder itself, not its name. Whoever overwrites OUT meanwhile exchanges the folder for another one and
keeps the old one until its last reader has closed it: what was opened stays whole.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from storage.address import is_url
from storage.errors import BadInput, CorruptData, GemmflowError
from storage.folder import Folder, LocalFolder
from storage.formats import open_folder, open_matrix
from storage.manifest import CERTIFICATE, HEADER, Manifest, read_manifest
from storage.matrix import Matrix
from storage.object_files import read_object
from storage.output import LOWER
from storage.seal import Seal, find_seal

_TRIES = 3


@dataclass(frozen=True)
class Result:
    """A result and the folder that holds it, for as long as it is open."""

    out: Path | str
    """As the caller named it: a path, or the URL of an object store."""
    folder: Path
    """A path that stays with this result, whatever happens to OUT; of no use where `remote` is set."""
    remote: Folder | None = None
    """The objects of a result on an object store, where nobody exchanges them."""

    @property
    def files(self) -> Folder:
        """Its files, wherever they are."""
        return self.remote or LocalFolder(str(self.folder))

    @property
    def is_current(self) -> bool:
        """Whether this is still what lies at OUT; nobody exchanges what is on an object store."""
        try:
            return self.remote is not None or os.path.samestat(self.folder.stat(), Path(self.out).stat())
        except OSError:
            return False

    @cached_property
    def seal(self) -> Seal | None:
        """What opens it, its key found; None where it is plain. Raises BadInput where the key is missing or another one."""
        return None if self.remote else _opened_seal(self.folder, self.out)

    @cached_property
    def certificate(self) -> dict[str, object]:
        """What the run wrote about itself; raises BadInput where this is no result of gemmflow, CorruptData where it is damaged."""
        return _certificate(self.files, self.out, self.seal)

    @property
    def root(self) -> str:
        """The hash that stands for every bit of the result; empty where the result has no manifest."""
        return str(self.certificate.get("root", ""))

    @cached_property
    def manifest(self) -> Manifest:
        """What every file must be. Raises BadInput where the result has none, CorruptData where it is damaged."""
        if not self.root:
            raise BadInput(f"{self.out} has no manifest: it was written by an older gemmflow; compute it again with multiply --overwrite")
        return read_manifest(self.files, self.root, self.out, self.seal)

    @cached_property
    def matrix(self) -> Matrix:
        """The elements. Valid while the result is open."""
        return open_matrix(str(self.out) if self.remote else self.folder)


@contextlib.contextmanager
def open_result(out: str | Path) -> Generator[Result]:
    """Open a result for reading; the block sees one result, whole, even where OUT is overwritten meanwhile.

    Raises BadInput where OUT is missing or no folder.
    """
    if is_url(out):
        yield Result(str(out), Path(), open_folder(str(out)))
        return
    out = Path(out)
    descriptor = _hold(out)
    try:
        held = Path(f"/proc/self/fd/{descriptor}")
        yield Result(out, held if held.is_dir() else out)
    finally:
        os.close(descriptor)


def read_certificate(out: str | Path) -> dict[str, object]:
    """Return what the run wrote about itself.

    Raises BadInput where OUT is missing or is no result of gemmflow, CorruptData where its metadata are damaged.
    """
    if is_url(out):
        return _certificate(open_folder(str(out)), out, None)
    out = Path(out)
    if not out.exists():
        raise BadInput(f"{out} does not exist: check the path")
    return _certificate(LocalFolder(str(out)), out, _opened_seal(out, out))


def is_triangle(out: str | Path) -> bool:
    """Whether a local array is a result of which only one triangle is stored; False where it is none, or cannot tell."""
    try:
        part = read_certificate(out)["storage"]
    except (GemmflowError, KeyError):
        return False
    return isinstance(part, dict) and part.get("part") == LOWER


def _hold(out: Path) -> int:
    """A descriptor of the folder, locked against removal."""
    for _ in range(_TRIES):
        try:
            descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except NotADirectoryError:
            raise BadInput(f"{out} is no result of gemmflow: it is a file") from None
        except FileNotFoundError:
            raise BadInput(f"{out} does not exist: check the path") from None
        except OSError as error:
            raise BadInput(f"{out} cannot be opened ({error.strerror}): check the path") from None
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), os.stat(out)):  # noqa: PTH116
                return descriptor
        os.close(descriptor)
    raise BadInput(f"{out} is exchanged faster than it can be opened: try again")


def _opened_seal(folder: Path, out: Path | str) -> Seal | None:
    try:
        seal = find_seal(folder)
    except GemmflowError as error:
        raise type(error)(str(error).replace(str(folder), str(out), 1)) from error
    try:
        if seal is not None:
            seal.open()
    except BadInput as error:
        raise BadInput(f"{out} is sealed: {error}") from error
    return seal


def _certificate(folder: Folder, out: Path | str, seal: Seal | None) -> dict[str, object]:
    try:
        certificate = json.loads(read_object(folder, HEADER, seal))["attributes"][CERTIFICATE]
    except CorruptData as error:
        raise CorruptData(f"{out} has a {HEADER} that does not unseal: gemmflow repair restores it") from error
    except OSError as error:
        raise BadInput(f"{out} is no result of gemmflow: its {HEADER} cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise CorruptData(f"{out} has a damaged {HEADER} ({error}): gemmflow repair restores it") from error
    except (KeyError, TypeError) as error:
        raise BadInput(f"{out} is no result of gemmflow: its attributes hold no {CERTIFICATE!r}") from error
    if not isinstance(certificate, dict):
        raise BadInput(f"{out} is no result of gemmflow: its attribute {CERTIFICATE!r} is no table")
    return certificate
