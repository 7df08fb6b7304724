"""The objects of an array's folder, chunks, metadata and manifest, whether the array is sealed or not.

key           plain file    sealed file
zarr.json     zarr.json     zarr.json.sealed     so that no Zarr library takes a sealed folder for an array
any other     its key       its key
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from storage.chain import Undecodable
from storage.envelope import SEAL_OVERHEAD
from storage.errors import CorruptData
from storage.files import Bytes
from storage.folder import Folder
from storage.seal import Seal
from storage.sync import write_atomically

SEALED_NAMES = {"zarr.json": "zarr.json.sealed"}


def object_file(folder: Path, key: str, seal: Seal | None) -> Path:
    """Where an object of an array lies."""
    return folder / object_name(key, seal)


def object_name(key: str, seal: Seal | None) -> str:
    """The name of an object's file, relative to the array."""
    return SEALED_NAMES.get(key, key) if seal else key


def seal_parts(seal: Seal | None, key: str, parts: Sequence[bytes | Bytes]) -> Sequence[bytes | Bytes]:
    """Return the parts of the file of an object whose own parts are given, valid until this thread seals again."""
    return seal.open().seal(key, parts) if seal else parts


def unseal(seal: Seal | None, key: str, stored: Bytes) -> Bytes:
    """Return the object in a file, valid until this thread unseals again; raises Undecodable where it is not this very object."""
    return seal.open().unseal(key, stored) if seal else stored


def overhead(seal: Seal | None) -> int:
    """Bytes by which the file of an object is longer than the object."""
    return SEAL_OVERHEAD if seal else 0


def sealed_bytes(seal: Seal | None, key: str, content: bytes) -> bytes:
    """Return the file of a small object."""
    return b"".join(part if isinstance(part, bytes) else part.tobytes() for part in seal_parts(seal, key, [content]))


def unsealed_bytes(seal: Seal | None, key: str, stored: bytes) -> bytes:
    """Return the small object in a file; raises Undecodable where it is not this very object."""
    return unseal(seal, key, np.frombuffer(stored, np.uint8)).tobytes() if seal else stored


def read_object(folder: Folder, key: str, seal: Seal | None) -> bytes:
    """Return the plain bytes of an object.

    Raises OSError where it cannot be read, CorruptData where it does not unseal, BadInput where its key is missing or another one.
    """
    name = object_name(key, seal)
    return unseal_file(f"{folder}/{name}", key, folder.read(name).content, seal)


def unseal_file(path: str | Path, key: str, stored: bytes, seal: Seal | None) -> bytes:
    """Return the plain bytes of an object whose file was read; raises as `read_object` does."""
    try:
        return unsealed_bytes(seal, key, stored)
    except Undecodable as error:
        raise CorruptData(f"{path} {error}; restore it from a copy") from error


def write_object(folder: Path, key: str, content: bytes, seal: Seal | None) -> None:
    """Put an object in place, whole and durable. Raises OSError, BadInput where the seal's key is missing or another one."""
    write_atomically(object_file(folder, key, seal), sealed_bytes(seal, key, content))
