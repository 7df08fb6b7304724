from dataclasses import replace

import pytest

from tasks.catalogue import NOTHING_MEASURED, this_machine, timing
from tasks.catalogue.machine import from_hardware
from tasks.catalogue.timing import gemm_time, is_bound_by_memory
from tasks.errors import BadInput
from tasks.gemm import Gemm
from tasks.hardware import THICK, THIN, host_fingerprint, remember
from tasks.history import PRIOR_SPREAD
from tests.tasks.machines import hardware, rates


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GEMMFLOW_CACHE", str(tmp_path / "cache"))


def calibrated():
    """A calibration of two layouts, thin blocks of float32 at half the speed."""
    made = hardware()
    layout = replace(made.layouts[0], workers=2, threads=1, rates=rates(thin={"float32": {"torch": 44e9, "scipy": 40e9}}))
    return replace(made, fingerprint=host_fingerprint("cpu"), layouts=(layout, replace(layout, workers=1, threads=2)))


def test_where_nothing_was_measured_there_is_no_device_and_the_way_to_one_is_named():
    assert this_machine() is None
    assert "gemmflow calibrate" in NOTHING_MEASURED


def test_this_machine_is_what_was_measured():
    remember(calibrated())
    here = this_machine()
    assert here and here == from_hardware(calibrated())
    assert (here.kind, here.price, here.link_bandwidth) == ("this machine", None, None)
    assert here.peaks == {"bfloat16": 2 * 61e9, "float32": 2 * 88e9, "float64": 2 * 43e9}
    assert here.measured["float32"].thin == 2 * 44e9
    layout = calibrated().layouts[0]
    assert here.storage == {"read": 2 * layout.rates.uncached, "write": 2 * layout.rates.write}
    assert here.memory_bytes == calibrated().memory_bytes and here.memory_bandwidth == 2 * layout.rates.copy


def test_its_hour_may_have_a_price():
    remember(calibrated())
    here = this_machine(0.35)
    assert here and here.price and here.price.usd_per_hour == 0.35
    with pytest.raises(BadInput, match="no price"):
        this_machine(-1)


def test_another_device_was_not_measured():
    remember(calibrated())
    assert this_machine(device="cuda") is None


def test_its_products_take_what_its_rates_say():
    here = from_hardware(calibrated())
    thick, thin = Gemm("", 4096, 4096, 4096), Gemm("", 4096, 4096, 32)
    span = gemm_time(here, "float32", thick)
    assert span.how == "measured" and span.low < span.expected < span.high
    assert span.expected == pytest.approx(thick.flops / (2 * 88e9))
    assert gemm_time(here, "float32", thin).expected == pytest.approx(thin.flops / (2 * 44e9))
    with pytest.raises(BadInput, match="this machine has no fp8, or its rate is unknown: one of bfloat16, float32, float64"):
        gemm_time(here, "fp8", thick)


def test_a_product_that_is_all_bytes_waits_for_the_memory():
    here = replace(from_hardware(calibrated()), memory_bandwidth=1e9)
    flat = Gemm("", 8192, 8192, 1)
    assert is_bound_by_memory(here, "float32", flat) and not is_bound_by_memory(here, "float32", Gemm("", 4096, 4096, 4096))
    assert gemm_time(here, "float32", flat).expected == pytest.approx(4 * flat.elements / 1e9)


def test_blocks_and_doubts_are_those_of_the_calibration():
    assert (timing.THICK, timing.THIN, timing.HERE) == (THICK, THIN, PRIOR_SPREAD)
