"""What asking the catalogue loads, proved in a process of its own."""

import subprocess
import sys

PROGRAM = """
import sys
from tasks.catalogue import catalogue, find, this_machine
from tasks.catalogue.timing import gemm_time
from tasks.gemm import Gemm
for device in catalogue():
    for precision in device.peaks:
        gemm_time(device, precision, Gemm("", 4096, 4096, 4096))
this_machine()
print(*(name for name in ("torch", "dask", "distributed", "prefect", "zarr", "scipy", "pandas", "matplotlib") if name in sys.modules))
"""


def test_it_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
