"""Folders with something wrong in them: what the rows of `bad_input_table` prepare before they run a command."""

import json
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import zarr

SHAPE_A, SHAPE_B = (6, 4), (4, 5)


@dataclass(frozen=True)
class World:
    """A folder that holds sound A.zarr (6 x 4), B.zarr (4 x 5) and C0.zarr (6 x 5); rows break it."""

    folder: Path
    patch: pytest.MonkeyPatch

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        for name, shape in (("A", SHAPE_A), ("B", SHAPE_B), ("C0", (6, 5))):
            self.zarr(f"{name}.zarr", rng.random(shape, dtype=np.float32))

    def zarr(self, name: str, values: np.ndarray, **options: object) -> None:
        """An array with chunks of 2 x 2 (as many twos as it has dimensions)."""
        chunks = tuple(max(1, min(2, size)) for size in values.shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr warns of the very types that are refused
            array = zarr.create_array(self.folder / name, shape=values.shape, chunks=chunks, dtype=values.dtype, **options)
            array[...] = values

    def empty(self, name: str, shape: tuple[int, ...], dtype: str = "float32") -> None:
        """An array whose chunks were never written, however large it says it is."""
        zarr.create_array(self.folder / name, shape=shape, chunks=tuple(min(size, 1024) for size in shape), dtype=dtype)

    def npy(self, name: str, values: np.ndarray) -> None:
        np.save(self.folder / name, values)

    def npz(self, name: str, **changes: np.ndarray | None) -> None:
        """A 6 x 4 CSR matrix of ones, saved as scipy saves it, but for these members; None leaves one out."""
        whole = scipy.sparse.csr_matrix(np.ones(SHAPE_A, np.float32))
        members = {name: getattr(whole, name) for name in ("indptr", "indices", "data")}
        members |= {"format": np.array(b"csr"), "shape": np.array(SHAPE_A)} | changes
        np.savez(self.folder / name, **{key: value for key, value in members.items() if value is not None})

    def text(self, name: str, content: str) -> None:
        (self.folder / name).write_text(content)

    def put(self, name: str, place: tuple[int, int], value: float) -> None:
        zarr.open_array(self.folder / name)[place] = value

    def damage(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Change a file's bytes."""
        path = self.folder / name
        path.write_bytes(change(path.read_bytes()))

    def edit(self, name: str, **changes: object) -> None:
        """Change entries of a JSON file."""
        path = self.folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    def remove(self, name: str) -> None:
        path = self.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def link(self, name: str, target: str) -> None:
        (self.folder / name).symlink_to(self.folder / target)

    def group(self, name: str, *arrays: str) -> None:
        made = zarr.create_group(self.folder / name)
        for array in arrays:
            made.create_array(array, shape=(2, 2), dtype="f4")

    def folder_with(self, name: str, *files: str) -> None:
        (self.folder / name).mkdir()
        for file in files:
            self.text(f"{name}/{file}", "mine")

    def read_only(self) -> None:
        """Root may write everywhere, so the question is answered for it."""
        self.patch.setattr(os, "access", lambda *_: False)

    def listing(self) -> dict[str, str]:
        """Every path in the folder with its content, so that nothing can appear, vanish or change unseen."""
        return {str(path.relative_to(self.folder)): _content(path) for path in sorted(self.folder.rglob("*"))}


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return path.read_bytes().hex() if path.is_file() else "folder"
