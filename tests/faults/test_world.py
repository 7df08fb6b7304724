"""Faults strike once, for the command that asked for them, whatever workers that outlive a driver are still about."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.faults.site import sitecustomize
from tests.faults.world import World


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    monkeypatch.setattr(sitecustomize, "FOLDER", tmp_path / "faults")
    return World(tmp_path)


@pytest.fixture
def driver() -> Iterator[subprocess.Popen]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def start(world: World, process: subprocess.Popen) -> None:
    (world.faults / "driver").write_text(f"{world.token} {process.pid}")


def test_a_fault_strikes_at_its_step_and_once(world: World, driver: subprocess.Popen) -> None:
    world.strike("chunk renamed:2:driver")
    start(world, driver)
    sitecustomize.reach("chunk renamed")
    assert world.struck == [] and driver.poll() is None
    for _ in range(3):
        sitecustomize.reach("chunk renamed")
    assert world.struck == ["0 chunk renamed:2:driver"] and driver.wait(10) == -signal.SIGKILL


def test_no_driver_is_killed_by_the_faults_of_another_command(world: World, driver: subprocess.Popen) -> None:
    """Those who end a tile of the last command see this one's faults before its driver is there."""
    world.strike()
    start(world, driver)
    world.strike("chunk renamed:1:driver")
    sitecustomize.reach("chunk renamed")
    assert world.struck == [] and driver.poll() is None


def test_what_strikes_late_is_not_counted_for_the_next_command(world: World, driver: subprocess.Popen) -> None:
    world.strike("chunk fsynced:1:driver")
    start(world, driver)
    before = world.token
    world.strike("chunk renamed:1:driver")
    sitecustomize.strike(before, "0 chunk fsynced:1:driver", "driver")
    assert world.struck == []
