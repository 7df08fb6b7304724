"""The stamp of an input: the same while nothing is written, another one after any write."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import BadInput, contents_stamp, open_matrix


def stamp(path: Path) -> str:
    return contents_stamp(open_matrix(path))


def make(path: Path) -> Path:
    if path.suffix == ".npy":
        np.save(path, np.ones((4, 6), np.float32))
    else:
        zarr.create_array(path, shape=(4, 6), chunks=(2, 3), dtype="f4", compressors=None)[...] = 1
    later(path, -1000)
    return path


def later(path: Path, seconds: int) -> None:
    """Move all times of change: two writes within one tick of the kernel's clock would have the same."""
    for each in (path, *path.rglob("*")) if path.is_dir() else (path,):
        status = each.stat()
        os.utime(each, ns=(status.st_atime_ns, status.st_mtime_ns + seconds * 10**9))


def touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


@pytest.mark.parametrize("name", ["a.npy", "a.zarr", "a b ü.zarr"])
def test_reading_changes_nothing(tmp_path: Path, name: str) -> None:
    before = stamp(make(tmp_path / name))
    open_matrix(tmp_path / name).read_into(np.empty((4, 6), np.float32), slice(None), slice(None))
    assert stamp(tmp_path / name) == before


def test_every_chunk_and_the_header_count(tmp_path: Path) -> None:
    path = make(tmp_path / "a.zarr")
    seen = {stamp(path)}
    files = sorted(file for file in path.rglob("*") if file.is_file())
    assert len(files) == 5
    for file in files:
        with file.open("r+b") as opened:
            first = opened.read(1)
            opened.seek(0)
            opened.write(first)
        seen.add(stamp(path))
    assert len(seen) == 6


def test_any_write_to_npy_counts(tmp_path: Path) -> None:
    path = make(tmp_path / "a.npy")
    seen = {stamp(path)}
    np.load(path, mmap_mode="r+")[0, 0] = 2
    seen.add(stamp(path))
    touch(path)
    seen.add(stamp(path))
    path.write_bytes(path.read_bytes() + b"\0")
    seen.add(stamp(path))
    assert len(seen) == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda path: (path / "c/0/0").unlink(),
        lambda path: (path / "c/0/0").rename(path / "c/0/2"),
        lambda path: (path / "c/0").rename(path / "c/2"),
        lambda path: (path / "more").touch(),
        lambda path: (path / "c/1/1").write_bytes(b""),
        lambda path: touch(path / "c/1/1"),
    ],
)
def test_files_that_go_come_or_move_count(tmp_path: Path, change: Callable[[Path], object]) -> None:
    path = make(tmp_path / "a.zarr")
    before = stamp(path)
    change(path)
    assert stamp(path) != before


def test_two_files_exchanged_count(tmp_path: Path) -> None:
    path = make(tmp_path / "a.zarr")
    touch(path / "c/0/0")
    before = stamp(path)
    (path / "c/0/0").rename(path / "x")
    (path / "c/0/1").rename(path / "c/0/0")
    (path / "x").rename(path / "c/0/1")
    assert stamp(path) != before


def test_moving_or_linking_the_whole_matrix_keeps_the_stamp(tmp_path: Path) -> None:
    before = stamp(make(tmp_path / "a.zarr"))
    (tmp_path / "a.zarr").rename(tmp_path / "b.zarr")
    (tmp_path / "a.zarr").symlink_to(tmp_path / "b.zarr")
    assert stamp(tmp_path / "a.zarr") == stamp(tmp_path / "b.zarr") == before


@pytest.mark.parametrize("name", ["a.zarr/c/0/0", "a.npy"])
def test_a_file_that_was_moved_away_and_put_back_counts(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name.partition("/")[0])
    before = stamp(path)
    time.sleep(0.02)  # the clock of a file system ticks a hundred times a second
    (tmp_path / name).rename(tmp_path / "away")
    (tmp_path / "away").rename(tmp_path / name)
    assert stamp(path) != before


def test_chunks_behind_a_link_count(tmp_path: Path) -> None:
    path = make(tmp_path / "a.zarr")
    (path / "c").rename(tmp_path / "other-disk")
    (path / "c").symlink_to(tmp_path / "other-disk")
    before = stamp(path)
    touch(tmp_path / "other-disk/1/1")
    assert stamp(path) != before


def test_what_cannot_be_looked_at_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = open_matrix(make(tmp_path / "a.zarr"))
    scandir = os.scandir

    def deny(path: Path):
        if str(path).rstrip("/").endswith("c/1"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", deny)
        with pytest.raises(BadInput, match=r"cannot be looked at \(Permission denied\)"):
            contents_stamp(matrix)
    gone = open_matrix(make(tmp_path / "a.npy"))
    (tmp_path / "a.npy").unlink()
    with pytest.raises(BadInput, match="cannot be looked at"):
        contents_stamp(gone)
