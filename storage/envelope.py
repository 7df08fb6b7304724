"""The file of a sealed object: what lies in it, and what binds it to its place.

    offset 0      magic    8 bytes   b"GMMFSL1\\n"
           8      nonce   12 bytes   random, new at every write
          20      body     n bytes   the object under AES-256-GCM
          20 + n  tag     16 bytes   over the body and, unstored: magic, id of the array, key of the object ("c/0/3", "zarr.json")

An object that is put in another's place, in this array or in another one, therefore has a wrong tag.
"""

from typing import NamedTuple

from storage.chain import Undecodable
from storage.files import Bytes

MAGIC = b"GMMFSL1\n"
NONCE_BYTES = 12
TAG_BYTES = 16
SEAL_OVERHEAD = len(MAGIC) + NONCE_BYTES + TAG_BYTES
"""Bytes by which the file of a sealed object is longer than the object."""

_SLACK = 15  # room that older versions of the library ask for behind their output
_HEAD = len(MAGIC) + NONCE_BYTES


class Envelope(NamedTuple):
    """The parts of a file behind its magic."""

    nonce: bytes
    body: Bytes
    tag: bytes


def split(stored: Bytes) -> Envelope:
    """Take a file apart, without a copy of the body; raises Undecodable where it is no sealed object."""
    if stored.size < SEAL_OVERHEAD or stored[: len(MAGIC)].tobytes() != MAGIC:
        raise Undecodable(f"is no sealed object of version 1 ({stored.size} bytes): it was tampered with or written by others")
    return Envelope(stored[len(MAGIC) : _HEAD].tobytes(), stored[_HEAD:-TAG_BYTES], stored[-TAG_BYTES:].tobytes())


def bound(array_id: str, key: str) -> bytes:
    """What a tag covers beside the body. Ids of arrays are equally long, so no two objects share it."""
    return MAGIC + array_id.encode() + key.encode()


def sealing_bytes(nbytes: int) -> int:
    """Bytes of scratch that sealing or unsealing an object of `nbytes` borrows."""
    return nbytes + _SLACK
