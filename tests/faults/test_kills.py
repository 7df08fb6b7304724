"""kill -9 at fifty moments of runs of 64 tiles: of a worker, of the driver, of everything. Whatever dies and whenever, the same
command again gives the product of an undisturbed run, bit for bit, and computes twice at most what was in flight.

    named steps     chunk written, fsynced, renamed; tile recorded; manifest written; exchange before and after   5 times each
    random times    15

A campaign is one OUT: killed, started again and killed again, until it is whole.
"""

import os
import random
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from unittest import mock

import numpy as np
import psutil
import pytest

from flows import upkeep
from tasks import tls
from tasks.checkup import Ask
from tasks.cluster import Cluster
from tasks.clusters import ClusterSpec, open_cluster
from tasks.drive import WINDOW
from tests.faults.world import SITE, TILES, WORKERS, Done, World
from tests.flows.processes import Command, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(700)]

POWER = ("--durability", "power")
AT_LAST = "exchange after"
"""Who is killed then has published: the same command again finds OUT whole."""


@dataclass(frozen=True)
class Truth:
    """An undisturbed run."""

    world: World
    chunks: tuple[object, ...]
    values: np.ndarray
    seconds: float
    """From the command to its end."""


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Truth]:
    world = World(tmp_path_factory.mktemp("kills"))
    began = time.monotonic()
    assert world.run(*POWER).code == 0
    yield Truth(world, world.chunks(), world.values(), time.monotonic() - began)
    world.close()


@pytest.fixture
def world(truth: Truth) -> Iterator[World]:
    """The folder, nothing at OUT, nothing computed."""
    empty(truth.world)
    truth.world.forget()
    yield truth.world


def empty(world: World) -> None:
    shutil.rmtree(world.out, ignore_errors=True)
    for name in world.beside():
        shutil.rmtree(world.data / name)


@pytest.fixture(scope="module")
def held(truth: Truth) -> Iterator[Cluster]:
    """Workers that outlive their drivers, as on a cluster of somebody else's; every command has the certificates that it needs."""
    world = truth.world
    path = {"PYTHONPATH": str(SITE), "GEMMFLOW_FAULTS": str(world.faults), "TMPDIR": str(world.scratch)}
    tls.make(world.folder / "tls")
    with mock.patch.dict(os.environ, {tls.TLS: str(world.folder / "tls")}):
        with mock.patch.dict(os.environ, path):
            opened = open_cluster(ClusterSpec("local", WORKERS, 1))
        with opened:
            yield opened


def check(truth: Truth, kills: int, runs: int = 1) -> None:
    """What must hold at the end of every campaign."""
    world = truth.world
    assert world.chunks() == truth.chunks
    assert np.array_equal(world.values(), truth.values)
    assert upkeep.verify(world.out, Ask(full=True)).sound
    assert world.beside() == []
    counted = world.computed()
    assert sorted(counted) == list(range(TILES))
    assert sum(counted.values()) <= runs * TILES + kills * WINDOW * WORKERS, counted


def campaign(world: World, faults: list[str], *more: str) -> None:
    """One command for each fault, and one to the end where the last fault does not leave OUT whole."""
    for fault in faults:
        done = world.run(*POWER, *more, fault=fault)
        assert (done.code, len(world.struck)) == (-signal.SIGKILL, 1), (fault, done)
    done = world.run(*POWER, *more)
    if faults[-1].startswith(AT_LAST) and "--overwrite" not in more:
        assert done.code == 2 and "exists" in done.line, done
    else:
        assert done.code == 0, done
        assert "Traceback" not in done.errors


EVERYTHING = {
    "written": ["chunk written:5:all", "tile recorded:20:all", "manifest renamed:1:all", "exchange before:1:all", "exchange after:1:all"],
    "fsynced": ["chunk fsynced:8:all", "tile recorded:3:all", "manifest after:1:all", "exchange before:1:all", "exchange after:1:all"],
    "renamed": ["chunk renamed:10:all", "header renamed:2:all", "exchange before:1:all", "exchange after:1:all"],
}
DRIVER = {
    "new": [
        "chunk written:9:driver",
        "chunk fsynced:7:driver",
        "chunk renamed:4:driver",
        "tile recorded:1:driver",
        "manifest after:1:driver",
        "exchange before:1:driver",
        "exchange after:1:driver",
    ],
    "overwriting": [
        "chunk written:1:driver",
        "tile recorded:19:driver",
        "chunk fsynced:2:driver",
        "chunk renamed:3:driver",
        "tile recorded:5:driver",
        "manifest renamed:1:driver",
        "exchange before:1:driver",
        "exchange after:1:driver",
    ],
}
WORKER = "chunk written:2:self,chunk written:5:self,chunk fsynced:3:self,chunk fsynced:6:self,chunk renamed:4:self,chunk renamed:7:self"
RANDOM = 5
"""Kills at random times: of a worker, of the driver, of everything."""


def test_fifty_moments_are_covered() -> None:
    faults = [*chain(*EVERYTHING.values(), *DRIVER.values()), *WORKER.split(",")]
    assert len(faults) + 3 * RANDOM == 50
    for step in ("chunk written", "chunk fsynced", "chunk renamed", "tile recorded", "exchange before", "exchange after"):
        assert sum(fault.startswith(step) for fault in faults) >= 5, step
    assert sum(fault.startswith(("manifest", "header")) for fault in faults) >= 5


@pytest.mark.parametrize("name", EVERYTHING)
def test_everything_killed_at_every_step(name: str, world: World, truth: Truth) -> None:
    faults = EVERYTHING[name]
    campaign(world, faults)
    check(truth, len(faults))


@pytest.mark.parametrize("name", DRIVER)
def test_the_driver_killed_at_every_step_while_its_workers_live(name: str, world: World, truth: Truth, held: Cluster) -> None:
    faults, cluster = DRIVER[name], ("--cluster", held.address)
    if name == "overwriting":
        assert world.run(*POWER).code == 0
        world.forget()
        campaign(world, faults, "--overwrite", *cluster)
        check(truth, len(faults), runs=2)  # it was whole; the last command was a new run
    else:
        campaign(world, faults, *cluster)
        check(truth, len(faults))


def test_workers_killed_at_every_step_do_not_end_the_run(world: World, truth: Truth) -> None:
    done = world.run(*POWER, fault=WORKER)
    assert (done.code, len(world.struck)) == (0, 6), done
    check(truth, 6)


def test_a_codec_that_the_data_choose_stays_chosen(world: World, truth: Truth) -> None:
    """Killed while the first tile decides, and after that; the values are those of any codec."""
    auto = (*POWER, "--codec", "auto")
    for fault in ("tile computing:1:all", "chunk written:1:all", "tile recorded:2:all", "tile recorded:9:driver"):
        assert world.run(*auto, fault=fault).code == -signal.SIGKILL
    done = world.run(*auto)
    assert done.code == 0, done
    assert [chunk.values for chunk in world.chunks()] == [chunk.values for chunk in truth.chunks]
    assert upkeep.verify(world.out, Ask(full=True)).sound and world.beside() == []


def test_a_sealed_run_killed_at_every_step(world: World, truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its journal is sealed, too; the manifest is that of the plain run."""
    monkeypatch.setenv("GEMMFLOW_KEY_FAULTS", secrets.token_hex(32))
    faults, sealed = ["chunk fsynced:8:all", "chunk renamed:5:driver", *EVERYTHING["written"][:4]], (*POWER, "--seal", "faults")
    for fault in faults:
        assert (world.run(*sealed, fault=fault).code, len(world.struck)) == (-signal.SIGKILL, 1), fault
    assert world.run(*sealed).code == 0
    assert world.chunks() == truth.chunks
    assert upkeep.verify(world.out, Ask(full=True)).sound and world.beside() == []
    assert sum(world.computed().values()) <= TILES + len(faults) * WINDOW * WORKERS


def test_workers_killed_at_random_times_do_not_end_the_run(world: World, truth: Truth) -> None:
    draw = random.Random(1)
    command = world.start(*POWER, seconds=0.3)
    wait_until(lambda: len(world.recorded()) > 1, 60)
    for _ in range(RANDOM):
        draw.choice(workers_of(command)).kill()
        time.sleep(draw.uniform(0.1, 1.5))
    assert world.end(command).code == 0
    check(truth, RANDOM)


@pytest.mark.parametrize("victim", ["driver", "all"])
def test_killed_at_random_times(victim: str, world: World, truth: Truth, held: Cluster) -> None:
    draw, kills, span = random.Random(victim), 0, truth.seconds
    more = ("--cluster", held.address) if victim == "driver" else ()
    while kills < RANDOM:
        with started(world, more) as command:
            time.sleep(draw.uniform(0.2, 1.0) * span)
            if command.process.poll() is None:
                kills += 1
                for process in [command.process] if victim == "driver" else command.family():
                    with suppress(psutil.NoSuchProcess):  # workers end a moment after their driver
                        process.kill()
            else:
                span *= 0.7  # it was over before
        check_if_whole(world, truth, kills)
    if not world.out.exists():
        assert world.run(*POWER, *more).code == 0
    upkeep.clean(world.out)
    check(truth, kills)


@contextmanager
def started(world: World, more: tuple[str, ...]) -> Iterator[Command]:
    command = world.start(*POWER, *more)
    yield command
    done: Done = world.end(command)
    assert done.code in (0, -signal.SIGKILL), done


def check_if_whole(world: World, truth: Truth, kills: int) -> None:
    """A run that was killed too late, or not at all, is checked; the next one starts afresh."""
    if world.out.exists() and kills < RANDOM:
        upkeep.clean(world.out)
        check(truth, kills)
        empty(world)
        world.forget()


def workers_of(command: Command) -> list[psutil.Process]:
    return [process for process in command.family() if any("tasks.worker" in part for part in process.cmdline())]
