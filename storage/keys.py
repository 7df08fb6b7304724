"""The keys that open sealed arrays: 32 secret bytes, found by their name, by each process for itself, when it needs them.

    environment   GEMMFLOW_KEY_PAYROLL_2026            holds the key payroll-2026 as 64 hex digits or as base64
    folder        $GEMMFLOW_KEYS/payroll-2026.key      the same text in a file that only its owner may read
    keyring       the one of the operating system      service gemmflow, user payroll-2026; needs the package keyring

The first place that has the name decides. Only names travel between processes: a `Key` does not print, pickle or copy itself,
and no error shows or holds what was found, be it a key or not.
"""

import base64
import binascii
import os
import re
import shlex
import socket
import stat
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from storage.address import expanded
from storage.errors import BadInput
from storage.files import opened

KEY_BYTES = 32
VARIABLE, FOLDER = "GEMMFLOW_KEY_", "GEMMFLOW_KEYS"
SERVICE = "gemmflow"
HOW_TO_MAKE = 'make one with python -c "import secrets; print(secrets.token_hex(32))"'

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_HEX = re.compile(r"([0-9A-Fa-f]{2})+")
_LONGEST_TEXT = 1024


class Key:
    """Secret bytes that stay in this process."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, this one has {len(secret)}")
        self._secret = secret

    def reveal(self) -> bytes:
        """Return the secret, for the cipher and nothing else."""
        return self._secret

    def __repr__(self) -> str:
        return "Key(hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key never leaves its process: send its name")


def check_key_id(key_id: str) -> None:
    """Raise BadInput where this cannot be the name of a key."""
    if not _ID.fullmatch(key_id):
        raise BadInput(f"key id {key_id!r} must be 1 to 64 letters, digits, - and _, and not start with -: choose another name")


def variable(key_id: str) -> str:
    """Name of the environment variable of a key: `variable("payroll-2026") => "GEMMFLOW_KEY_PAYROLL_2026"`."""
    return VARIABLE + key_id.replace("-", "_").upper()


def resolve_key(key_id: str) -> Key:
    """Find a key by its name; raises BadInput where no place has it, or what is there is no key or open to others."""
    check_key_id(key_id)
    for place in (_from_environment, _from_folder, _from_keyring):
        key = place(key_id)
        if key is not None:
            return key
    folder = os.environ.get(FOLDER)
    raise BadInput(
        f"key {key_id!r} is not known on {socket.gethostname()}: set {variable(key_id)}, or put {key_id}.key into "
        f"{folder or 'a folder and its path into'} {'' if folder else FOLDER + ' '}(mode 600), or store it in the system's keyring "
        f"(service {SERVICE}, user {key_id}{'' if _keyring() else '; package keyring is not installed'}); {HOW_TO_MAKE}"
    )


def _from_environment(key_id: str) -> Key | None:
    text = os.environ.get(variable(key_id))
    return None if text is None else _parse(text, f"the environment variable {variable(key_id)}")


def _from_folder(key_id: str) -> Key | None:
    folder = os.environ.get(FOLDER)
    if not folder:
        return None
    path = expanded(folder) / f"{key_id}.key"
    try:
        with opened(str(path)) as descriptor:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            if mode & 0o077:
                raise BadInput(f"{path} is open to other users (mode {mode:03o}): chmod 600 {shlex.quote(str(path))}")
            return _parse(os.read(descriptor, _LONGEST_TEXT).decode("ascii", "replace"), str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): change its permissions or unset {FOLDER}") from error


def _from_keyring(key_id: str) -> Key | None:
    library = _keyring()
    if library is None:
        return None
    try:
        text = library.get_password(SERVICE, key_id)
    except library.errors.KeyringError:  # none on this host, or locked
        return None
    return None if text is None else _parse(text, f"the keyring's entry {SERVICE}, {key_id}")


def _keyring() -> ModuleType | None:
    """Import the optional package, None where it is not there."""
    try:
        return import_module("keyring")
    except ImportError:
        return None


def _parse(text: str, where: str) -> Key:
    secret = _decoded(text.strip())
    if secret is None:
        raise BadInput(f"{where} is neither hex nor base64, a key is {KEY_BYTES} bytes in one of them: {HOW_TO_MAKE}")
    if len(secret) != KEY_BYTES:
        raise BadInput(f"{where} holds {len(secret)} bytes, a key has {KEY_BYTES}: {HOW_TO_MAKE}")
    return Key(secret)


def _decoded(text: str) -> bytes | None:
    """The bytes of hex or base64, None where it is neither; no exception escapes, for it could hold the text."""
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
