"""Measured rates: plausible, kept by fingerprint, the slowest worker's."""

from dataclasses import replace

import pytest

from storage import CODECS
from tasks import calibrate as module
from tasks import kernel_rates
from tasks.calibrate import calibrate, measure, measure_running, workers_to_measure
from tasks.errors import BadInput, GemmflowError
from tasks.hardware import host_fingerprint, recall, usable_cores
from tasks.job import make_job
from tasks.kernel_rates import BLOCK, WARM_BLOCK, block_rates, warm_rates
from tasks.kernels import libraries
from tasks.ladder import ARITHMETICS
from tasks.resident import idle_bytes
from tasks.worker_rates import WorkerRates, slowest
from tests.tasks.test_run import machine


@pytest.fixture(scope="module")
def hardware(tmp_path_factory):
    """Measured afresh, in a cache without the history that other tests' runs leave."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GEMMFLOW_CACHE", str(tmp_path_factory.mktemp("measured")))
        yield calibrate()


@pytest.mark.slow
def test_every_row_of_every_table_has_a_rate(hardware):
    for layout in hardware.layouts:
        assert set(layout.rates.flops) == {row.name for row in ARITHMETICS.values() if "cpu" in row.devices}
        assert set(layout.rates.decode) == set(layout.rates.encode) == set(CODECS)
        here = {name: libraries(name, "cpu") for name, row in ARITHMETICS.items() if "cpu" in row.devices}
        for measured in (layout.rates.gemm, layout.rates.thin):
            assert {name: list(speeds) for name, speeds in measured.items()} == here
        found = [*layout.rates.flops.values(), *layout.rates.decode.values(), *layout.rates.encode.values()]
        assert min(*found, layout.rates.probe, layout.rates.write, layout.rates.uncached, layout.rates.copy, layout.rates.touch) > 1e5
        assert 1e-4 < layout.rates.task < 1
        assert 100 * 2**20 < layout.base_bytes < 600 * 2**20


def test_a_kernel_that_is_far_too_slow_is_not_timed_on_a_large_block(monkeypatch):
    blocks = []
    monkeypatch.setattr(kernel_rates, "flops_rate", lambda key, block: blocks.append(block) or (1e6 if key[0] == "bfloat16" else 1e12))
    small = warm_rates([(name, "cpu", "torch") for name in ("bfloat16", "float32")])
    speeds = block_rates(small, BLOCK, "cpu")
    assert (speeds["bfloat16"], speeds["float32"], speeds["float64"]) == ({"torch": 1e6}, {"torch": 1e12}, {})
    assert blocks == [WARM_BLOCK, WARM_BLOCK, BLOCK]


@pytest.mark.slow
def test_it_is_remembered_and_asked_again_it_is_the_same(hardware):
    assert recall(host_fingerprint("cpu")) == hardware
    assert measure(make_job(a="a", b="b", out="c"), None) == hardware


@pytest.mark.slow
def test_layouts_cover_the_machine(hardware):
    assert workers_to_measure("cpu") == (usable_cores(), 1)
    layouts = [(layout.workers, layout.threads) for layout in hardware.layouts]
    assert layouts == [(usable_cores(), 1), (1, usable_cores())][: usable_cores()]


def test_the_slowest_worker_counts():
    usual = machine().layouts[0].rates
    slower = replace(usual, probe=usual.probe / 2, gemm={**usual.gemm, "float32": {"torch": 1.0}})
    assert slowest([usual, slower]).probe == usual.probe / 2
    assert slowest([usual, slower]).flops["float32"] == 1.0
    assert slowest([usual, slower]).flops["float64"] == usual.flops["float64"]


def test_a_library_that_one_worker_lacks_multiplies_nowhere():
    usual = machine().layouts[0].rates
    both = replace(usual, gemm={**usual.gemm, "float32": {"torch": 1e11, "scipy": 2e11}})
    assert slowest([both, usual]).kernels["float32"] == slowest([usual, both]).kernels["float32"] == "torch"


def test_a_codec_that_one_worker_lacks_is_used_nowhere():
    usual = machine().layouts[0].rates
    more = replace(usual, decode={**usual.decode, "pcodec": 2e9}, encode={**usual.encode, "pcodec": 2e8})
    for rates in (slowest([more, usual]), slowest([usual, more])):
        assert set(rates.decode) == set(usual.decode)
        assert set(rates.encode) == set(usual.encode)


def test_cuda_without_a_device_is_refused():
    with pytest.raises(BadInput, match="no CUDA device"):
        measure(make_job(a="a", b="b", out="c", cluster="cuda"), None)


def test_a_running_worker_counts_with_what_it_holds_now(monkeypatch, tmp_path):
    """It keeps some of what it used for somebody else, and a budget that forgets this would be exceeded."""
    known = machine()

    class Running:
        def run_on_workers(self, function, *arguments):
            return {"a": 700 * 2**20, "b": 300 * 2**20} if function is idle_bytes else {"a": "x", "b": "x"}

    monkeypatch.setattr(module, "recall", lambda fingerprint: known)
    (layout,) = measure_running(Running()).layouts
    assert 700 * 2**20 <= layout.base_bytes < 720 * 2**20
    assert layout.rates == known.layouts[0].rates


def test_an_arithmetic_without_a_right_kernel_ends_in_one_line():
    usual = machine().layouts[0].rates
    broken = replace(usual, gemm={**usual.gemm, "float32": {}})
    answers = [WorkerRates(made, 250 * 2**20, 0, 1, "x", "host", 1, 2**30) for made in (usual, broken)]
    with pytest.raises(GemmflowError, match="no kernel multiplies small integers exactly in float32 on every worker"):
        module._layout(answers, 1)
