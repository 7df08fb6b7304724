"""The benchmark of whole products on a device: end to end on this processor, and what it asks of a device on an emulated one."""

import json

import pytest

from benchmarks import device, saved
from tests.tasks.emulated import emulated_device


@pytest.mark.slow
def test_it_measures_limits_and_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(saved, "RESULTS", tmp_path / "results")
    places = ["--folder", str(tmp_path / "disk"), "--in-memory", str(tmp_path / "memory")]
    size = ["--edge", "300", "--compute-edge", "128", "--memory", "2GiB", "--rounds", "1"]
    device.main(["--cluster", "local", "--precision", "float32", *size, *places, "--save"])
    (record,) = (tmp_path / "results").iterdir()
    found = json.loads(record.read_text())["results"]["float32 300"]
    assert found["limits"]["compute"] > 0 and found["limits"]["storage"] > 0 and found["limits"]["link"] == 0
    assert found["seconds"].keys() == {"host memory", "zarr"}
    assert found["host memory: compute over it"] == found["limits"]["compute"] / found["seconds"]["host memory"]
    assert "zarr: largest limit over it" in capsys.readouterr().out


def test_what_it_asks_of_a_device():
    with emulated_device() as driver:
        assert device.matmul_rate("cuda", "bfloat16", 64) > 0
        assert all(0 < rate < float("inf") for rate in device.link_rates("cuda", 1 << 16))
        assert not driver.pinned
