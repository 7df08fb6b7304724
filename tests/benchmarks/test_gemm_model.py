from statistics import fmean

import pytest

from benchmarks.gemm_model import one_efficiency, read, table, weights
from tasks.catalogue.kernels import known
from tasks.catalogue.shape import Engine
from tests.tasks.catalogue.measured_products import device_named, draw, measured


def engine(name, precision="bfloat16"):
    device = device_named(name)
    return Engine(device.peaks[precision], device.multiprocessors, device.memory_bandwidth)


def test_the_table_has_a_line_for_each_device_that_was_measured():
    lines = table(2)
    assert len(lines) == 2 + 12
    assert all(line.count("|") == 8 for line in lines)
    assert any(line.startswith("| L40S-48GB | fp8 |") for line in lines)


@pytest.mark.parametrize("name", ["A100-SXM4-80GB", "H100-SXM5-80GB", "L40S-48GB"])
def test_the_model_is_better_than_one_efficiency_alone(name):
    plain, model = ([how(name, "bfloat16", seed) for seed in range(20)] for how in (one_efficiency, draw))
    assert fmean(one.median for one in model) < 0.8 * fmean(one.median for one in plain)
    assert fmean(one.p90 for one in model) < fmean(one.p90 for one in plain) * 1.05


def test_weights_of_sixty_products_are_about_those_of_all(tmp_path):
    """Those in the catalogue are of thousands: the same wave law of A100, where the last wave costs as much as any."""
    rows = measured("A100-SXM4-80GB", "bfloat16")
    path = tmp_path / "products.csv"
    lines = [f"{row.gemm.m},{row.gemm.n},{row.gemm.k},{row.seconds}" for row in rows]
    path.write_text("\n".join(["m,n,k,seconds", *lines]))
    found, scatter = weights(read(path), engine("A100-SXM4-80GB"))
    row = known("A100-SXM4-80GB", "bfloat16")
    assert row and found[:2] == pytest.approx(row.weights[:2], abs=0.12)
    assert 0.8 < found[1] < 1.2 and scatter < 0.09
