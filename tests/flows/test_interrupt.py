"""Ctrl-C, SIGTERM and kill -9, at three moments of a run, with and without Prefect."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.processes import Command, wait_until

Start = Callable[..., Command]


@pytest.fixture
def start(tmp_path: Path, warm_cache: Path, large_inputs: tuple[Path, Path]) -> Iterator[Start]:
    commands: list[Command] = []

    def start(*more: str) -> Command:
        a, b = large_inputs
        line = ["multiply", str(a), str(b), str(tmp_path / "C.zarr"), "--memory", "1GiB", *more]
        commands.append(Command(line, tmp_path, {"GEMMFLOW_CACHE": str(warm_cache)}))
        return commands[-1]

    yield start
    for command in commands:
        command.clean()


def moments(folder: Path) -> dict[str, Callable[[Command], object]]:
    return {
        "importing": lambda command: time.time() > command.started + 0.7,
        "starting": lambda command: len(command.family()) > 1,
        "multiplying": lambda command: any(folder.glob("C.zarr.gemmflow/*/array/c/*/*")),
    }


def to_process(command: Command, number: int) -> None:
    os.kill(command.process.pid, number)


def to_terminal(command: Command, number: int) -> None:
    os.killpg(command.process.pid, number)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("mode", ["prefect", "direct"])
@pytest.mark.parametrize("moment", ["importing", "starting", "multiplying"])
@pytest.mark.parametrize(("number", "send"), [(signal.SIGINT, to_terminal), (signal.SIGTERM, to_process)], ids=["ctrl-c", "sigterm"])
def test_a_signal_ends_everything_within_five_seconds(start: Start, tmp_path: Path, number: int, send, moment: str, mode: str) -> None:
    command = start(*(["--direct"] if mode == "direct" else []))
    wait_until(lambda: moments(tmp_path)[moment](command), 60)
    sent = time.monotonic()
    send(command, number)
    code, _, errors = command.end(timeout=20)
    assert time.monotonic() - sent < 5
    assert code == 130, errors
    left = list(tmp_path.glob("C.zarr.gemmflow/*"))
    kept = f"; what is finished is kept in {left[0]}: the same command goes on from there: " if left else ". To start again: "
    assert errors.splitlines()[-1].startswith(f"gemmflow: interrupted; nothing at OUT was changed{kept}gemmflow multiply")
    assert "Traceback" not in errors
    assert command.family() == []
    assert not (tmp_path / "C.zarr").exists()


@pytest.mark.slow
@pytest.mark.server
def test_kill_9_leaves_no_process(start: Start, tmp_path: Path) -> None:
    command = start()
    wait_until(lambda: moments(tmp_path)["multiplying"](command), 60)
    assert len(command.family()) > 2
    command.process.kill()
    wait_until(lambda: command.family() == [], 20)
    assert not (tmp_path / "C.zarr").exists()


@pytest.mark.alone
@pytest.mark.slow
def test_a_second_signal_ends_at_once(start: Start, tmp_path: Path) -> None:
    command = start("--direct")
    wait_until(lambda: moments(tmp_path)["multiplying"](command), 60)
    to_process(command, signal.SIGTERM)
    time.sleep(0.05)
    sent = time.monotonic()
    to_process(command, signal.SIGTERM)
    assert command.end(timeout=20)[0] == 130
    assert time.monotonic() - sent < 2
    assert command.family() == []
