"""What a worker loads, proved in a process of its own: no Prefect, no zarr, no matplotlib, no scipy."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import {module}
print(*(name for name in ("prefect", "zarr", "matplotlib", "scipy", "pandas", "torch", "distributed") if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("tasks.tile", {"torch", "distributed"}),
        ("tasks.rates", {"torch"}),
        ("tasks.planner", set()),
        ("tasks.calibrate", {"distributed"}),
        ("tasks.run", {"distributed"}),
        ("tasks.outcome", set()),
        ("tasks.job", set()),
        ("flows", set()),
    ],
)
def test_it_loads_no_more_than_it_needs(module, allowed):
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(module=module)], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= allowed
