"""Files that are synced while others are written: in place at the end, in order, and nothing left of those that failed."""

import os
from pathlib import Path

import pytest

from storage import behind as module
from storage.behind import AT_ONCE, WriteBehind
from storage.sync import append


def write(behind: WriteBehind, path: Path, content: bytes) -> None:
    with behind.replacing(str(path)) as descriptor:
        append(descriptor, [content])


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of files in the order in which they were synced, temporary ending cut off."""
    names: list[str] = []
    real = os.fsync

    def sync(descriptor: int) -> None:
        names.append(Path(f"/proc/self/fd/{descriptor}").readlink().name.partition(".")[0])
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    return names


@pytest.mark.parametrize("durable", [True, False])
def test_all_are_in_place_at_the_end(tmp_path: Path, durable: bool) -> None:
    with WriteBehind(durable) as behind:
        for number in range(3 * AT_ONCE):
            write(behind, tmp_path / str(number), b"x" * number)
    assert {file.name: file.stat().st_size for file in tmp_path.iterdir()} == {str(number): number for number in range(3 * AT_ONCE)}


def test_each_is_synced_before_it_appears_and_few_wait(tmp_path: Path, synced: list[str]) -> None:
    with WriteBehind(durable=True) as behind:
        for number in range(2 * AT_ONCE):
            write(behind, tmp_path / str(number), b"x")
            appeared = {file.name for file in tmp_path.iterdir() if file.name.isdigit()}
            assert appeared == set(synced)
            assert len(appeared) == max(0, number + 1 - AT_ONCE)
        behind.settle()
        assert len(list(tmp_path.glob("[0-9]"))) == 2 * AT_ONCE
    assert synced == [str(number) for number in range(2 * AT_ONCE)]


def test_what_need_not_be_durable_appears_at_once(tmp_path: Path, synced: list[str]) -> None:
    with WriteBehind(durable=False) as behind:
        write(behind, tmp_path / "a", b"x")
        assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert synced == []


def test_an_error_leaves_what_is_in_place_and_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "last").write_bytes(b"old")
    with pytest.raises(OSError, match="full"), WriteBehind(durable=True) as behind:
        for number in range(AT_ONCE + 1):
            write(behind, tmp_path / str(number), b"x")
        with behind.replacing(str(tmp_path / "last")):
            raise OSError("full")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"0": b"x", "last": b"old"}


def test_a_sync_that_fails_is_raised_and_the_rest_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"), WriteBehind(durable=True) as behind:
        for number in range(AT_ONCE):
            write(behind, tmp_path / str(number), b"x")
        monkeypatch.setattr(os, "fsync", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_system_that_cannot_begin_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIBC", object())
    with WriteBehind(durable=True) as behind:
        write(behind, tmp_path / "a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"
