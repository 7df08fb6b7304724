"""What an earlier run left in a staging folder that can be trusted, and the rest of it removed.

A chunk counts only if a durable record names it and its file has the recorded size: whether a file exists is never an answer.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from storage.manifest import HEADER
from storage.record import ChunkRecord
from storage.staging import Staging, write_header
from storage.sync import write_error


def salvage(staging: Staging, records: Iterable[ChunkRecord]) -> set[str]:
    """Keys of the recorded chunks that are there; every other file of the array is removed, its metadata are written afresh.

    Raises DiskFull, GemmflowError.
    """
    expected = {record.key: record.nbytes for record in records}
    array = Path(staging.array)
    sound = {key for key, nbytes in expected.items() if _size(array / key) == nbytes}
    try:
        for folder, _, files in os.walk(array):
            for name in files:
                path = Path(folder, name)
                if path.relative_to(array).as_posix() not in sound:
                    path.unlink()
        for row in range(staging.spec.grid[0]):
            (array / "c" / str(row)).mkdir(parents=True, exist_ok=True)
        write_header(array, staging.spec, staging.run_id)
    except OSError as error:
        raise write_error(array / HEADER, error) from error
    return sound


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
