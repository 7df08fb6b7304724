"""An object store as a folder: objects below a URL are read, listed and written whole, some only if nobody else was first.

    s3://lab/runs/a   +  c/0/3   ->   bucket lab, object runs/a/c/0/3

The value travels: it holds addresses, no credentials and no connection. A write is atomic: readers see the old object or the
new. What breaks off is tried again, a read from where it stopped and only while it is the same object.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import obstore

from storage.errors import CorruptData, Unreachable
from storage.files import Bytes
from storage.folder import Entries, Small
from storage.objects_client import client_of, find_endpoint, find_region
from storage.objects_errors import Conflict, translated

if TYPE_CHECKING:
    from obstore import BytesStream, ObjectMeta
    from obstore.store import S3Store

T = TypeVar("T")

PART_BYTES = 1 << 20
"""A body arrives in parts of about this size."""
SCRATCH_BYTES = 24 << 20
"""Allowance for the parts on their way and the connection's own memory; measured: 17 MiB."""
LISTED_AGAIN = 2
"""Times that a page of a listing is asked for again."""
_LISTED_AT_ONCE = 1000


class Listed(NamedTuple):
    """An object of a listing."""

    key: str
    """Relative to the store's URL."""
    size: int
    """In bytes."""
    etag: str
    """Names this content."""


@dataclass(frozen=True)
class ObjectStore:
    """The objects below one URL; a Folder."""

    url: str
    """s3://bucket/key, without a slash at the end."""
    endpoint: str
    """URL of the service, empty for Amazon's own."""
    region: str
    """Region of the bucket."""

    def __str__(self) -> str:
        return self.url

    @contextmanager
    def opened(self, key: str, whole: bool = True) -> Generator["RemoteFile"]:
        """Open an object for reading; `whole` asks for all of it at once, otherwise every read asks for its range."""
        yield RemoteFile(self, key, whole)

    def fetch_ahead(self, key: str) -> None:
        """Nothing fetches an object but who reads it."""

    def read(self, key: str) -> Small:
        """Read a small object whole; its mark is its etag, size and time of change."""
        with self.translated(key):
            found = obstore.get(self.client, self.path(key))
            meta, content = found.meta, bytes(found.bytes())
        return Small(content, f"{meta['e_tag']} {meta['size']} {meta['last_modified'].isoformat()}")

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """Read a small object whole, with the etag that `put_if_match` asks for."""
        with self.translated(key):
            found = obstore.get(self.client, self.path(key))
            return bytes(found.bytes()), found.meta["e_tag"] or ""

    def size(self, key: str) -> int:
        """Size of an object in bytes."""
        with self.translated(key):
            return obstore.head(self.client, self.path(key))["size"]

    def holds(self, key: str) -> bool:
        """Whether the object is there."""
        try:
            self.size(key)
        except FileNotFoundError:
            return False
        return True

    def entries(self) -> Entries:
        """Names up to the next slash."""
        found = self._again(lambda: obstore.list_with_delimiter(self.client, self.prefix))
        folders, files = found["common_prefixes"], [meta["path"] for meta in found["objects"]]
        return Entries(sorted(self._relative(path) for path in folders), sorted(self._relative(path) for path in files))

    def list(self, under: str = "") -> Iterator[Listed]:
        """Every object below the URL, or below a key that ends at a slash; sorted by key."""
        last = None
        while page := self._again(lambda after=last: self._page(under, after)):
            for meta in page:
                yield Listed(self._relative(meta["path"]), meta["size"], meta["e_tag"] or "")
            last = page[-1]["path"]

    def _page(self, under: str, after: str | None) -> "Sequence[ObjectMeta]":
        return next(obstore.list(self.client, self.path(under), offset=after, chunk_size=_LISTED_AT_ONCE), ())

    def _again(self, ask: Callable[[], T]) -> T:
        """Ask once more where an answer breaks off: the client itself goes on only with objects."""
        for _ in range(LISTED_AGAIN):
            with suppress(Unreachable), self.translated(""):
                return ask()
        with self.translated(""):
            return ask()

    def inside(self, name: str) -> "ObjectStore":
        """The objects below a key."""
        return replace(self, url=f"{self.url}/{name}")

    def put(self, key: str, content: bytes | Bytes) -> str:
        """Write an object whole, whatever was there, and return its etag."""
        with self.translated(key):
            return obstore.put(self.client, self.path(key), _plain(content), use_multipart=False)["e_tag"] or ""

    def put_if_absent(self, key: str, content: bytes) -> str | None:
        """Write an object that must not exist; returns its etag, None where somebody was first.

        The content must be this writer's own: a write that was tried again may meet what it wrote itself.
        """
        return self._put_if(key, content, "create")

    def put_if_match(self, key: str, content: bytes, etag: str) -> str | None:
        """Replace the object that has this etag; returns the new etag, None where it is another one or gone. Content as above."""
        return self._put_if(key, content, {"e_tag": etag})

    def copy(self, key: str, target: "ObjectStore", to: str) -> None:
        """Copy an object within the service, to another place in the same bucket."""
        with self.translated(key):
            obstore.copy(self.client, self.path(key), target.path(to))

    def delete(self, *keys: str) -> None:
        """Delete objects; those that are not there are no error."""
        with self.translated(keys[0] if keys else ""):
            obstore.delete(self.client, [self.path(key) for key in keys])

    def zarr_store(self) -> object:
        """What zarr-python opens."""
        from zarr.storage import ObjectStore as ZarrObjectStore  # noqa: PLC0415  the thin path does not need zarr

        bucket, _, prefix = self.url.removeprefix("s3://").partition("/")
        return ZarrObjectStore(client_of(bucket, self.endpoint, self.region, prefix), read_only=True)

    @property
    def scratch_bytes(self) -> int:
        """Upper bound in bytes of what one open object holds in memory, beside what is read."""
        return SCRATCH_BYTES

    @property
    def client(self) -> "S3Store":
        """This process's connection."""
        return client_of(self.url.removeprefix("s3://").partition("/")[0], self.endpoint, self.region)

    @property
    def prefix(self) -> str:
        """Key of the URL within its bucket."""
        return self.url.removeprefix("s3://").partition("/")[2]

    def path(self, key: str) -> str:
        """Key within the bucket."""
        return f"{self.prefix}/{key}" if key else self.prefix

    def translated(self, key: str) -> AbstractContextManager[None]:
        """Errors of the client within the block, in this package's words."""
        return translated(f"{self.url}/{key}" if key else self.url, self.endpoint)

    def _relative(self, path: str) -> str:
        return path[len(self.prefix) + 1 :].rstrip("/")

    def _put_if(self, key: str, content: bytes, mode: object) -> str | None:
        try:
            with self.translated(key):
                return obstore.put(self.client, self.path(key), content, mode=mode, use_multipart=False)["e_tag"]  # pyright: ignore[reportArgumentType]
        except Conflict:
            return self._own(key, content)

    def _own(self, key: str, content: bytes) -> str | None:
        """The etag of the object where it is what this writer wrote, although the answer to its first try was lost."""
        try:
            stored, etag = self.read_tagged(key)
        except FileNotFoundError:
            return None
        return etag if stored == content else None


class RemoteFile:
    """An object that is open for reading: a stream from its first byte, and ranges of the same object wherever else."""

    def __init__(self, store: ObjectStore, key: str, whole: bool) -> None:
        self._store, self._key, self._at = store, key, 0
        self._stream: BytesStream | None = None
        self._rest: Bytes = np.empty(0, np.uint8)
        with store.translated(key):
            if whole:
                found = obstore.get(store.client, store.path(key))
                meta, self._stream = found.meta, found.stream(min_chunk_size=PART_BYTES)
            else:
                meta = obstore.head(store.client, store.path(key))
        self.size = meta["size"]
        self._etag = meta["e_tag"]

    def read_at(self, target: Bytes, offset: int) -> int:
        """Fill `target` from byte `offset` on and return the bytes read, fewer only at the end of the object."""
        try:
            with self._store.translated(self._key):
                return self._next(target, self._stream) if self._stream and offset == self._at else self._range(target, offset)
        except (Conflict, FileNotFoundError, EOFError) as error:
            raise CorruptData(f"{self._store.url}/{self._key} was changed while it was read: start again") from error

    def _next(self, target: Bytes, stream: "BytesStream") -> int:
        filled = 0
        while filled < target.size:
            if not self._rest.size:
                part = next(stream, None)
                if part is None:
                    break
                self._rest = np.frombuffer(part, np.uint8)
            count = min(self._rest.size, target.size - filled)
            target[filled : filled + count] = self._rest[:count]
            self._rest, filled = self._rest[count:], filled + count
        self._at += filled
        return filled

    def _range(self, target: Bytes, offset: int) -> int:
        end, filled = min(offset + target.size, self.size), 0
        if offset >= end:
            return 0
        found = obstore.get(self._store.client, self._store.path(self._key), options={"range": (offset, end), "if_match": self._etag})
        for part in found.stream(min_chunk_size=PART_BYTES):
            count = min(len(part), target.size - filled)
            target[filled : filled + count] = np.frombuffer(part, np.uint8)[:count]
            filled += count
        return filled


def object_store(url: str) -> ObjectStore:
    """The objects below a URL, at the endpoint and in the region that this process is configured for."""
    return ObjectStore(url, find_endpoint(), find_region())


def _plain(content: bytes | Bytes) -> bytes | memoryview:
    return content if isinstance(content, bytes) else content.data
