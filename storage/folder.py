"""The files of one stored array, wherever they are: one reader serves a local folder and an object store.

Folder   LocalFolder(path)   ObjectStore(url, ...)      frozen, picklable; its text is the path or the URL
  |  opened(key)
Opened   size, read_at(target, offset)                  for the thread that opened it
"""

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from storage.files import Bytes, fetch_ahead, opened, read_at


class Opened(Protocol):
    """A file that is open for reading."""

    @property
    def size(self) -> int:
        """Its bytes when it was opened."""
        ...

    def read_at(self, target: Bytes, offset: int) -> int:
        """Fill `target` from byte `offset` on and return the bytes read, fewer only at the end of the file."""
        ...


class Small(NamedTuple):
    """A small file, read whole."""

    content: bytes
    mark: str
    """Text that is another one after the file was written again."""


class Entries(NamedTuple):
    """What is directly in a folder, by name, sorted."""

    folders: list[str]
    files: list[str]


class Folder(Protocol):
    """Where the files of an array are. Keys are relative to it; a missing file raises FileNotFoundError."""

    def opened(self, key: str, whole: bool = True) -> AbstractContextManager[Opened]:
        """Open a file for reading; `whole` says that it will be read from its first byte to its last, in order."""
        ...

    def fetch_ahead(self, key: str) -> None:
        """Let the system fetch a file that will be read, without waiting for it, where it can; a missing file is no error."""
        ...

    def read(self, key: str) -> Small:
        """Read a small file whole."""
        ...

    def size(self, key: str) -> int:
        """Size of a file in bytes."""
        ...

    def holds(self, key: str) -> bool:
        """Whether the file is there."""
        ...

    def entries(self) -> Entries:
        """What is directly in it."""
        ...

    def inside(self, name: str) -> "Folder":
        """A folder in it."""
        ...

    def zarr_store(self) -> object:
        """What zarr-python opens."""
        ...

    def translated(self, key: str) -> AbstractContextManager[None]:
        """What goes wrong on the way to a file within the block, in this package's words."""
        ...

    @property
    def scratch_bytes(self) -> int:
        """Upper bound in bytes of what one open file holds in memory, beside what is read."""
        ...


@dataclass(frozen=True)
class LocalFile:
    """An open file of this host's file systems."""

    descriptor: int
    size: int

    def read_at(self, target: Bytes, offset: int) -> int:
        """Fill `target` from byte `offset` on and return the bytes read, fewer only at the end of the file."""
        return read_at(self.descriptor, target, offset)


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this host's file systems."""

    path: str
    """Absolute path."""

    def __str__(self) -> str:
        return self.path

    @contextmanager
    def opened(self, key: str, whole: bool = True) -> Generator[LocalFile]:
        """Open a file for reading."""
        with opened(f"{self.path}/{key}") as descriptor:
            yield LocalFile(descriptor, os.fstat(descriptor).st_size)

    def fetch_ahead(self, key: str) -> None:
        """Into the page cache, while the processor multiplies."""
        with suppress(OSError), opened(f"{self.path}/{key}") as descriptor:
            fetch_ahead(descriptor)

    def read(self, key: str) -> Small:
        """Read a small file whole; its mark is its size and time of change."""
        path = Path(self.path, key)
        content, facts = path.read_bytes(), path.stat()
        return Small(content, f"{facts.st_size} {facts.st_mtime_ns}")

    def size(self, key: str) -> int:
        """Size of a file in bytes."""
        return Path(self.path, key).stat().st_size

    def holds(self, key: str) -> bool:
        """Whether the file is there."""
        return Path(self.path, key).is_file()

    def entries(self) -> Entries:
        """What is directly in it."""
        with os.scandir(self.path) as found:
            kinds = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
        return Entries([name for name, is_folder in kinds if is_folder], [name for name, is_folder in kinds if not is_folder])

    def inside(self, name: str) -> "LocalFolder":
        """A folder in it."""
        return LocalFolder(f"{self.path}/{name}")

    def zarr_store(self) -> object:
        """What zarr-python opens."""
        return self.path

    def translated(self, key: str) -> AbstractContextManager[None]:
        """Nothing stands between this process and a local file."""
        return nullcontext()

    @property
    def scratch_bytes(self) -> int:
        """A local file is read straight into place."""
        return 0
