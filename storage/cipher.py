"""Sealing and unsealing the objects of one array with AES-256-GCM (NIST SP 800-38D), and wrapping its data key.

    key of the user --HKDF(array id)--> wrapping key --AES-256-GCM--> wrapped data key, in the seal
    data key        --HKDF(array id)--> a key for chunks, a key for metadata

No key is used in two arrays. With random nonces of 96 bits, the chance that one repeats is below 1e-16 for a million writes.
Needs the package cryptography: import it through `storage.seal`, which says what to install. HKDF: RFC 5869.
"""

import os
from collections.abc import Iterator, Sequence
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as Library
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.buffers import borrow
from storage.chain import Undecodable
from storage.envelope import MAGIC, NONCE_BYTES, bound, sealing_bytes, split
from storage.files import Bytes
from storage.keys import KEY_BYTES, Key

REFUSED = "does not unseal: it was tampered with, swapped, renamed or sealed under another key"

_LABEL = b"gemmflow seal 1 "
_LARGEST_PIECE = 1 << 30


class Cipher:
    """Seals and unseals the objects of one array. Safe to use from several threads; never leaves its process."""

    __slots__ = ("_array_id", "_chunks", "_metadata")

    def __init__(self, array_id: str, data_key: Key) -> None:
        self._array_id = array_id
        self._chunks = derive(data_key, array_id, "chunks")
        self._metadata = derive(data_key, array_id, "metadata")

    def seal(self, key: str, parts: Sequence[bytes | Bytes]) -> tuple[bytes, Bytes, bytes]:
        """Return the parts of the file of an object whose own parts are given, valid until this thread seals again."""
        nonce, size, filled = os.urandom(NONCE_BYTES), sum(len(part) for part in parts), 0
        context = Library(self._algorithm(key), GCM(nonce)).encryptor()
        context.authenticate_additional_data(bound(self._array_id, key))
        body = borrow("sealed", sealing_bytes(size))
        for piece in _pieces(parts):
            filled += context.update_into(piece, body[filled:].data)
        context.finalize()
        return MAGIC + nonce, body[:size], context.tag

    def unseal(self, key: str, stored: Bytes) -> Bytes:
        """Return the object in a file, valid until this thread unseals again; raises Undecodable where it is not this very object."""
        nonce, sealed, tag = split(stored)
        context, filled = Library(self._algorithm(key), GCM(nonce, tag)).decryptor(), 0
        context.authenticate_additional_data(bound(self._array_id, key))
        body = borrow("unsealed", sealing_bytes(sealed.size))
        for piece in _pieces([sealed]):
            filled += context.update_into(piece, body[filled:].data)
        try:
            context.finalize()
        except InvalidTag as error:
            raise Undecodable(REFUSED) from error
        return body[: sealed.size]

    def _algorithm(self, key: str) -> AES:
        return AES((self._chunks if key.startswith("c/") else self._metadata).reveal())

    def __repr__(self) -> str:
        return f"Cipher({self._array_id}, keys hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a cipher never leaves its process: send the Seal that opens it")


def derive(key: Key, array_id: str, purpose: str) -> Key:
    """Return a key for one purpose in one array, which tells nothing about the others."""
    return Key(HKDF(SHA256(), KEY_BYTES, bytes.fromhex(array_id), _LABEL + purpose.encode()).derive(key.reveal()))


def wrap(key: Key, data_key: Key, array_id: str, key_id: str) -> bytes:
    """Return the data key of an array under the user's key of this name."""
    nonce = os.urandom(NONCE_BYTES)
    wrapping = AESGCM(derive(key, array_id, "wrap").reveal())
    return nonce + wrapping.encrypt(nonce, data_key.reveal(), bound(array_id, key_id))


def unwrap(key: Key, wrapped: bytes, array_id: str, key_id: str) -> Key | None:
    """Return the data key, None where key, name or array are not those that wrapped it."""
    wrapping = AESGCM(derive(key, array_id, "wrap").reveal())
    try:
        return Key(wrapping.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], bound(array_id, key_id)))
    except InvalidTag:
        return None


def _pieces(parts: Sequence[bytes | Bytes]) -> Iterator[memoryview]:
    """Give every byte of every part, in runs that the library takes at once."""
    for part in parts:
        whole = memoryview(part if isinstance(part, bytes) else part.data)
        for begin in range(0, len(whole), _LARGEST_PIECE):
            yield whole[begin : begin + _LARGEST_PIECE]
