"""The seal of an array: the value that travels, and the clear header that lies in a sealed OUT.

    OUT/gemmflow-seal.json       clear: version, algorithm, id of the array, name of the user's key, wrapped data key, checksum
    OUT/gemmflow/seal.json       a copy: either of the two is enough
    OUT/zarr.json.sealed         sealed as object "zarr.json": Zarr metadata, certificate, root
    OUT/c/0/3                    sealed as object "c/0/3": the chunk as it would lie in a plain OUT, its checksum included
    OUT/gemmflow/manifest, ..    sealed as objects "gemmflow/manifest", ..

    user's key (never stored) --wraps--> data key (32 random bytes for each array) --seals--> objects (see envelope, cipher)

Without a zarr.json no Zarr library takes the folder for an array, and a chunk at its usual key has no bytes that any codec
decodes: what is not unsealed is an error, never numbers. Every object is bound to the array and its key, so that it opens in its
own place only. Hashes and checksums in records and manifest are of the plain encoded bytes: sealing a chunk again, with a new
nonce, changes no root, and an exported copy has the manifest and root of the sealed result. Sizes in records are of the plain
bytes, too; the file has SEAL_OVERHEAD bytes more.

What a thief of OUT still learns: sizes of all objects, hence the compression ratio of each chunk; the number of chunks in both
directions; names of folders and files; times; the name of the key and which arrays share one. Whoever can write to OUT can remove
it, put back a whole older state of the same array, or put a plain array in its place: only a root that the caller kept tells.
"""

import json
import re
import secrets
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import google_crc32c

from storage.envelope import NONCE_BYTES, TAG_BYTES
from storage.errors import BadInput, CorruptData
from storage.keys import KEY_BYTES, Key, check_key_id, resolve_key
from storage.sync import write_atomically

if TYPE_CHECKING:
    from storage.cipher import Cipher

SEAL_HEADER = "gemmflow-seal.json"
SEAL_COPY = "gemmflow/seal.json"
SEAL_FILES = (SEAL_HEADER, SEAL_COPY)
ALGORITHM = "AES-256-GCM"
VERSION = 1

_ARRAY_ID = re.compile(r"[0-9a-f]{32}")
_WRAPPED = re.compile(rf"[0-9a-f]{{{2 * (NONCE_BYTES + KEY_BYTES + TAG_BYTES)}}}")
_OPENED = 64


@dataclass(frozen=True)
class Seal:
    """What opens a sealed array, together with a key that is not in it."""

    array_id: str
    """Random, 32 hex digits; no two arrays share it."""
    key_id: str
    """Name of the user's key."""
    wrapped_key: str
    """The data key under the user's key, in hex."""

    def __post_init__(self) -> None:
        check_key_id(self.key_id)
        if not _ARRAY_ID.fullmatch(self.array_id) or not _WRAPPED.fullmatch(self.wrapped_key):
            raise ValueError("the id of the array or the wrapped key are not as many hex digits as they must be")

    def open(self) -> "Cipher":
        """Return the cipher of the array, found once in a process. Raises BadInput where the key is missing or another one."""
        return _opened(self)


def create_seal(key_id: str) -> Seal:
    """Return the seal of a new array, with a data key of its own. Raises BadInput where the key is missing."""
    return _sealed(secrets.token_hex(16), key_id, Key(secrets.token_bytes(KEY_BYTES)))


def rewrap(seal: Seal, key_id: str) -> Seal:
    """Return the seal of the same array under another key: no object changes. Raises BadInput where one of the keys is missing."""
    return _sealed(seal.array_id, key_id, _data_key(seal))


def require_key(key_id: str) -> None:
    """Raise BadInput where nothing can be sealed here under the key of this name."""
    create_seal(key_id)


def find_seal(folder: Path) -> Seal | None:
    """The seal of an array's or a run's folder, from its header or the copy; None where it has neither. Raises as `read_seal` does."""
    return read_seal(folder) if any((folder / name).exists() for name in SEAL_FILES) else None


def read_seal(folder: Path) -> Seal:
    """Read the header of a sealed array, or its copy where the header is lost.

    Raises BadInput where there is none or a newer one, CorruptData where both are damaged.
    """
    try:
        return _read(folder, SEAL_HEADER)
    except (BadInput, CorruptData):
        try:
            return _read(folder, SEAL_COPY)
        except (BadInput, CorruptData):
            pass
        raise


def unsound_headers(folder: Path, seal: Seal) -> list[str]:
    """Names of the header and its copy, where they are not the seal's."""
    content = render_seal(seal)
    return [name for name in SEAL_FILES if not (folder / name).is_file() or (folder / name).read_bytes() != content]


def _read(folder: Path, name: str) -> Seal:
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{folder} is no sealed array: its {name} cannot be read ({error.strerror})") from error
    seal, kind = _parse(content)
    if seal is not None:
        return seal
    if kind != (VERSION, ALGORITHM):
        raise BadInput(f"{path} is of version {kind}, this gemmflow reads {(VERSION, ALGORITHM)}: use a newer gemmflow")
    raise CorruptData(f"{path} is damaged: put a copy of it back, without it nothing opens the array")


def write_seal(folder: Path, seal: Seal) -> None:
    """Put the header and its copy into an array's folder, each whole and durable, in place of older ones. Raises OSError."""
    write_atomically(folder / SEAL_HEADER, render_seal(seal))
    (folder / SEAL_COPY).parent.mkdir(exist_ok=True)
    write_atomically(folder / SEAL_COPY, render_seal(seal))


def render_seal(seal: Seal) -> bytes:
    """Return the header's content, which has one form only, so that damage shows without a key."""
    document = {"version": VERSION, "algorithm": ALGORITHM, **asdict(seal)}
    check = google_crc32c.value(json.dumps(document).encode())
    return json.dumps({**document, "crc32c": f"{check:08x}"}, indent=2).encode()


def _parse(content: bytes) -> tuple[Seal | None, tuple[object, object]]:
    """The seal and the kind of a header's content; no seal where it is damaged or of another kind."""
    kind: tuple[object, object] = (VERSION, ALGORITHM)
    try:
        document = json.loads(content)
        kind = document["version"], document["algorithm"]
        seal = Seal(*(document[field.name] for field in fields(Seal)))
        return (seal if content == render_seal(seal) else None), kind
    except (ValueError, KeyError, TypeError, BadInput):
        return None, kind


@lru_cache(maxsize=_OPENED)
def _opened(seal: Seal) -> "Cipher":
    return _library().Cipher(seal.array_id, _data_key(seal))


def _sealed(array_id: str, key_id: str, data_key: Key) -> Seal:
    return Seal(array_id, key_id, _library().wrap(resolve_key(key_id), data_key, array_id, key_id).hex())


def _data_key(seal: Seal) -> Key:
    key = _library().unwrap(resolve_key(seal.key_id), bytes.fromhex(seal.wrapped_key), seal.array_id, seal.key_id)
    if key is None:
        raise BadInput(f"key {seal.key_id!r} is not the one that sealed the array (id {seal.array_id}): find the one of that time")
    return key


def _library() -> ModuleType:
    """The module that encrypts; raises BadInput where its package is missing."""
    try:
        from storage import cipher  # noqa: PLC0415  an optional package
    except ImportError as error:
        raise BadInput("sealed results need the package cryptography: pip install cryptography") from error
    return cipher
