"""One run at a time for an OUT, with real processes: who is second is refused, who is gone or stands still is taken over."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from flows import upkeep
from tasks.checkup import Ask
from tests.faults.world import TILES, World
from tests.flows.processes import Command, wait_until

pytestmark = pytest.mark.slow

LEASE = {"seconds": 0.1}
"""Of the tiles: a run of four seconds."""

LONG = {"seconds": 0.3}
"""So that another command has begun before it ends."""


def holder(world: World) -> dict[str, object]:
    folder = world.staging
    assert folder is not None
    return json.loads((folder / "holder").read_text())


def computing(world: World, tiles: int = 5) -> bool:
    return len(world.recorded()) >= tiles


def resumed(done) -> int:
    return done.report["measured"]["tiles_resumed"]


def sound(world: World) -> bool:
    return upkeep.verify(world.out, Ask(full=True)).sound and world.beside() == []


@pytest.mark.alone
def test_a_killed_driver_is_gone_on_with_at_once(processes: World) -> None:
    before = processes.killed(tiles=20)
    run_id, epoch = processes.staging.name.split(".")
    began = time.monotonic()
    done = processes.run()
    assert (done.code, resumed(done)) == (0, before)
    assert f"going on with run {run_id}: {before} of {TILES} tiles are done" in done.errors.splitlines()
    assert (epoch, done.report["run_id"]) == ("1", run_id)
    assert time.monotonic() - began < 18  # nobody waited for a heartbeat
    assert sound(processes)


def test_a_second_run_is_refused_and_names_the_first(processes: World) -> None:
    first = processes.start(**LONG)
    wait_until(lambda: computing(processes), 60)
    second = processes.run()
    assert second.code == 3
    assert f"is being written by process {first.process.pid} on {os.uname().nodename}" in second.line
    assert processes.end(first).code == 0
    assert sound(processes)


def test_of_two_started_together_one_runs(processes: World) -> None:
    commands = [processes.start(**LEASE) for _ in range(2)]
    ends = sorted((processes.end(command) for command in commands), key=lambda done: done.code)
    assert [done.code for done in ends] in ([0, 3], [0, 2])
    assert ("exists" if ends[1].code == 2 else "another run" if "another run" in ends[1].line else "is being written by") in ends[1].line
    assert sum(processes.computed().values()) == TILES
    assert sound(processes)


def test_a_run_that_stands_still_is_taken_over_and_can_do_no_harm(processes: World) -> None:
    first = processes.start(**LEASE)
    wait_until(lambda: computing(processes), 60)
    stopped = [first.process.pid]
    os.kill(first.process.pid, signal.SIGSTOP)
    before = len(processes.recorded())
    began = time.monotonic()
    second = processes.run(standstill=3.0)
    assert time.monotonic() - began >= 3
    assert second.code == 0, second
    assert resumed(second) >= before
    root, state = processes.root(), snapshot(processes.out)
    for process in stopped:
        os.kill(process, signal.SIGCONT)
    late = processes.end(first)
    assert late.code not in (0, -signal.SIGKILL)
    assert "stood still and was taken over" in late.line and len(late.errors.splitlines()) <= 4 and "Traceback" not in late.errors
    assert (processes.root(), snapshot(processes.out)) == (root, state)
    assert sound(processes)


def test_a_run_that_wakes_up_while_the_second_computes(processes: World) -> None:
    first = processes.start(**LEASE)
    wait_until(lambda: computing(processes), 60)
    os.kill(first.process.pid, signal.SIGSTOP)
    second = processes.start(standstill=2.0, seconds=0.4)
    wait_until(lambda: holder(processes)["epoch"] == 2 if (processes.staging / "holder").exists() else False, 60)
    os.kill(first.process.pid, signal.SIGCONT)
    late = processes.end(first)
    assert late.code == 1 and "stood still and was taken over" in late.line
    assert processes.end(second).code == 0
    assert sound(processes)


def test_a_moving_holder_is_never_taken_over(processes: World) -> None:
    first = processes.start(seconds=0.3)
    wait_until(lambda: computing(processes, 1), 60)
    began = time.monotonic()
    second = processes.run(standstill=60.0)
    assert second.code == 3 and time.monotonic() - began < 40
    assert processes.end(first).code == 0


def snapshot(out: Path) -> dict[str, tuple[int, int]]:
    return {str(path.relative_to(out)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(out.rglob("*"))}


def test_ctrl_c_then_the_same_command(processes: World) -> None:
    first = processes.start(**LEASE)
    wait_until(lambda: computing(processes), 60)
    os.killpg(first.process.pid, signal.SIGINT)
    stopped = processes.end(first)
    assert stopped.code == 130
    assert "interrupted; nothing at OUT was changed" in stopped.line and str(processes.staging) in stopped.line
    before = len(processes.recorded())
    done = processes.run()
    assert before >= 5 and (done.code, resumed(done)) == (0, before)
    assert sound(processes)


def test_clean_leaves_a_running_run_alone(processes: World) -> None:
    first: Command = processes.start(**LONG)
    wait_until(lambda: computing(processes), 60)
    done = processes.run(line=("clean", str(processes.out)))
    assert done.code == 3 and f"process {first.process.pid}" in done.line
    assert processes.end(first).code == 0


def test_a_repair_waits_for_nobody_who_writes(processes: World) -> None:
    assert processes.run().code == 0
    (processes.out / "c/0/0").unlink()
    first = processes.start("--overwrite", seconds=0.3)
    wait_until(lambda: computing(processes), 60)
    done = processes.run(line=("repair", str(processes.out)))
    assert done.code == 3 and f"process {first.process.pid}" in done.line
    assert processes.end(first).code == 0
    assert sound(processes)
