"""Unfinished runs that nobody goes on with: where they lie in a folder, and for how long nothing was written."""

import os
import time
from pathlib import Path

from storage.beside import HOME, leftovers

_AGAIN_AND_AGAIN = ("holder", "journal")
"""Files of a run's folder that grow or change as long as it is written to."""


def unfinished_in(place: Path) -> list[Path]:
    """The OUTs with something unfinished beside them: `place` itself, and those directly inside it. In order of their names.

    Raises OSError where the folder cannot be read.
    """
    inside: list[Path] = []
    if place.is_dir():
        inside = sorted({entry.with_name(entry.name.partition(HOME)[0]) for entry in place.iterdir() if _is_ours(entry)})
    return [out for out in (place, *inside) if leftovers(out)]


def idle_seconds(out: Path) -> float:
    """Seconds since anything was written beside OUT, by the clocks of this host and of the file system; infinite where nothing lies there.

    A folder that vanishes meanwhile counts as just written to: somebody is at work there.
    """
    try:
        latest = max((_latest(folder) for folder in leftovers(out)), default=-float("inf"))
    except FileNotFoundError:
        return 0.0
    return max(0.0, time.time() - latest)


def _is_ours(entry: Path) -> bool:
    name, mark, rest = entry.name.partition(HOME)
    return bool(name and mark) and (not rest or rest.startswith("-")) and entry.is_dir()


def _latest(folder: Path) -> float:
    """When a folder of ours, its runs or what they write again and again were written to."""
    runs = [Path(run) for run in os.scandir(folder) if run.is_dir()]
    files = [path for run in runs for name in _AGAIN_AND_AGAIN if (path := run / name).exists()]
    return max(path.stat().st_mtime for path in (folder, *runs, *files))
