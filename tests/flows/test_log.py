"""With GEMMFLOW_LOG=json every line on standard error is JSON."""

import asyncio
import json
import logging
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from prefect.logging.handlers import APILogWorker

from flows import cli
from flows.log import is_json, record
from tasks.errors import BadInput
from tests.flows.processes import Command

LOGGED = {"GEMMFLOW_LOG": "json"}


def lines_of(arguments: list[str], folder: Path, **environment: str) -> tuple[int, list[dict]]:
    command = Command(arguments, folder, LOGGED | environment)
    try:
        code, _, errors = command.end()
    finally:
        command.clean()
    return code, [json.loads(line) for line in errors.splitlines()]


def test_a_line_has_its_time_level_and_message() -> None:
    line = json.loads(record("info", "hello", {"tiles": 3, "run_id": ""}))
    assert line.keys() == {"time", "level", "message", "tiles"}
    assert datetime.fromisoformat(line["time"]).utcoffset() is not None


def test_an_unknown_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMFLOW_LOG", "yaml")
    with pytest.raises(BadInput, match="GEMMFLOW_LOG=yaml is unknown: use text or json"):
        is_json()


def test_an_error_is_one_line_of_json(tmp_path: Path) -> None:
    code, lines = lines_of(["multiply", "A", "B", "C", "--direct"], tmp_path)
    assert code == 2
    assert (lines[-1]["level"], "does not exist" in lines[-1]["message"]) == ("error", True)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_every_step_of_a_run_carries_its_id(tmp_path: Path, warm_cache: Path, small_inputs: tuple[Path, Path]) -> None:
    place = tmp_path / "report.json"
    arguments = ["multiply", *map(str, small_inputs), str(tmp_path / "C.zarr"), "--json", str(place)]
    for more, identity in ((["--direct"], False), (["--overwrite"], True)):
        code, lines = lines_of([*arguments, *more], tmp_path, GEMMFLOW_CACHE=str(warm_cache))
        assert code == 0
        steps = {line["event"]: line for line in lines if "event" in line}
        assert {"planned", "begun", "published"} <= steps.keys()
        run_id = json.loads(place.read_text())["run_id"]
        assert {steps[name]["run_id"] for name in ("begun", "published")} == {run_id}
        assert all(("flow_run_id" in line) == identity for line in steps.values())


def test_what_prefect_cannot_log_is_no_line_of_a_command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    async def away(_: list[dict[str, object]]) -> None:
        raise OSError("the server is away")

    def command(_: list[str]) -> int:
        worker = SimpleNamespace(_client=SimpleNamespace(create_logs=away))
        asyncio.run(APILogWorker._handle_batch(cast("APILogWorker", worker), []))
        return 0

    monkeypatch.setattr(logging, "raiseExceptions", True)
    monkeypatch.setattr(cli, "run", command)
    monkeypatch.setattr(cli, "SIGNALS", ())
    for arguments, said in (([], False), (["--debug"], True)):
        monkeypatch.setattr(sys, "argv", ["gemmflow", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        assert ("Error logging to API" in capfd.readouterr().err) is said
