"""Measured rates: plausible, kept by fingerprint, the slowest worker's."""

from dataclasses import replace

import pytest

from storage import CODECS
from tasks.arithmetic import ARITHMETICS
from tasks.calibrate import calibrate, layouts_to_measure, measure, slowest
from tasks.errors import BadInput
from tasks.hardware import host_fingerprint, recall, usable_cores
from tasks.job import make_job
from tests.tasks.test_run import machine


@pytest.fixture(scope="module")
def hardware():
    return calibrate()


def test_every_row_of_every_table_has_a_rate(hardware):
    for layout in hardware.layouts:
        assert set(layout.rates.flops) == {row.name for row in ARITHMETICS.values() if "cpu" in row.devices}
        assert set(layout.rates.decode) == set(layout.rates.encode) == set(CODECS)
        rates = [*layout.rates.flops.values(), *layout.rates.decode.values(), *layout.rates.encode.values()]
        assert min(*rates, layout.rates.probe, layout.rates.write, layout.rates.copy, layout.rates.touch) > 1e5
        assert 100 * 2**20 < layout.base_bytes < 600 * 2**20


def test_it_is_remembered_and_asked_again_it_is_the_same(hardware):
    assert recall(host_fingerprint("cpu")) == hardware
    assert measure(make_job(a="a", b="b", out="c"), None) == hardware


def test_layouts_cover_the_machine():
    assert layouts_to_measure("cpu")[0] == (usable_cores(), 1)
    assert all(workers * threads == usable_cores() for workers, threads in layouts_to_measure("cpu"))


def test_the_slowest_worker_counts():
    rates = machine().layouts[0].rates
    slower = replace(rates, probe=rates.probe / 2, flops={**rates.flops, "float32": 1.0})
    assert slowest([rates, slower]).probe == rates.probe / 2
    assert slowest([rates, slower]).flops["float32"] == 1.0
    assert slowest([rates, slower]).flops["float64"] == rates.flops["float64"]


def test_cuda_without_a_device_is_refused():
    with pytest.raises(BadInput, match="no CUDA device"):
        measure(make_job(a="a", b="b", out="c", cluster="cuda"), None)
