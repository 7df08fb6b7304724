"""Small products computed in this process, tile by tile, without a cluster: what the workers do, where a debugger can see it."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import scipy.sparse
import zarr

from storage import OutputSpec, Staging, create_staging, occupied, open_matrix
from tasks.geometry import blocks
from tasks.ladder import ARITHMETICS
from tasks.plan import TileShape
from tasks.recipe import Recipe
from tasks.survey import Operand
from tasks.tile import compute_tile
from tasks.walk import Walk
from tasks.workspace import release


@dataclass(frozen=True)
class Way:
    """How a small product is computed."""

    tile: tuple[int, int, int] = (8, 8, 8)
    kept: tuple[bool, bool] = (False, False)
    residency: str = "C"
    chunk: tuple[int, int] = (8, 8)
    shard: tuple[int, int] | None = None
    arithmetic: str = "float32"
    dtype_out: str = "float32"
    transpose: tuple[bool, bool] = (False, False)
    in_chunks: tuple[int, int] = (5, 7)
    form: str = "zarr3"
    alpha: float = 1.0
    beta: float = 0.0
    exact: bool = False
    allow_nonfinite: bool = False
    share: float = 0.0
    codec: str = "blosc-lz4"
    device: str = "cpu"
    extra: dict[str, int] = field(default_factory=dict)


SPARSE = ("absent2", "absent3", "csr", "csc")
"""Forms in which what is zero is not stored: Zarr of either version without such chunks, scipy's of either kind."""


def write(path: Path, values: np.ndarray, way: Way) -> Path:
    """Store a matrix in the form that `way` asks for."""
    if way.form in ("csr", "csc"):
        kind = {"csr": scipy.sparse.csr_matrix, "csc": scipy.sparse.csc_matrix}[way.form]
        scipy.sparse.save_npz(path.with_suffix(".npz"), kind(values), compressed=bool(values.shape[0] % 2))
        return path.with_suffix(".npz")
    if way.form == "npy":
        np.save(path.with_suffix(".npy"), values)
        return path.with_suffix(".npy")
    chunks = tuple(min(edge, size) for edge, size in zip(way.in_chunks, values.shape, strict=True))
    version = 2 if way.form.endswith("2") else 3
    config = {"write_empty_chunks": way.form not in SPARSE}  # zarr stores no chunk of zeros otherwise, and reading it decodes nothing
    array = zarr.create_array(path, shape=values.shape, chunks=chunks, dtype=values.dtype, zarr_format=version, config=config)
    array[:] = values
    return path


def recipe_for(folder: Path, operands: tuple[np.ndarray, np.ndarray], way: Way, added: np.ndarray | None = None) -> Recipe:
    """The recipe of op(A) op(B); `operands` are op(A) and op(B), stored transposed where the way says so."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = [operand.T if turned else operand for operand, turned in zip(operands, way.transpose, strict=True)]
    a, b = (
        Operand(opened(write(folder / name, np.ascontiguousarray(values), way), way), turned)
        for name, values, turned in zip("AB", stored, way.transpose, strict=True)
    )
    (m, k), n = operands[0].shape, operands[1].shape[1]
    chunk = (min(way.chunk[0], m), min(way.chunk[1], n))
    grid = (blocks(m, way.tile[0]), blocks(n, way.tile[1]), blocks(k, way.tile[2]))
    spec = OutputSpec(shape=(m, n), dtype=way.dtype_out, chunks=chunk, codec=way.codec, shard=way.shard)
    staging: Staging = create_staging(folder / "C", spec, "process", "run")
    row = ARITHMETICS[way.arithmetic]
    bound = 0.0 if way.exact else row.bound(k, (a.dtype, b.dtype), way.dtype_out, way.device, epilogue=way.alpha != 1 or added is not None)
    return Recipe(
        run_id=str(folder),
        a=a,
        b=b,
        add=open_matrix(write(folder / "D", added, way)) if added is not None else None,
        alpha=way.alpha,
        beta=way.beta,
        walk=Walk((m, k, n), TileShape(*way.tile), grid, way.residency),
        slots=tuple(grid[2] if kept else 1 for kept in way.kept),
        arithmetic_name=way.arithmetic,
        kernel="torch",
        device=way.device,
        threads=1,
        exact=way.exact,
        staging=staging,
        probes=10,
        seed=1,
        bound=bound,
        allow_nonfinite=way.allow_nonfinite,
        share=way.share,
    )


def opened(path: Path, way: Way):
    """The matrix, with what is known of it where it may lack chunks."""
    return occupied(open_matrix(path)) if way.form in SPARSE else open_matrix(path)


def compute(recipe: Recipe, attempt: int = 0):
    """All tiles in the order of the walk."""
    release()
    try:
        return [compute_tile(recipe, recipe.walk[index], attempt) for index in range(len(recipe.walk))]
    finally:
        release()


def result(recipe: Recipe) -> np.ndarray:
    """What was stored, read by zarr-python."""
    return zarr.open_array(recipe.staging.array)[:]


__all__ = ["Way", "compute", "recipe_for", "replace", "result", "write"]
