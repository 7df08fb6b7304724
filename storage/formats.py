"""The table of input formats. A new format is one row: how to recognise a path, and how to open it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from storage.absent import zarr_occupancy
from storage.address import absolute, is_url
from storage.errors import BadInput, Unreachable
from storage.folder import Folder, LocalFolder
from storage.matrix import Matrix
from storage.npy import is_npy, open_npy
from storage.npz_survey import npz_occupancy
from storage.occupancy import Occupancy
from storage.sealed import is_sealed, open_sealed
from storage.sparse_npz import is_npz, open_npz
from storage.zarr_header import is_zarr, open_zarr


@dataclass(frozen=True)
class Format:
    """One way in which a matrix can be stored."""

    recognises: Callable[[Path], bool]
    """Whether an existing path looks like this format."""
    open: Callable[[Path], Matrix]
    """Open it by its headers; raises BadInput where it is no matrix."""
    occupancy: Callable[[Matrix], Occupancy | None] = lambda matrix: None
    """Which parts of it are stored at all; None where all are, or it is not known. Raises BadInput where it is damaged."""


FORMATS: dict[str, Format] = {
    "sealed": Format(is_sealed, open_sealed),
    "zarr": Format(is_zarr, lambda path: open_zarr(LocalFolder(str(path))), zarr_occupancy),
    "npy": Format(is_npy, open_npy),
    "npz": Format(is_npz, open_npz, npz_occupancy),
}


def open_matrix(place: str | Path) -> Matrix:
    """Open a stored matrix by its headers only; raises BadInput where there is none, saying why.

    A matrix on an object store is a Zarr array; every row of FORMATS is recognised on a local file system.
    """
    address = absolute(str(place))
    return _open_remote(address) if is_url(address) else _open_local(Path(address))


def occupied(matrix: Matrix) -> Matrix:
    """The matrix with what is known of which parts are stored: a listing of its chunks, or a pass over a sparse one."""
    return replace(matrix, occupancy=FORMATS[matrix.format].occupancy(matrix))


def _open_local(place: Path) -> Matrix:
    try:
        if not place.exists():
            raise BadInput(f"{place} does not exist: check the path")
        row = next((row for row in FORMATS.values() if row.recognises(place)), None)
        if row is None:
            raise BadInput(f"{place} is {_what(place)}: give a folder with a Zarr array, a .npy or sparse .npz file ({', '.join(FORMATS)})")
        return row.open(place)
    except PermissionError as error:
        raise BadInput(f"{error.filename or place} may not be read by this user: change its permissions") from error


def _open_remote(url: str) -> Matrix:
    if url.endswith((".npy", ".npz")):
        raise BadInput(f"{url}: {url[-4:]} files are read from local file systems only; write the matrix as a Zarr array")
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
