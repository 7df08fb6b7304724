"""Partial sums of a run that are kept until their tile is finished: files of the staging folder, whole or absent.

    sums/NAME    BLAKE3 of the content [32 bytes] | content        sealed where the result is
    numbers      MARK | length of the codec's name | its name | the numbers as a chunk in that codec

They save work, and nothing depends on them: what is missing, torn or changed is computed again.
"""

import contextlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.behind import WriteBehind
from storage.chain import Undecodable
from storage.codecs import CODECS
from storage.object_files import sealed_bytes, unsealed_bytes
from storage.record import Digest
from storage.staging import Staging, taken_over
from storage.sync import sync_folder, write_error

FOLDER = "sums"
DIGEST_BYTES = 32

MARK = b"sums"
"""What numbers start with; those of earlier states of this program do not, and are computed again."""


def keep_sum(staging: Staging, name: str, content: bytes) -> None:
    """Put a partial sum in place, as durable as the run's blocks. Raises TakenOver, DiskFull, GemmflowError."""
    folder = Path(staging.folder, FOLDER)
    durable = staging.durability == "power"
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        with WriteBehind(durable) as behind, behind.replacing(str(folder / name)) as file:
            file.append([sealed_bytes(staging.seal, f"{FOLDER}/{name}", with_digest(content))])
        if durable:
            sync_folder(str(folder))
    except FileNotFoundError as error:
        raise taken_over(staging) from error
    except OSError as error:
        raise write_error(folder / name, error) from error


def read_sum(staging: Staging, name: str) -> bytes | None:
    """A partial sum that was kept; None where there is none, or it is not what was written."""
    try:
        stored = Path(staging.folder, FOLDER, name).read_bytes()
        return without_digest(unsealed_bytes(staging.seal, f"{FOLDER}/{name}", stored))
    except (OSError, Undecodable):
        return None


def has_sums(staging: Path) -> bool:
    """Whether there is a file of partial sums in a staging folder."""
    folder = staging / FOLDER
    return folder.is_dir() and any(folder.iterdir())


def with_digest(content: bytes) -> bytes:
    """The content behind its hash."""
    return bytes.fromhex(Digest(content).hexdigest()) + content


def without_digest(stored: bytes) -> bytes | None:
    """The content, None where its hash is another one."""
    content = stored[DIGEST_BYTES:]
    return content if stored[:DIGEST_BYTES] == bytes.fromhex(Digest(content).hexdigest()) else None


def pack_numbers(values: NDArray[np.generic], codec: str) -> bytes:
    """C-contiguous numbers as a content that says itself in which row of CODECS it is."""
    body, checksum = CODECS[codec].parts(values)
    return b"".join([MARK, bytes([len(codec)]), codec.encode(), body.data, checksum])


def unpack_numbers(content: bytes, target: NDArray[np.generic]) -> bool:
    """Fill the C-contiguous `target`; False, and anything in it, where the content is something else."""
    start = len(MARK) + 1
    end = start + content[len(MARK)] if content[: len(MARK)] == MARK and len(content) > start else 0
    codec = CODECS.get(content[start:end].decode("ascii", "replace"))
    if codec is None or not codec.installed:
        return False
    try:
        codec.decode(np.frombuffer(content, np.uint8)[end:], target)
    except Undecodable:
        return False
    return True
