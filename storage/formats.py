"""The table of input formats. A new format is one row: how to recognise a path, and how to open it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from storage.errors import BadInput
from storage.matrix import Matrix
from storage.npy import is_npy, open_npy
from storage.sealed import is_sealed, open_sealed
from storage.zarr_header import is_zarr, open_zarr


@dataclass(frozen=True)
class Format:
    """One way in which a matrix can be stored."""

    recognises: Callable[[Path], bool]
    """Whether an existing path looks like this format."""
    open: Callable[[Path], Matrix]
    """Open it by its headers; raises BadInput where it is no matrix."""


FORMATS: dict[str, Format] = {
    "sealed": Format(is_sealed, open_sealed),
    "zarr": Format(is_zarr, open_zarr),
    "npy": Format(is_npy, open_npy),
}


def open_matrix(path: str | Path) -> Matrix:
    """Open a stored matrix by its headers only; raises BadInput where there is none, saying why."""
    place = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100  symbolic links stay as the caller named them
    try:
        if not place.exists():
            raise BadInput(f"{place} does not exist: check the path")
        row = next((row for row in FORMATS.values() if row.recognises(place)), None)
        if row is None:
            raise BadInput(f"{place} is {_what(place)}: give a folder with a Zarr array or a .npy file ({', '.join(FORMATS)})")
        return row.open(place)
    except PermissionError as error:
        raise BadInput(f"{error.filename or place} may not be read by this user: change its permissions") from error


def _what(place: Path) -> str:
    return "a folder without Zarr metadata" if place.is_dir() else "a file that does not start like .npy"
