"""kill -9 of workers before the first tile: while they start, while they are checked, while the machine is measured. The command goes on
by itself, and its product is that of an undisturbed run, bit for bit."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from tasks import tls
from tasks.clusters import ClusterSpec, open_cluster
from tasks.processes import MOST_DEATHS
from tests.faults.test_kills import Truth, empty, workers_of
from tests.faults.world import SITE, TILES, WORKERS, Done, World
from tests.flows.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

STARTING = ("worker started", "worker loading")
ASKED = ("code asked", "code answered", "files asked", "files answered")
SECONDS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
"""After the first worker process was seen. The tiles alone take two workers as long as the latest, however fast the machine."""


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Truth]:
    world, began = World(tmp_path_factory.mktemp("early")), time.monotonic()
    assert world.run().code == 0
    yield Truth(world, world.chunks(), world.values(), time.monotonic() - began)
    world.close()


@pytest.fixture
def world(truth: Truth) -> World:
    empty(truth.world)
    truth.world.forget()
    return truth.world


def whole(done: Done, truth: Truth) -> None:
    """The command has ended well, and no tile was computed twice."""
    assert done.code == 0, done
    assert truth.world.chunks() == truth.chunks and truth.world.beside() == []
    assert truth.world.computed() == dict.fromkeys(range(TILES), 1)


@pytest.mark.parametrize("step", [*STARTING, *ASKED])
def test_a_worker_killed_before_the_first_tile_is_replaced_and_the_report_says_so(step: str, world: World, truth: Truth) -> None:
    done = world.run(fault=f"{step}:1:self")
    assert len(world.struck) == 1
    whole(done, truth)
    assert [line for line in done.report["warnings"] if line.startswith("1 worker died before the first tile (killed by SIGKILL)")]


def test_workers_killed_at_one_step_after_another(world: World, truth: Truth) -> None:
    faults = ",".join(f"{step}:1:self" for step in (*STARTING, *ASKED[::2]))
    done = world.run(fault=faults)
    assert len(world.struck) == 4
    whole(done, truth)
    assert any("4 workers died before the first tile" in line for line in done.report["warnings"])


@pytest.mark.parametrize("seconds", SECONDS)
def test_a_worker_killed_at_any_time_of_the_start_does_not_end_the_command(seconds: float, world: World, truth: Truth) -> None:
    command = world.start(seconds=2 * max(SECONDS) / TILES)
    wait_until(lambda: workers_of(command), 60)
    time.sleep(seconds)
    workers = workers_of(command)
    workers[0].kill()
    done = world.end(command)
    assert done.code == 0, done
    assert world.chunks() == truth.chunks and world.beside() == []


def test_all_workers_killed_at_once_while_they_start(world: World, truth: Truth) -> None:
    command = world.start()
    wait_until(lambda: len(workers_of(command)) == WORKERS, 60)
    for worker in workers_of(command):
        worker.kill()
    whole(world.end(command), truth)


def test_workers_that_are_killed_at_every_start_end_the_command_with_one_line(world: World) -> None:
    done = world.run(fault=",".join(["worker started:1:self"] * (WORKERS * MOST_DEATHS + 2)))
    assert done.code == 1 and "Traceback" not in done.errors, done
    assert f"a worker process was killed by SIGKILL while it started, {MOST_DEATHS + 1} times: see what ends it" in done.line
    assert not world.out.exists() and world.beside() == []


@pytest.mark.parametrize("step", ["rates asked", "threads asked"])
def test_a_worker_killed_while_the_machine_is_measured_is_measured_again(step: str, world: World, truth: Truth) -> None:
    shutil.move(world.cache, world.folder / "kept")
    world.cache.mkdir()
    try:
        done = world.run("--precision", "float32", fault=f"{step}:1:self")
        assert len(world.struck) == 1
        whole(done, truth)
        (measured,) = [json.loads(path.read_text()) for path in world.cache.glob("calibration-*.json")]
        assert measured["layouts"][0]["workers"] == measured["cores"]
    finally:
        shutil.rmtree(world.cache)
        shutil.move(world.folder / "kept", world.cache)


@pytest.mark.parametrize("step", ["code asked", "files asked"])
def test_so_it_is_with_workers_of_somebody_elses(step: str, world: World, truth: Truth, tmp_path: Path) -> None:
    path = {"PYTHONPATH": str(SITE), "GEMMFLOW_FAULTS": str(world.faults), "TMPDIR": str(world.scratch)}
    tls.make(tmp_path / "tls")
    with mock.patch.dict(os.environ, {tls.TLS: str(tmp_path / "tls")}):
        with mock.patch.dict(os.environ, path | {"GEMMFLOW_TRICKS": json.dumps(world.tricks), "GEMMFLOW_MARK": "somebody else"}):
            opened = open_cluster(ClusterSpec("local", WORKERS, 1))
        with opened:
            done = world.run("--cluster", opened.address, fault=f"{step}:1:self")
    assert done.code != -signal.SIGKILL and len(world.struck) == 1
    whole(done, truth)
