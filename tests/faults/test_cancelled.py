"""Who cancels a run is heard by the run itself, where Prefect's own processes listen no longer."""

import time
from collections.abc import Callable

import pytest

from flows.cancelled import LOOK_SECONDS, MESSAGE, OTHERS_SECONDS
from tests.faults.servers import Server
from tests.faults.test_prefect import begun, state, submit
from tests.faults.test_schedules import FINAL, deploy, deployment, job, pool_worker, server  # noqa: F401 - a fixture
from tests.faults.test_slot import slots, start
from tests.faults.world import TILES, World
from tests.flows.prefect_api import prefect
from tests.flows.processes import Command, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(200)]

SLACK_SECONDS = 12.0
"""For the end of the run and of its processes, as in every cancellation."""

TILE_SECONDS = 2.0


def in_pool(world: World, server: Server) -> tuple[Command, Callable[[], str]]:  # noqa: F811
    """Prefect's worker of a pool, and what starts a run there."""
    deploy(world, "multiply-pool", schedules=[])
    return pool_worker(world, server, deaf=True, seconds=TILE_SECONDS), lambda: start(server, job(world))


def served(world: World, server: Server) -> tuple[Command, Callable[[], str]]:  # noqa: F811
    """`gemmflow serve`, and what starts a run there."""
    command = world.start(line=("serve",), deaf=True, seconds=TILE_SECONDS)
    wait_until(lambda: deployment(server), 90)
    return command, lambda: submit(world, server)


@pytest.mark.parametrize("way", [in_pool, served], ids=["pool", "served"])
def test_a_run_is_cancelled_though_nobody_listens(way: Callable, processes: World, server: Server) -> None:  # noqa: F811
    starter, start_one = way(processes, server)
    run = start_one()
    begun(processes, starter)
    prefect({"PREFECT_API_URL": server.url, "PREFECT_HOME": str(processes.folder / "home")}, "flow-run", "cancel", run)
    asked = time.monotonic()
    wait_until(lambda: state(server, run)["type"] in FINAL and len(starter.family()) == 1, 60)
    assert time.monotonic() - asked < OTHERS_SECONDS + 2 * LOOK_SECONDS + SLACK_SECONDS
    assert (state(server, run)["type"], state(server, run)["message"]) == ("CANCELLED", MESSAGE)
    kept, folder = len(processes.recorded()), processes.staging
    assert kept > 3 and folder is not None and not (folder / "holder").exists() and not processes.out.exists()
    assert sum(processes.computed().values()) < TILES and starter.process.poll() is None
    assert way is served or slots(server) == 0
