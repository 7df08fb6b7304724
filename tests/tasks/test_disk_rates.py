"""Rates of a file system: the files are there, read when they are not cached, and gone afterwards."""

import os
from pathlib import Path

import pytest

from tasks import disk_rates


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_rates, "WRITTEN_BYTES", 1 << 20)
    monkeypatch.setattr(disk_rates, "MOST_WRITTEN", 4 << 20)


@pytest.mark.usefixtures("small")
def test_what_is_read_was_dropped_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, drop, read = list[str](), disk_rates._drop, disk_rates.read_at
    monkeypatch.setattr(disk_rates, "_drop", lambda path: (done.append("drop"), drop(path)))
    monkeypatch.setattr(disk_rates, "read_at", lambda *given: (done.append("read"), read(*given)))
    write, uncached = disk_rates.durable_rates(tmp_path, 10.0)
    assert done == ["drop"] * 4 + ["read"] * done.count("read") and 1 <= done.count("read") <= 4
    assert min(write, uncached) > 1e5
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("small")
def test_one_file_is_written_and_read_however_late_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, rate = disk_rates._written(str(tmp_path), False, 0.0)
    assert len(paths) == 1 and rate > 0
    monkeypatch.setattr(disk_rates, "READING_SECONDS", 0.0)
    assert min(disk_rates.durable_rates(tmp_path, 1.0)) > 0
    assert disk_rates.unsynced_rate(tmp_path) > 1e5


def test_a_file_that_is_dropped_is_still_whole(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * 10_000)
    os.sync()
    disk_rates._drop(str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == b"x" * 10_000
