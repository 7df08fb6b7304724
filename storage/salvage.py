"""What an earlier run left in a staging folder that can be trusted, and the rest of it removed.

A chunk counts only if a durable record names it and its file has the recorded size and ends in the recorded checksum: whether a
file exists is never an answer. A chunk that was written again before its new record was durable has other bytes, often as many.
A sealed chunk is unsealed to be judged: its checksum cannot be seen otherwise.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from storage.chain import CRC_BYTES, Undecodable
from storage.codecs import suffix
from storage.files import opened
from storage.manifest import HEADER
from storage.object_files import unseal
from storage.record import ChunkRecord
from storage.seal import Seal
from storage.staging import Staging, taken_over
from storage.sync import write_error
from storage.unfinished import write_header


def salvage(staging: Staging, records: Iterable[ChunkRecord]) -> set[str]:
    """Keys of the recorded chunks that are there; every other file of the array is removed, its metadata are written afresh.

    Raises TakenOver, DiskFull, GemmflowError.
    """
    latest = {record.key: record for record in records}
    array = Path(staging.array)
    sound = {key for key, record in latest.items() if _is_there(array / key, record, staging.seal)}
    try:
        for folder, _, files in os.walk(array):
            for name in files:
                path = Path(folder, name)
                if path.relative_to(array).as_posix() not in sound:
                    path.unlink()
        for folder in ("c", *(f"c/{row}" for row in range(staging.spec.grid[0]))):
            (array / folder).mkdir(exist_ok=True)  # never its parents: that would bring back a folder that was taken over
        write_header(array, staging.spec, staging.run_id, staging.seal)
    except FileNotFoundError as error:
        raise taken_over(staging) from error
    except OSError as error:
        raise write_error(array / HEADER, error) from error
    return sound


def _is_there(path: Path, record: ChunkRecord, seal: Seal | None) -> bool:
    try:
        if seal is not None:
            plain = unseal(seal, record.key, np.frombuffer(path.read_bytes(), np.uint8))
            return plain.size == record.nbytes and plain[-CRC_BYTES:].tobytes() == suffix(record.crc32c)
        with opened(str(path)) as descriptor:
            end = os.pread(descriptor, CRC_BYTES + 1, record.nbytes - CRC_BYTES)
    except (OSError, Undecodable):
        return False
    return end == suffix(record.crc32c)
