"""Batches of several jobs at once, on real workers and under signals."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from flows.cli import run
from storage import open_matrix, read_certificate
from tests.flows.processes import Command, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Start = Callable[..., Command]


def write(folder: Path, jobs: list[dict[str, object]], **header: object) -> str:
    (folder / "jobs.yaml").write_text(yaml.safe_dump({"at_once": 2, "memory": "2GiB", "jobs": jobs, **header}, sort_keys=False))
    return str(folder / "jobs.yaml")


def stored(path: Path) -> np.ndarray:
    matrix = open_matrix(path)
    found = np.empty(matrix.shape, matrix.dtype)
    matrix.read_into(found, slice(0, matrix.shape[0]), slice(0, matrix.shape[1]))
    return found


def test_jobs_at_once_are_right_within_their_shares_and_quiet(
    tmp_path: Path, warm_cache: Path, small_inputs: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    a, b = map(str, small_inputs)
    jobs = [{"a": a, "b": b, "out": f"C{number}", "alpha": float(number + 1), "name": f"j{number}"} for number in range(6)]
    jobs.append({"a": "C0", "b": "C1", "transpose_b": True, "out": "D"})
    jobs.append({"a": a, "b": b, "out": "E"})
    (tmp_path / "E").mkdir()
    assert run(["batch", write(tmp_path, jobs), "--direct", "--json", str(tmp_path / "r.json")]) == 2
    captured = capfd.readouterr()
    assert "7 of 8 jobs done" in captured.out
    *lines, last = captured.err.splitlines()
    assert len(lines) == 8 and all(line.startswith("job ") for line in lines)
    assert last.startswith(f"gemmflow: 1 job of 8 failed: {tmp_path}/E: {tmp_path}/E exists")
    exact = stored(small_inputs[0]) @ stored(small_inputs[1])
    for number in range(6):
        assert np.allclose(stored(tmp_path / f"C{number}"), (number + 1) * exact, rtol=1e-5)
        assert read_certificate(tmp_path / f"C{number}")["job"]["memory"] == 2**30
    assert np.allclose(stored(tmp_path / "D"), 2 * exact @ exact.T, rtol=1e-5)
    found = json.loads((tmp_path / "r.json").read_text())
    for result in found["results"][:-1]:
        plan = result["report"]["plan"]
        assert plan["workers"] * plan["threads_per_worker"] <= max(1, (os.cpu_count() or 2) // 2)


@pytest.fixture
def start(tmp_path: Path, warm_cache: Path) -> Iterator[Start]:
    commands: list[Command] = []

    def start(*line: str) -> Command:
        commands.append(Command(list(line), tmp_path, {"GEMMFLOW_CACHE": str(warm_cache)}))
        return commands[-1]

    yield start
    for command in commands:
        command.clean()


@pytest.mark.alone
@pytest.mark.server
@pytest.mark.parametrize("mode", [["--direct"], []], ids=["direct", "prefect"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_ends_all_jobs_and_lets_go_of_their_outputs(
    start: Start, tmp_path: Path, large_inputs: tuple[Path, Path], mode: list[str], number: int
) -> None:
    a, b = map(str, large_inputs)
    jobs = [{"a": a, "b": b, "out": out, "chunk": [512, 512]} for out in ("C", "D", "E")]
    line = ["batch", write(tmp_path, jobs), *mode]
    command = start(*line)
    wait_until(lambda: all(any(tmp_path.glob(f"{out}.gemmflow/*/array/c/*/*")) for out in "CD"), 120)
    sent = time.monotonic()
    os.kill(command.process.pid, number)
    code, _, errors = command.end(timeout=60)
    assert time.monotonic() - sent < 5.5
    assert code == 130, errors
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].endswith(f"the same command goes on from there: gemmflow {' '.join(line)}")
    assert command.family() == []
    left = sorted(tmp_path.glob("*.gemmflow/*"))
    assert [folder.parent.name for folder in left] == ["C.gemmflow", "D.gemmflow"]
    assert [folder / "holder" for folder in left if (folder / "holder").exists()] == []
