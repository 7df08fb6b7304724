"""Was an input changed? A hash of the names, sizes and times of all files of a matrix: nothing of it is read.

Of the two times that a file has, nobody can set back the one of its last change of any kind, so a file that was moved away and put
back counts as changed, too.

On an object store the etag, which names the content, stands in for the time.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3

from storage.address import is_url
from storage.errors import BadInput
from storage.matrix import Matrix
from storage.record import digest


def contents_stamp(matrix: Matrix) -> str:
    """The stamp of a matrix; whatever is done to one of its files changes it. Raises BadInput where it cannot be looked at."""
    if is_url(matrix.path):
        return _remote_stamp(matrix.path)
    place = Path(matrix.path)
    try:
        facts = sorted(_facts(place, "")) if place.is_dir() else [_fact("", place.stat())]
    except OSError as error:
        raise BadInput(f"{place} cannot be looked at ({error.strerror}): check the path") from error
    return digest("\n".join(facts).encode())


def _remote_stamp(url: str) -> str:
    from storage.objects import object_store  # noqa: PLC0415  its library is an extra

    hashed = blake3()
    for listed in object_store(url).list():
        hashed.update(f"{listed.key!r} {listed.size} {listed.etag}\n".encode())
    return hashed.hexdigest()


def _facts(folder: Path, inside: str) -> Iterator[str]:
    """Of every file in a folder and the folders in it, those behind links too."""
    with os.scandir(folder / inside) as entries:
        for entry in entries:
            name = f"{inside}{entry.name}"
            if entry.is_dir():
                yield from _facts(folder, f"{name}/")
            elif entry.is_file():
                yield _fact(name, entry.stat())


def _fact(name: str, status: os.stat_result) -> str:
    return f"{name!r} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
