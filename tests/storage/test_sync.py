"""Files appear whole; room is reserved; failures are translated."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from storage import DiskFull, GemmflowError, write_atomically
from storage.sync import replace_file, reserve, write_all, write_error


def test_a_small_file_is_replaced_whole(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"old")
    write_atomically(tmp_path / "a", b"new!")
    assert (tmp_path / "a").read_bytes() == b"new!" and list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_what_is_no_file_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(tmp_path / "pipe", b"through")
    assert os.read(reader, 100) == b"through" and (tmp_path / "pipe").is_fifo()
    os.close(reader)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "link").symlink_to("a")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "a").read_bytes() == b"new"


def test_parts_follow_one_another_though_the_system_writes_few_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(descriptor: int, parts: list[memoryview]) -> int:
        return os.write(descriptor, parts[0][:3])

    monkeypatch.setattr(os, "writev", slow)
    parts = [np.arange(10, dtype=np.uint8), b"", b"tail", np.arange(7, dtype=np.uint8)]
    replace_file(str(tmp_path / "a"), parts, durable=False)
    assert (tmp_path / "a").read_bytes() == bytes(range(10)) + b"tail" + bytes(range(7))


def test_what_is_reserved_is_not_left_behind_the_content(tmp_path: Path) -> None:
    content = np.zeros((1 << 16) + 5, np.uint8)
    replace_file(str(tmp_path / "a"), [content], durable=False)
    assert (tmp_path / "a").stat().st_size == content.size


def test_reserving_needs_no_support_of_the_file_system() -> None:
    reader, writer = os.pipe()
    reserve(writer, 1 << 20)  # a pipe cannot reserve (ESPIPE)
    write_all(writer, [b"x"])
    assert os.read(reader, 1) == b"x"
    os.close(reader)
    os.close(writer)


def test_errors_say_what_to_change() -> None:
    assert isinstance(write_error("C", OSError(errno.EDQUOT, "Disk quota exceeded")), DiskFull)
    other = write_error("C", OSError(errno.EIO, "Input/output error"))
    assert type(other) is GemmflowError and "check the file system" in str(other)
