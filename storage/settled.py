"""Settle once, and everybody agrees: a decision that the workers of a run make together without a word.

    worker 1   decides   file beside, fsync, link -> codec            the first link is the decision
    worker 2   decides   file beside, fsync, link fails: it exists    its own answer is dropped, the file's is taken
    worker 3   reads codec

The file lies in the staging folder, so that a resumed run finds what the interrupted one had settled. Zarr fixes the codec of an
array: once it is settled, `declare_codec` puts it into the array's metadata.
"""

import contextlib
import errno
import json
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storage.chain import Undecodable
from storage.codecs import Codec
from storage.errors import GemmflowError, TakenOver
from storage.folder import LocalFolder
from storage.object_files import read_object, sealed_bytes, unsealed_bytes, write_object
from storage.seal import Seal
from storage.sync import PARTIAL, sync_folder, write_all, write_error

Decision = dict[str, object]

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
"""What a file system says that has no hard links."""

TORN_SECONDS = 5.0
"""How long a decision may be half written where there are no links."""


def settle(path: Path, decide: Callable[[], Decision], seal: Seal | None = None) -> Decision:
    """Return the decision at `path`, durable; where there is none yet, `decide` makes one and the first to write wins.

    `decide` returns JSON. Raises TakenOver (the folder is gone), DiskFull, GemmflowError (the file is torn).
    """
    try:
        if not path.exists():
            _offer(path, sealed_bytes(seal, path.name, json.dumps(decide(), allow_nan=False).encode()))
        decision = _read(path, seal)
        sync_folder(str(path.parent))  # also for a loser: what it writes next relies on the winner's file
    except FileNotFoundError as error:
        raise TakenOver(f"{error.filename} is gone: the run ended or was taken over meanwhile") from error
    except OSError as error:
        raise write_error(path, error) from error
    return decision


def read_settled(path: Path, seal: Seal | None = None) -> Decision | None:
    """Return what was settled, None where nothing was; raises GemmflowError where it cannot be read."""
    try:
        return _read(path, seal)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GemmflowError(f"{path} cannot be read ({error.strerror}): check the file system, then run again") from error


def declare_codec(array: str, codec: Codec, itemsize: int, seal: Seal | None = None) -> None:
    """Make a codec the one that the array's zarr.json names, whole and durable; raises OSError."""
    document = json.loads(read_object(LocalFolder(array), "zarr.json", seal))
    name_codec(document, codec, itemsize)
    write_object(Path(array), "zarr.json", json.dumps(document, indent=2).encode(), seal)


def name_codec(document: dict[str, Any], codec: Codec, itemsize: int) -> None:
    """Name a codec in the metadata of an array, for its chunks, also where they lie in shards."""
    outer = document["codecs"][0]
    holder = outer["configuration"] if outer["name"] == "sharding_indexed" else document
    holder["codecs"] = codec.metadata(itemsize)


def _offer(path: Path, content: bytes) -> None:
    """Make the file appear, whole, unless it exists."""
    aside = Path(f"{path}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")
    try:
        _create(aside, content)
        with contextlib.suppress(FileExistsError):
            _link(aside, path, content)
    finally:
        aside.unlink(missing_ok=True)


def _link(aside: Path, path: Path, content: bytes) -> None:
    try:
        path.hardlink_to(aside)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        _create(path, content)


def _create(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        write_all(descriptor, [content])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, seal: Seal | None) -> Decision:
    """Read the decision; without links the winner may still be writing it."""
    deadline = time.monotonic() + TORN_SECONDS
    while True:
        try:
            return json.loads(unsealed_bytes(seal, path.name, path.read_bytes()))
        except (ValueError, Undecodable) as error:
            if time.monotonic() > deadline:
                raise GemmflowError(f"{path} is torn, so nothing was stored by it: remove it, then run again") from error
            time.sleep(0.01)
