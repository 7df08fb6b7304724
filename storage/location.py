"""Whether two places are one, or one lies inside the other, however they are written: by inode, so that links and mounts hide nothing.

    data/C.zarr, data/../data/C.zarr, link-to-data/C.zarr      the same place, whether it exists or not
    s3://lab/C, s3://lab/C/                                     the same place, too

What does not exist yet is told by the nearest folder above that does, and the names below it. A location is made once and compared
often: among a thousand places nothing is looked up twice.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from storage.address import absolute, expanded, is_url

Key = tuple[object, ...]


@dataclass(frozen=True)
class Location:
    """A place on this host's file systems or on an object store."""

    key: Key
    """The same for every way to write it."""
    above: frozenset[Key]
    """Keys of the folders that it lies in."""

    def inside(self, other: "Location") -> bool:
        """Whether it lies below the other."""
        return other.key in self.above


def locate(place: str | Path) -> Location:
    """The location of a path or URL. Raises BadInput where it is the URL of no object, and as `expanded` does."""
    if is_url(place):
        parts = absolute(str(place)).split("/")
        return Location(("url", *parts), frozenset(("url", *parts[:count]) for count in range(3, len(parts))))
    real = Path(os.path.realpath(expanded(place)))
    return Location(_key(real), frozenset(map(_key, real.parents)))


def _key(real: Path) -> Key:
    """Device and inode of the nearest folder that exists, and the names below."""
    below: list[str] = []
    for folder in (real, *real.parents):
        try:
            status = folder.stat()
        except OSError:
            below.append(folder.name)
            continue
        return (status.st_dev, status.st_ino, *reversed(below))
    return (str(real),)
