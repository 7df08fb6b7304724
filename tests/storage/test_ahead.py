"""Fetching ahead: every byte that a read takes was asked for before, and what cannot be fetched is no error until it is read."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import CorruptData, Matrix, open_matrix, zarr_thin
from storage.files import FETCHED_BYTES, fetch_ahead

SHAPE = (300, 400)
SLICES = [(slice(0, 300), slice(0, 400)), (slice(7, 120), slice(0, 400))]
Spans = dict[str, list[tuple[int, int]]]


def npy(folder: Path, values: np.ndarray) -> Matrix:
    np.save(folder / "a.npy", values)
    return open_matrix(folder / "a.npy")


def turned_npy(folder: Path, values: np.ndarray) -> Matrix:
    return npy(folder, np.asfortranarray(values))


def chunks(folder: Path, values: np.ndarray) -> Matrix:
    zarr.create_array(folder / "a.zarr", shape=SHAPE, chunks=(64, 100), dtype="float64")[:] = values
    return open_matrix(folder / "a.zarr")


def shards(folder: Path, values: np.ndarray) -> Matrix:
    zarr.create_array(folder / "a.zarr", shape=SHAPE, chunks=(32, 50), shards=(64, 100), dtype="float64")[:] = values
    return open_matrix(folder / "a.zarr")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Spans:
    """Parts of files that were asked for, by name."""
    spans: Spans = {}
    real = os.posix_fadvise

    def advise(descriptor: int, offset: int, nbytes: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        real(descriptor, offset, nbytes, advice)
        spans.setdefault(str(Path(f"/proc/self/fd/{descriptor}").readlink()), []).append((offset, offset + nbytes if nbytes else 1 << 62))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    return spans


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Spans:
    """Parts of files that were read, by name."""
    spans: Spans = {}
    real = os.preadv

    def read(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        got = real(descriptor, buffers, offset)
        spans.setdefault(str(Path(f"/proc/self/fd/{descriptor}").readlink()), []).append((offset, offset + got))
        return got

    monkeypatch.setattr(os, "preadv", read)
    return spans


@pytest.mark.parametrize("store", [npy, turned_npy, chunks, shards])
@pytest.mark.parametrize("rows_cols", SLICES)
def test_whatever_is_read_was_asked_for(
    tmp_path: Path, asked: Spans, taken: Spans, store: Callable[[Path, np.ndarray], Matrix], rows_cols: tuple[slice, slice]
) -> None:
    values = np.random.default_rng(0).standard_normal(SHAPE)
    matrix = store(tmp_path, values)
    if store is turned_npy:
        rows_cols = (slice(0, 300), rows_cols[0])
    taken.clear()
    matrix.fetch_ahead(*rows_cols)
    assert not taken
    out = np.empty(values[rows_cols].shape)
    matrix.read_into(out, *rows_cols)
    assert (out == values[rows_cols]).all()
    assert taken
    for name, spans in taken.items():
        for start, stop in spans:
            assert any(first <= start and stop <= last for first, last in joined(asked[name])), (name, start, stop)


def joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that follow each other, as one."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(last, found[-1][1])
        else:
            found.append((first, last))
    return found


def test_no_request_is_larger_than_what_the_system_fetches_at_one(tmp_path: Path, asked: Spans) -> None:
    """Of one request for 16 MiB Linux fetched 8, or 1.25 on a disk with the usual settings."""
    npy(tmp_path, np.zeros((1000, 1000))).fetch_ahead(slice(0, 1000), slice(0, 1000))
    (spans,) = asked.values()
    assert len(spans) > 10 and max(last - first for first, last in spans) <= 1 << 19
    assert joined(spans) == [(128, 128 + 8_000_000)]


@pytest.mark.parametrize(("cols", "worth"), [(slice(100, 100 + 512), True), (slice(100, 100 + 511), False)])
def test_short_runs_of_a_file_are_not_worth_a_call_each(tmp_path: Path, asked: Spans, cols: slice, worth: bool) -> None:
    matrix = npy(tmp_path, np.zeros((5, 2000)))
    matrix.fetch_ahead(slice(1, 4), cols)
    assert sum(map(len, asked.values())) == (3 if worth else 0)


def test_a_large_file_is_asked_for_in_steps_that_no_system_cuts(tmp_path: Path, asked: Spans) -> None:
    """Of one request Linux fetches as much as it would read ahead of the device by itself, and forgets the rest."""
    path = tmp_path / "file"
    path.write_bytes(bytes(3 * FETCHED_BYTES + 5))
    with path.open("rb") as file:
        for offset, nbytes, end in ((0, 0, 3 * FETCHED_BYTES + 5), (7, 2 * FETCHED_BYTES, 2 * FETCHED_BYTES + 7)):
            asked.clear()
            fetch_ahead(file.fileno(), offset, nbytes)
            (spans,) = asked.values()
            assert max(stop - start for start, stop in spans) <= FETCHED_BYTES
            assert [*(start for start, _ in spans), end] == [offset, *(stop for _, stop in spans)]


def test_a_large_shard_is_not_fetched_for_a_few_chunks(tmp_path: Path, asked: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = shards(tmp_path, np.ones(SHAPE))
    monkeypatch.setattr(zarr_thin, "FETCHED_SHARD_BYTES", 64 * 100 * 8 - 1)
    matrix.fetch_ahead(slice(0, 300), slice(0, 400))
    assert not asked


@pytest.mark.parametrize("store", [npy, chunks, shards])
def test_what_is_gone_shows_when_it_is_read(tmp_path: Path, store: Callable[[Path, np.ndarray], Matrix]) -> None:
    matrix = store(tmp_path, np.ones(SHAPE))
    for file in [path for path in tmp_path.rglob("*") if path.is_file()]:
        file.unlink()
    matrix.fetch_ahead(slice(0, 300), slice(0, 400))
    with pytest.raises(CorruptData):
        matrix.read_into(np.empty(SHAPE), slice(0, 300), slice(0, 400))


def test_a_slice_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no run of consecutive indices"):
        npy(tmp_path, np.ones(SHAPE)).fetch_ahead(slice(0, 301), slice(0, 400))


def test_a_source_that_cannot_is_left_alone(tmp_path: Path, asked: Spans) -> None:
    from scipy import sparse

    sparse.save_npz(tmp_path / "a.npz", sparse.csr_array(np.eye(10)))
    open_matrix(tmp_path / "a.npz").fetch_ahead(slice(0, 10), slice(0, 10))
    assert not asked
