"""Files written behind: every byte of every size, synced before they appear, nothing left of those that failed, no buffer lost."""

import errno
import fcntl
import os
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import behind as module
from storage.behind import BLOCK_BYTES, BUFFER_BYTES, BUFFERS, PAST_THE_CACHE, WriteBehind, waiting_bytes
from storage.pace import OTHER, Pace, Way, pace_of

EDGES = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 1, (BUFFERS + 1) * BUFFER_BYTES + 5]
CONTENT = np.random.default_rng(0).bytes(max(EDGES))


@pytest.fixture(autouse=True)
def every_buffer_comes_back():
    yield
    module._thread().submit(lambda: None).result()
    assert module._buffers().qsize() == BUFFERS


def write(behind: WriteBehind, path: Path, *parts: bytes) -> None:
    with behind.replacing(str(path)) as file:
        file.append(parts)


def refuse_to_open(path: str, flags: int, *more: int, real=os.open) -> int:
    if flags & PAST_THE_CACHE and flags & os.O_CREAT:
        os.close(real(path, flags & ~PAST_THE_CACHE, *more))  # as some file systems do
        raise OSError(errno.EINVAL, "Invalid argument")
    return real(path, flags, *more)


def refuse_to_write(descriptor: int, view: memoryview, offset: int, real=os.pwrite) -> int:
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & PAST_THE_CACHE:
        raise OSError(errno.EINVAL, "Invalid argument")
    return real(descriptor, view, offset)


def write_little(descriptor: int, view: memoryview, offset: int, real=os.pwrite) -> int:
    return real(descriptor, view[: BUFFER_BYTES // 4], offset)


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("system", [{}, {"open": refuse_to_open}, {"pwrite": refuse_to_write}, {"pwrite": write_little}], ids=str)
def test_every_size_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool, system: dict[str, object]) -> None:
    for name, call in system.items():
        monkeypatch.setattr(os, name, call)
    with WriteBehind(durable) as behind:
        for size in EDGES:
            write(behind, tmp_path / str(size), CONTENT[:size])
    assert sorted(int(file.name) for file in tmp_path.iterdir()) == sorted(EDGES)
    for size in EDGES:
        assert (tmp_path / str(size)).read_bytes() == CONTENT[:size]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 2 * BUFFER_BYTES), max_size=6))
def test_any_parts_make_up_the_file(sizes: list[int]) -> None:
    cuts = np.cumsum([0, *sizes])
    content = CONTENT * 2
    with tempfile.TemporaryDirectory() as folder:
        with WriteBehind(durable=True) as behind, behind.replacing(f"{folder}/a") as file:
            for start, stop in pairwise(cuts):
                part = np.frombuffer(content, np.uint8)[start:stop].copy()
                file.append([part])
                part[:] = 0  # the caller uses its memory again
        assert Path(folder, "a").read_bytes() == content[: cuts[-1]]


def test_each_is_synced_before_it_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[tuple[str, str]] = []
    sync, rename = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        events.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name.partition(".")[0]))
        sync(descriptor)

    def renamed(old: str, new: str) -> None:
        events.append(("appears", Path(new).name))
        rename(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    with WriteBehind(durable=True) as behind:
        for number in range(3):
            write(behind, tmp_path / str(number), b"x")
        behind.settle()
        assert len(list(tmp_path.iterdir())) == 3
    assert events == [(what, str(number)) for number in range(3) for what in ("sync", "appears")]


@pytest.mark.parametrize("way", OTHER)
def test_what_need_not_be_durable_is_in_place_once_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: pytest.fail("synced"))
    monkeypatch.setattr(Pace, "choose", lambda pace: way)
    with WriteBehind(durable=False) as behind:
        write(behind, tmp_path / "a", b"x")
        behind.settle()
        assert (tmp_path / "a").read_bytes() == b"x"


def flags_of(file: module.Growing) -> int:
    """Of the descriptor that a file is written through."""
    inner = file._file
    return fcntl.fcntl(inner.descriptor if isinstance(inner, module.Cached) else inner._descriptor, fcntl.F_GETFL)


@pytest.mark.parametrize(("durable", "way", "past"), [(True, "cached", True), (False, "behind", True), (False, "cached", False)])
def test_which_way_a_file_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool, way: Way, past: bool) -> None:
    monkeypatch.setattr(Pace, "choose", lambda pace: way)
    with WriteBehind(durable) as behind, behind.replacing(str(tmp_path / "a")) as file:
        assert bool(flags_of(file) & PAST_THE_CACHE) is past


def test_a_slow_disk_is_left_to_the_page_cache_and_now_and_then_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = os.pwrite, list[int]()

    def slow(descriptor: int, view: memoryview, offset: int) -> int:
        asked.append(len(view))
        time.sleep(0.02)
        return real(descriptor, view, offset)

    monkeypatch.setattr(os, "pwrite", slow)
    pace_of.cache_clear()
    with WriteBehind(durable=False) as behind:
        for number in range(20):
            write(behind, tmp_path / str(number), CONTENT[: 2 * BUFFER_BYTES])
            behind.settle()
    pace_of.cache_clear()
    assert 1 <= len(asked) // 2 <= 5
    assert {file.read_bytes() == CONTENT[: 2 * BUFFER_BYTES] for file in tmp_path.iterdir()} == {True}


@pytest.mark.parametrize("system", [{"open": refuse_to_open}, {"pwrite": refuse_to_write}], ids=str)
def test_where_there_is_no_way_past_the_cache_it_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: dict) -> None:
    for name, call in system.items():
        monkeypatch.setattr(os, name, call)
    pace_of.cache_clear()
    with WriteBehind(durable=False) as behind:
        write(behind, tmp_path / "a", b"x")
        behind.settle()
        pace = pace_of(tmp_path.stat().st_dev)
        assert pace.choose() == "cached" and not pace.passes
    pace_of.cache_clear()


def test_no_more_waits_for_a_slow_disk_than_there_are_buffers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free, real = threading.Event(), os.pwrite

    def slow(descriptor: int, view: memoryview, offset: int) -> int:
        assert free.wait(10)
        return real(descriptor, view, offset)

    monkeypatch.setattr(os, "pwrite", slow)
    taken: list[int] = []

    def produce() -> None:
        with WriteBehind(durable=True) as behind, behind.replacing(str(tmp_path / "a")) as file:
            for number in range(BUFFERS + 3):
                file.append([CONTENT[:BUFFER_BYTES]])
                taken.append(number)

    producer = threading.Thread(target=produce)
    producer.start()
    producer.join(0.5)
    assert len(taken) == BUFFERS
    free.set()
    producer.join(10)
    assert (tmp_path / "a").stat().st_size == (BUFFERS + 3) * BUFFER_BYTES


def test_an_error_of_the_caller_removes_its_file_and_completes_the_others(tmp_path: Path) -> None:
    (tmp_path / "last").write_bytes(b"old")
    with pytest.raises(RuntimeError, match="mine"), WriteBehind(durable=True) as behind:
        write(behind, tmp_path / "first", b"x")
        with behind.replacing(str(tmp_path / "last")) as file:
            file.append([CONTENT[: BUFFER_BYTES + 1]])
            raise RuntimeError("mine")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"first": b"x", "last": b"old"}


@pytest.mark.parametrize("call", ["pwrite", "ftruncate", "fsync", "replace"])
def test_a_disk_that_fails_is_told_and_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fail(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    open_before = len(list(Path("/proc/self/fd").iterdir()))
    with WriteBehind(durable=True) as behind:
        monkeypatch.setattr(os, call, fail)
        write(behind, tmp_path / "a", b"x")
        with pytest.raises(OSError, match="No space left"):
            behind.settle()
    assert list(tmp_path.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


@pytest.mark.parametrize(("largest", "held"), [(0, 0), (1, BLOCK_BYTES), (BUFFER_BYTES + 1, BUFFER_BYTES)])
def test_small_files_hold_little_memory(largest: int, held: int) -> None:
    assert waiting_bytes(largest) == BUFFERS * held


def test_leaving_without_settling_raises_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="the disk is gone"), WriteBehind(durable=True) as behind:
        write(behind, tmp_path / "a", b"x")
