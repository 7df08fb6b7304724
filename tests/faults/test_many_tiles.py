"""A thousand tiles of ten milliseconds: none is lost or computed twice, dead workers cost what they had in hand, the driver stays small."""

import time
from contextlib import suppress

import numpy as np
import psutil
import pytest
import zarr

from tasks.drive import WINDOW
from tests.faults.world import WORKERS, World
from tests.flows.processes import Command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TILES = 1024
MOST_BYTES = 300 * 2**20


@pytest.mark.parametrize("fault", ["", "chunk renamed:60:self,chunk renamed:150:self"])
def test_a_thousand_short_tiles(processes: World, fault: str) -> None:
    command = processes.start("--chunk", "32,32", fault=fault, tile=(32, 32, 256), seconds=0.01)
    most = most_memory(command)
    done = processes.end(command)
    assert done.report["measured"]["tiles"] == TILES
    deaths = len(processes.struck)
    assert deaths == (len(fault.split(",")) if fault else 0)
    counted = processes.computed()
    assert sorted(counted) == list(range(TILES)) and counted.total() <= TILES + deaths * WINDOW * WORKERS
    exact = zarr.open_array(processes.a, mode="r")[:].astype(float) @ zarr.open_array(processes.b, mode="r")[:]
    assert np.abs(processes.values() - exact).max() < 1e-3
    assert most < MOST_BYTES


def most_memory(command: Command) -> int:
    """Resident bytes of the driver, at their most, until it ends."""
    most = 0
    while command.process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            most = max(most, psutil.Process(command.process.pid).memory_info().rss)
        time.sleep(0.1)
    return most
