"""A published result: its certificate, and whether every chunk of it is still sound."""

import json
from itertools import product
from pathlib import Path

import numpy as np

from storage.errors import BadInput, CorruptData
from storage.formats import open_matrix
from storage.grid import grid_shape

CERTIFICATE = "gemmflow"
HEADER = "zarr.json"


def read_certificate(out: Path) -> dict[str, object]:
    """Return what the run wrote about itself.

    Raises BadInput where OUT is missing or is no result of gemmflow, CorruptData where its metadata are damaged.
    """
    if not out.exists():
        raise BadInput(f"{out} does not exist: check the path")
    try:
        certificate = json.loads((out / HEADER).read_bytes())["attributes"][CERTIFICATE]
    except OSError as error:
        raise BadInput(f"{out} is no result of gemmflow: its {HEADER} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise CorruptData(f"{out} has a damaged {HEADER} ({error}): compute it again with multiply --overwrite") from error
    except (KeyError, TypeError) as error:
        raise BadInput(f"{out} is no result of gemmflow: its attributes hold no {CERTIFICATE!r}") from error
    if not isinstance(certificate, dict):
        raise BadInput(f"{out} is no result of gemmflow: its attribute {CERTIFICATE!r} is no table")
    return certificate


def verify_storage(out: Path) -> list[str]:
    """Read and decode every chunk; return the keys of the files that are missing, of wrong size or fail their checksum.

    Damaged metadata are named alone: without them no chunk can be judged.
    Raises BadInput where OUT is no result of gemmflow. Needs memory for one chunk beside the matrix's scratch.
    """
    try:
        read_certificate(out)
    except CorruptData:
        return [HEADER]
    matrix = open_matrix(out)
    (height, width), files = matrix.chunks, matrix.shard or matrix.chunks
    buffer = np.empty(matrix.chunks, matrix.dtype)
    damaged: list[str] = []
    for i, j in product(*(range(count) for count in grid_shape(matrix.shape, matrix.chunks))):
        rows = slice(i * height, min((i + 1) * height, matrix.shape[0]))
        cols = slice(j * width, min((j + 1) * width, matrix.shape[1]))
        try:
            sound = matrix.read_into(buffer[: rows.stop - rows.start, : cols.stop - cols.start], rows, cols) > 0
        except CorruptData:
            sound = False
        if not sound:
            key = f"c/{i * height // files[0]}/{j * width // files[1]}"
            damaged += [key] if key not in damaged else []
    return damaged
