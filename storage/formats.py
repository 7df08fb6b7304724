"""The table of input formats. A new format is one row: how to recognise a path, and how to open it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from storage.address import absolute, is_url
from storage.errors import BadInput, Unreachable
from storage.folder import Folder, LocalFolder
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
    "zarr": Format(is_zarr, lambda path: open_zarr(LocalFolder(str(path)))),
    "npy": Format(is_npy, open_npy),
}


def open_matrix(place: str | Path) -> Matrix:
    """Open a stored matrix by its headers only; raises BadInput where there is none, saying why.

    A matrix on an object store is a Zarr array; every row of FORMATS is recognised on a local file system.
    """
    address = absolute(str(place))
    return _open_remote(address) if is_url(address) else _open_local(Path(address))


def _open_local(place: Path) -> Matrix:
    try:
        if not place.exists():
            raise BadInput(f"{place} does not exist: check the path")
        row = next((row for row in FORMATS.values() if row.recognises(place)), None)
        if row is None:
            raise BadInput(f"{place} is {_what(place)}: give a folder with a Zarr array or a .npy file ({', '.join(FORMATS)})")
        return row.open(place)
    except PermissionError as error:
        raise BadInput(f"{error.filename or place} may not be read by this user: change its permissions") from error


def _open_remote(url: str) -> Matrix:
    if url.endswith(".npy"):
        raise BadInput(f"{url}: .npy files are read from local file systems only; write the matrix as a Zarr array")
    try:
        return open_zarr(open_folder(url))
    except Unreachable as error:
        raise BadInput(str(error)) from error  # nothing was written, and the address is the first thing to check


def open_folder(url: str) -> Folder:
    """The objects below a URL; raises BadInput where it is no address or the library of object stores is missing."""
    try:
        from storage.objects import object_store  # noqa: PLC0415  its library is an extra
    except ModuleNotFoundError as error:
        raise BadInput(f"{url}: object stores need another library: pip install 'gemmflow[s3]'") from error
    return object_store(absolute(url))


def _what(place: Path) -> str:
    return "a folder without Zarr metadata" if place.is_dir() else "a file that does not start like .npy"
