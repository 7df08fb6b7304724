"""Reads go straight into place and survive short reads of the system."""

import os
from pathlib import Path

import numpy as np
import pytest

from storage import CorruptData
from storage.files import as_bytes, opened, read_at, read_exactly


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "a").write_bytes(bytes(range(100)))
    return str(tmp_path / "a")


def test_short_reads_are_continued(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_read = os.preadv
    monkeypatch.setattr(os, "preadv", lambda descriptor, parts, offset: whole_read(descriptor, [parts[0][:7]], offset))
    target = np.zeros(90, np.uint8)
    with opened(file) as descriptor:
        assert read_at(descriptor, target, 5) == 90
        assert (target == np.arange(5, 95)).all()
        assert read_at(descriptor, target, 60) == 40


def test_a_file_that_ends_early_is_corrupt(file: str) -> None:
    with opened(file) as descriptor, pytest.raises(CorruptData, match="ends at byte 100, 10 bytes early"):
        read_exactly(descriptor, np.zeros(30, np.uint8), 80, file)


def test_descriptors_are_closed_after_a_failure(file: str) -> None:
    held: list[int] = []
    with pytest.raises(KeyError), opened(file) as descriptor:
        held.append(descriptor)
        raise KeyError
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(held[0])


def test_bytes_are_a_view() -> None:
    values = np.zeros((2, 3), np.float32)
    as_bytes(values)[:] = 255
    assert np.isnan(values).all()
