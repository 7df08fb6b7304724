"""Rules that every row of the catalogue keeps (analysis, numeric checks G, H and I), and what peaks follow from."""

import datetime
import math
import subprocess
import tomllib
from pathlib import Path

import pytest

from tasks.catalogue import KINDS, PRECISIONS, catalogue, find
from tasks.catalogue.builtin import builtin, sources
from tasks.catalogue.columns import COLUMNS, PEAKS, read_value
from tasks.catalogue.kernels import references

ROOT = Path(__file__).resolve().parents[3]
DEVICES = catalogue()
EACH = pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)

SPARSE = {"H100-SXM5-80GB": 1979, "H200-SXM-141GB": 1979, "B200-SXM-180GB": 4500, "B300-SXM-288GB": 4500, "RTX 5090": 838}
"""Headlines with sparsity, in bfloat16."""


def peak(name, precision="bfloat16"):
    return find(name, DEVICES).peaks[precision] / 1e12


@EACH
def test_every_number_has_a_source_and_is_credible(device):
    assert device.kind in KINDS and device.vendor
    assert set(device.figures) <= set(COLUMNS)
    assert len(device.figures) >= 1
    for column, figure in device.figures.items():
        assert figure.sources and all(len(source) > 8 for source in figure.sources), column
        assert read_value(column, f"{figure.value:.12g}") == pytest.approx(figure.value)


@EACH
def test_dense_peaks_are_in_order(device):
    """On NVIDIA fp8 is at least 1.66 times as fast as bfloat16, which nowhere is the number with sparsity."""
    peaks = device.peaks
    if device.vendor == "NVIDIA" and {"bfloat16", "fp8"} <= peaks.keys():
        assert peaks["bfloat16"] <= 0.6 * peaks["fp8"]
    if "bfloat16" in peaks:
        assert peaks["bfloat16"] / 1e12 != SPARSE.get(device.name)
    if {"tf32", "bfloat16"} <= peaks.keys():
        assert peaks["tf32"] <= peaks["bfloat16"]
    if {"float64", "float32"} <= peaks.keys():
        assert peaks["float64"] <= peaks["float32"]
    for precision, best in device.best.items():
        assert best < peaks[precision]


@EACH
def test_prices_are_dated_and_sourced_and_no_placeholder(device):
    for price in device.prices:
        assert datetime.date(2020, 1, 1) < datetime.date.fromisoformat(price.date)
        assert price.provider in ("aws", "azure", "gcp") and price.region and price.instance and price.source
        assert price.usd_per_hour != 700.0 and price.usd_per_hour * price.devices_per_instance != 700.0
        assert 0.1 < price.usd_per_hour < 100
    assert device.price == min(device.prices, key=lambda price: (price.usd_per_hour, price.devices_per_instance), default=None)


def test_peaks_follow_from_clocks_and_units():
    """Clock x FLOP of a unit and cycle x 2 x units."""
    assert peak("h100") == pytest.approx(1830e6 * 512 * 2 * 528 / 1e12, abs=0.5)
    assert peak("a100") == pytest.approx(1410e6 * 256 * 2 * 432 / 1e12, abs=0.2)
    assert peak("mi300x") == pytest.approx(2100e6 * 256 * 2 * 1216 / 1e12, abs=0.1)
    assert (peak("mi250x"), peak("gaudi 3")) == (383.0, 1677)


def test_numbers_that_others_have_wrong():
    assert peak("4090", "float16") == peak("4090") == 165.2
    assert find("mi325x", DEVICES).memory_bytes == 256 * 10**9
    assert peak("h100", "tf32") == 494.5
    assert peak("b300", "int8") == 153.5
    for name, part in (("A10G", "125"), ("mi250x", "766"), ("mi325x", "288"), ("b300", "4500"), ("b200", "8000"), ("gaudi 3", "1835")):
        assert any(part in line for line in find(name, DEVICES).conflicts), name


def test_what_is_unknown_stays_unknown():
    graviton = find("graviton4", DEVICES)
    assert not graviton.peaks and graviton.memory_bytes is None and graviton.memory_bandwidth == 537.6e9
    assert "float64" not in find("rtx 5090", DEVICES).peaks
    assert find("tpu v7x", DEVICES).price is None
    assert find("tpu v4", DEVICES).link_bandwidth is None


def test_prices_are_those_of_whole_instances():
    h100, a100, v6e = (find(name, DEVICES) for name in ("h100", "A100-SXM4-40GB", "tpu v6e"))
    by_instance = {price.instance: price for price in h100.prices}
    assert by_instance["p5.48xlarge"].usd_per_hour == pytest.approx(55.04 / 8) == by_instance["p5.4xlarge"].usd_per_hour
    assert h100.price == by_instance["p5.4xlarge"]
    assert by_instance["Standard_ND96isr_H100_v5"].usd_per_hour == pytest.approx(98.32 / 8)
    assert a100.price and a100.price.usd_per_hour == pytest.approx(21.957642 / 8) == pytest.approx(2.7447, abs=1e-4)
    assert v6e.price and v6e.price.usd_per_hour == pytest.approx(43.2 / 16) == pytest.approx(2.7)


def test_tables_hold_nothing_that_leads_nowhere():
    assert {device.kind for device in DEVICES} == {"dc-gpu", "consumer-gpu", "tpu", "npu", "cpu"}
    assert set(PEAKS) == set(PRECISIONS)
    assert len(builtin()) == len(DEVICES) >= 30
    codes = set(sources())
    assert all(source in sources().values() for entry in builtin().values() for price in entry.prices for source in (price.source,))
    for row in references():
        assert row.device in builtin() and row.precision in PRECISIONS
        assert row.source.split()[0] in codes
        assert 0 < row.efficiency[0] < row.efficiency[1] < row.efficiency[2] < row.efficiency[3] <= 1 and row.products > 1000


def test_measured_efficiency_is_that_of_the_analysis():
    """Median of the share of the peak, products with m, n and k of 1024 and more."""
    found = {(row.device.split("-")[0], row.precision): row.efficiency[1] for row in references()}
    shown = {"A100": 0.81, "H100": 0.78, "H200": 0.78, "B200": 0.67, "GB200": 0.65, "B300": 0.73, "L40S": 0.61}
    assert all(math.isclose(found[name, "bfloat16"], share, abs_tol=0.006) for name, share in shown.items())
    assert found["H100", "fp8"] == pytest.approx(0.42, abs=0.006)


def test_the_tables_are_in_the_wheel():
    """The wheel takes whole packages, less what git ignores: built once by hand, it had all five."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert "tasks" in settings["targets"]["wheel"]["packages"]
    assert not {"exclude", "only-include", "include"} & (settings.keys() | settings["targets"]["wheel"].keys())
    tables = sorted((ROOT / "tasks/catalogue").glob("*.csv"))
    assert [table.stem for table in tables] == ["devices", "figures", "kernels", "prices", "sources"]
    ignored = subprocess.run(["git", "check-ignore", *map(str, tables)], cwd=ROOT, capture_output=True, text=True)
    assert not ignored.stdout
