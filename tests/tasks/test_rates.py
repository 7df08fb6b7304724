"""Where a worker writes what it times, and what it says where it cannot."""

import errno
from dataclasses import fields
from pathlib import Path
from tempfile import gettempdir

import pytest

from tasks import rates
from tasks.errors import DiskFull
from tasks.worker_rates import WorkerRates
from tests.tasks import machines


@pytest.fixture
def places(monkeypatch):
    """Where something was measured, and nothing is."""
    seen = []
    monkeypatch.setattr(rates, "_measured", lambda device, place: seen.append(place))
    return seen


def test_the_cache_is_where_files_are_written(tmp_path, places):
    rates.measure_worker("cpu", str(tmp_path / "new" / "cache"))
    assert places == [tmp_path / "new" / "cache"]
    assert not list(places[0].iterdir())


@pytest.mark.parametrize("folder", ["/proc/nowhere", "file", "file/below"])
def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, places, folder):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    rates.measure_worker("cpu", folder)
    assert places == [Path(gettempdir())]


@pytest.mark.parametrize("folder", ["/proc/nowhere", "file"])
def test_threads_are_measured_where_files_can_be_written_too(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    seen = []
    for slow in ("warm_rates", "block_rates", "probe_rate", "copy_rate"):
        monkeypatch.setattr(rates, slow, lambda *_: {})
    monkeypatch.setattr(rates, "durable_rates", lambda place, _: seen.append(place) or (1.0, 2.0))
    (layout,) = machines.hardware().layouts[:1]
    alone = WorkerRates(**{field.name: None for field in fields(WorkerRates)} | {"rates": layout.rates, "base_bytes": 1})
    assert rates.measure_threads(alone, "cpu", folder).rates.uncached == 2.0
    assert seen == [Path(gettempdir())]


def test_a_full_disk_ends_in_one_line(tmp_path, monkeypatch):
    def full(device, place):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rates, "_measured", full)
    with pytest.raises(DiskFull, match=f"no room to write {tmp_path} .No space left on device.: free space"):
        rates.measure_worker("cpu", str(tmp_path))
