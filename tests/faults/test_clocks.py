"""The wall clock jumps by an hour, forth and back, once a second, while a run goes on: nothing that is measured or waited for notices."""

import time
from pathlib import Path

import pytest

from flows import upkeep
from tasks.checkup import Ask
from tests.faults.world import TILES, World
from tests.flows.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HOUR = 3600


def test_a_run_lasts_as_long_as_it_lasts(processes: World, tmp_path: Path) -> None:
    processes.tricks["clock"] = HOUR
    began = time.monotonic()
    done = processes.run("--html", str(tmp_path / "report.html"), seconds=0.15)
    wall, measured = time.monotonic() - began, done.report["measured"]
    assert 0 < measured["startup_seconds"] < wall and TILES * 0.15 / 2 < measured["seconds"] < wall
    assert wall / 3 < measured["startup_seconds"] + measured["seconds"] < wall
    assert all(0 <= seconds < wall for seconds in measured["lanes"].values())
    assert measured["tiles_retried"] == 0 and done.report["warnings"] == []
    assert all(0 < worker["busy_seconds"] < wall for worker in measured["workers"]), measured["workers"]
    assert upkeep.verify(processes.out, Ask(full=True)).sound
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_nobody_takes_a_run_for_dead_or_hung(processes: World) -> None:
    """Some thirty seconds: longer than a holder of an OUT may stand still."""
    processes.tricks["clock"] = HOUR
    command = processes.start(seconds=0.9)
    wait_until(lambda: len(processes.recorded()) > 2, 60)
    second = processes.run()
    assert (second.code, "is being written by process" in second.line) == (3, True), second
    done = processes.end(command)
    assert done.code == 0 and done.report["measured"]["tiles_retried"] == 0 and "left" not in done.line
    assert sum(processes.computed().values()) == TILES


def test_a_resumed_run_knows_its_own_tiles(processes: World) -> None:
    processes.tricks["clock"] = HOUR
    kept = processes.killed(tiles=20)
    done = processes.run()
    assert done.report["measured"]["tiles_resumed"] == kept
    assert sum(worker["tiles"] for worker in done.report["measured"]["workers"]) == TILES - kept
