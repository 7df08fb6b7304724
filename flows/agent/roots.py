"""Which files an agent may name: those in the roots that the operator gave, however a name is written.

    --root /data      A.zarr, /data/A.zarr, /data/x/../A.zarr      in it
                      ../etc, /etc, /data/link-to-etc, s3://b/A    not in it

A relative name is one in the first root. Links are followed before a name is judged, by inode, and what is judged is what is used: the
name without links. An input that is a folder must hold no link that leads out of the roots either.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.agent.faults import AgentError
from storage import Location, Unreachable, absolute, expanded, is_url, locate
from storage.formats import open_folder
from tasks.errors import BadInput


@dataclass(frozen=True)
class Roots:
    """The folders, and places on object stores, that an agent may use."""

    places: tuple[str, ...]
    """Absolute, without links."""
    locations: tuple[Location, ...]

    def confine(self, place: object, *, or_root: bool = False) -> str:
        """The place, absolute and without links; `or_root`: a root itself will do.

        Raises AgentError where it is in no root, BadInput where it is no place.
        """
        if not isinstance(place, str) or not place.strip():
            raise AgentError("bad_input", f"{place!r} is no path", "give a path as text")
        given = absolute(place if is_url(place) else os.path.join(self.places[0], place))  # noqa: PTH118 - an absolute one stays
        real = given if is_url(given) else os.path.realpath(given)
        if not self.hold(real) and not (or_root and self._are(real)):
            how = " once its links are followed" if self._names(os.path.normpath(given)) else ""
            raise AgentError("outside_roots", f"{place} is not in {' or '.join(self.places)}{how}", "name a path in one of these")
        return real

    def confine_input(self, place: object) -> str:
        """The same for what is read, which may be a whole root: nor may a link in it lead out."""
        real = self.confine(place, or_root=True)
        if not is_url(real):
            for link in links_in(real):
                if not self.hold(os.path.realpath(link)):
                    cause = f"{link} is a link out of {' or '.join(self.places)}"
                    raise AgentError("outside_roots", cause, "name an array without such links")
        return real

    def hold(self, place: str | Path) -> bool:
        """Whether a place without links lies below one of the roots."""
        location = locate(place)
        return any(location.inside(root) for root in self.locations)

    def _are(self, place: str) -> bool:
        """Whether a place without links is one of the roots."""
        key = locate(place).key
        return any(root.key == key for root in self.locations)

    def _names(self, written: str) -> bool:
        """Whether a place reads as one below a root, wherever its links lead."""
        return any(root != written and Path(written).is_relative_to(root) for root in self.places)

    def touch(self, folder: str) -> bool:
        """Whether a folder is a root, or one of both lies in the other."""
        location = locate(folder)
        return any(location.key == root.key or location.inside(root) or root.inside(location) for root in self.locations)


def open_roots(given: Sequence[str]) -> Roots:
    """The roots. Raises BadInput where there is none, or one cannot be reached."""
    if not given:
        raise BadInput("no --root is given: name a folder that agents may read and write, as --root /data")
    places = tuple(_reached(place) for place in given)
    return Roots(places, tuple(map(locate, places)))


def links_in(place: str) -> Iterator[str]:
    """Every symbolic link in a folder, at any depth; none where it is a file or missing."""
    waiting = [place] if Path(place).is_dir() else []
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield entry.path
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _reached(given: str) -> str:
    if is_url(given):
        place = absolute(given)
        try:
            open_folder(place).entries()
        except Unreachable as error:
            raise BadInput(f"--root {error}") from None
        return place
    place = expanded(given).absolute()
    if not place.is_dir():
        raise BadInput(f"--root {given} is no folder: create it, or name another one")
    if not os.access(place, os.R_OK | os.X_OK):
        raise BadInput(f"--root {given} may not be read by this user: change its permissions, or name another one")
    return os.path.realpath(place)
