"""The benchmark of arithmetics on a small product, on this processor and on an emulated device: what it measures is there, and right."""

from contextlib import nullcontext

import pytest

from benchmarks.arithmetics import Bench, table
from tasks.ladder import ARITHMETICS
from tests.tasks.emulated import emulated_device

EDGE, DEPTH = 64, 32
PLACES = {"cpu": nullcontext, "cuda": emulated_device}


@pytest.mark.parametrize("device", PLACES)
def test_every_arithmetic_is_timed_and_within_its_bound(device):
    names = [name for name, row in ARITHMETICS.items() if device in row.devices]
    with PLACES[device]():
        found = Bench(device, EDGE, DEPTH).run(names, 1)
    assert {label.split(" (")[0] for label in found} == {*names, "torch float32", "torch bfloat16"}
    for label, row in found.items():
        assert row["multiply"] > 0
        if not label.startswith("torch"):
            bound = ARITHMETICS[label.split(" (")[0]].bound(EDGE, ("float32", "float32"), "float64", device)
            assert 0 < row["error"] < bound and 0 < row["verifier's share"] < 1
    lines = table(found).splitlines()
    assert len(lines) == len(found) + 1 and "verifier's share" in lines[0]
