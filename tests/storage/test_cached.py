"""What the page cache holds of a matrix: asked without waiting, and without guessing where the system does not tell."""

import errno
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import Cached, Matrix, cached, open_matrix
from storage.matrix import LiesInFiles

SHAPE = (300, 400)
Answer = Callable[[str, int], int]


def npy(folder: Path) -> Matrix:
    np.save(folder / "a.npy", np.ones(SHAPE))
    return open_matrix(folder / "a.npy")


def chunks(folder: Path) -> Matrix:
    zarr.create_array(folder / "a.zarr", shape=SHAPE, chunks=(64, 100), dtype="float64", compressors=None)[:] = 1
    return open_matrix(folder / "a.zarr")


def shards(folder: Path) -> Matrix:
    zarr.create_array(folder / "a.zarr", shape=SHAPE, chunks=(32, 50), shards=(64, 100), dtype="float64", compressors=None)[:] = 1
    return open_matrix(folder / "a.zarr")


def sparse(folder: Path) -> Matrix:
    from scipy import sparse as matrices

    matrices.save_npz(folder / "a.npz", matrices.csr_array(np.eye(*SHAPE)))
    return open_matrix(folder / "a.npz")


STORES = [npy, chunks, shards, sparse]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], None]:
    """Let the system answer as asked, for a file's name and a place in it."""

    def use(made: Answer) -> None:
        def asked(descriptor: int, buffers: list[bytearray], offset: int, flags: int) -> int:
            assert flags == os.RWF_NOWAIT
            return made(Path(f"/proc/self/fd/{descriptor}").readlink().name, offset)

        monkeypatch.setattr(os, "preadv", asked)

    return use


def stop(number: int) -> int:
    raise OSError(number, os.strerror(number))


def bytes_of(matrix: Matrix) -> int:
    place = Path(matrix.path)
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file() and path.name != "zarr.json"]
    return sum(path.stat().st_size for path in files)


@pytest.mark.parametrize("store", [npy, chunks, shards])
def test_what_was_just_written_is_there_and_dropped_it_is_not(tmp_path: Path, store: Callable[[Path], Matrix]) -> None:
    matrix = store(tmp_path)
    os.sync()
    found = cached(matrix)
    assert found is not None and found.share in (1.0, None)  # None where the tests run on tmpfs or overlayfs
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    cold = cached(matrix)
    assert cold is not None and cold.nbytes > 0
    assert cold.share is None if found.share is None else cold.share is not None and cold.share < 0.5  # some pages are asked for twice


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(("reply", "share"), [(1, 1.0), (errno.EAGAIN, 0.0), (errno.EOPNOTSUPP, None), (errno.EINVAL, None)])
def test_the_share_is_what_the_system_says(
    tmp_path: Path, answer: Callable[[Answer], None], store: Callable[[Path], Matrix], reply: int, share: float | None
) -> None:
    matrix = store(tmp_path)
    answer(lambda name, offset: 1 if reply == 1 else stop(reply))
    found = cached(matrix)
    assert found is not None and found.share == share
    assert found.nbytes == pytest.approx(bytes_of(matrix), rel=0.3)


def test_pages_anywhere_in_a_file_count(tmp_path: Path, answer: Callable[[Answer], None]) -> None:
    matrix = npy(tmp_path)
    answer(lambda name, offset: 1 if offset < bytes_of(matrix) // 4 else stop(errno.EAGAIN))
    shares = [found.share for found in (cached(matrix) for _ in range(20)) if found is not None and found.share is not None]
    assert np.mean(shares) == pytest.approx(0.25, abs=0.08)


def test_a_chunk_that_was_never_written_has_no_bytes(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", shape=(400, 400), chunks=(100, 100), dtype="float64", compressors=None)
    array[:, :200] = 1
    found = [cached(open_matrix(tmp_path / "a.zarr")) for _ in range(10)]
    assert np.mean([one.nbytes for one in found if one]) == pytest.approx(8 * 400 * 200, rel=0.15)
    empty = zarr.create_array(tmp_path / "b.zarr", shape=(400, 400), chunks=(100, 100), dtype="float64")
    assert empty.nchunks_initialized == 0
    assert cached(open_matrix(tmp_path / "b.zarr")) == Cached(0, None)


def test_a_slow_system_is_not_asked_often(tmp_path: Path, answer: Callable[[Answer], None]) -> None:
    asked = list[str]()
    answer(lambda name, offset: (asked.append(name), time.sleep(0.002), 1)[-1])
    assert cached(chunks(tmp_path)) is not None
    assert 1 <= len(asked) <= 3


def test_what_is_elsewhere_or_in_no_known_file_is_not_asked_for(tmp_path: Path) -> None:
    matrix = chunks(tmp_path)
    assert cached(replace(matrix, path="s3://bucket/a.zarr")) is None

    class Other:
        scratch_bytes = 0

        def read_into(self, out: object, rows: slice, cols: slice) -> int:
            raise AssertionError

    assert cached(replace(matrix, source=Other())) is None


@pytest.mark.parametrize("store", [npy, chunks, shards])
def test_an_element_is_read_from_the_file_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store) -> None:
    matrix, real, read = store(tmp_path), os.preadv, set[str]()

    def asked(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        read.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", asked)
    for row, col in ((0, 0), (299, 399), (64, 99), (63, 100)):
        read.clear()
        matrix.read_into(np.empty((1, 1)), slice(row, row + 1), slice(col, col + 1))
        assert isinstance(matrix.source, LiesInFiles)
        assert read == {matrix.source.file_of(row, col)}


@pytest.mark.parametrize(("nbytes", "share"), [(-1, 0.5), (1, 1.5), (1, -0.1)])
def test_a_share_is_a_share(nbytes: int, share: float) -> None:
    with pytest.raises(ValueError, match="cannot be cached"):
        Cached(nbytes, share)
