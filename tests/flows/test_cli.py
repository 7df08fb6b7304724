import json
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from flows import batch as batch_module
from flows import cli_run
from flows.cli import app, run
from flows.options import Manner
from flows.watching import confirm
from tasks.errors import NotCertified, Refused, WorkersLost
from tests.flows import fakes
from tests.tasks.builders import Scene, report
from tests.tasks.builders import problem as a_problem

COMMANDS = [
    "multiply",
    "gram",
    "analyze",
    "batch",
    "demo",
    "info",
    "verify",
    "repair",
    "export",
    "rewrap",
    "clean",
    "calibrate",
    "serve",
    "deploy",
    "ui",
    "mcp",
]


def test_every_command_has_a_help_that_explains(capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(str(command.name) for command in app.registered_commands) == sorted(COMMANDS)
    for command in COMMANDS:
        assert run([command, "--help"]) == 0
        text = capsys.readouterr().out
        assert f"gemmflow {command}" in text
        assert len(text.splitlines()) > 8


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"gemmflow {metadata.version('gemmflow')}\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("multply", "Did you mean 'multiply'"),
        ("multiply a", "Missing argument 'B'"),
        ("multiply a b c d", "unexpected extra argument"),
        ("multiply a b c --speed 9", "--speed"),
        ("multiply a b c --workers many", "'many'"),
        ("multiply a b c --alpha x", "'x'"),
        ("ui --port x", "'x'"),
        ("analyze a", "B missing"),
        ("analyze", "A and B missing: give A and B, or --shape M,K,N"),
        ("multiply a b c --json /no/such/folder/x.json", "/no/such/folder does not exist"),
        ("multiply a b c --html /no/such/folder/x.html", "/no/such/folder does not exist"),
        ("batch /no/such/file.yaml", "cannot be read"),
        ("info /no/such/result", "/no/such/result"),
        ("verify /no/such/result", "/no/such/result"),
        ("ui --port 0", "port"),
        ("deploy --file /no/such/file.yaml", "cannot be read"),
        ("demo --memory 1MiB", "memory"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(line: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gemmflow: ") and captured.err.count("\n") == 1
    assert says in captured.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("memory is\n too small"), 3),
        (NotCertified("measured 1, asked 2"), 4),
        (WorkersLost("gone"), 1),
        (RuntimeError("surprise"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_end_has_its_exit_code_and_one_line(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(cli_run, "run_job", fail)
    assert run(["multiply", "a", "b", "c"]) == code
    message = capsys.readouterr().err
    assert message.startswith("gemmflow: ") and message.count("\n") == 1
    assert run(["multiply", "a", "b", "c", "--debug"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_a_command_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_run, "run_job", lambda *_: report(Scene(grid=(2, 2))))
    before = dict(os.environ)
    for more in ([], ["--debug"]):
        assert run(["multiply", "a", "b", "c", "--quiet", *more]) == 0
        assert dict(os.environ) == before


def test_an_interruption_says_how_to_start_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(cli_run, "run_job", interrupt)
    assert run(["multiply", "a", "my b", "c"]) == 130
    assert capsys.readouterr().err.endswith("To start again: gemmflow multiply a 'my b' c\n")
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_is_raised_after_a_signal_is_the_interruption(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except BaseException as stop:
            raise ValueError("Error calling function `plain`: Stop: SIGTERM") from stop

    monkeypatch.setattr(cli_run, "run_job", interrupt)
    assert run(["multiply", "a", "b", "c"]) == 130
    assert capsys.readouterr().err.startswith("gemmflow: interrupted; nothing at OUT was changed")


def test_a_signal_while_a_command_ends_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[int] = []

    def interrupt() -> None:
        calls.append(1)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    monkeypatch.setattr("flows.cli.end_descendants", interrupt)
    assert run(["--version"]) == 130
    assert capsys.readouterr().err == "gemmflow: interrupted; nothing at OUT was changed. To start again: gemmflow --version\n"
    assert len(calls) == 2


def batch_file(folder: Path, inputs: tuple[Path, Path], *outs: str) -> str:
    a, b = map(str, inputs)
    (folder / "jobs.yaml").write_text(yaml.safe_dump([{"a": a, "b": b, "out": out} for out in outs]))
    return str(folder / "jobs.yaml")


def test_a_batch_ends_with_what_is_raised_after_a_signal(
    tmp_path: Path, small_inputs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def interrupt(entry) -> None:
        started.append(entry.job.out)
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except BaseException as stop:
            raise ValueError("wrapped") from stop

    monkeypatch.setattr(batch_module, "run_planned_once", interrupt)
    assert run(["batch", batch_file(tmp_path, small_inputs, "one", "two"), "--direct"]) == 130
    assert len(started) == 1


def test_a_deleted_working_directory_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for line in ("multiply A B C", "analyze A B", "batch j.yaml", "demo", "info C", "verify C"):
        assert run(line.split()) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and captured.err.startswith("gemmflow: the working directory is gone")
    assert run(["--version"]) == 0


def test_the_report_goes_where_it_is_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli_run, "run_job", lambda *_: report(Scene(grid=(2, 2))))
    assert run(["multiply", "a", "b", "c"]) == 0
    assert "certified" in capsys.readouterr().out
    assert run(["multiply", "a", "b", "c", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert run(["multiply", "a", "b", "c", "--json", "-", "--html", str(tmp_path / "r.html")]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == 1
    assert (tmp_path / "r.html").read_text().startswith("<!")
    assert run(["multiply", "a", "b", "c", "--quiet", "--json", str(tmp_path / "r.json")]) == 0
    assert json.loads((tmp_path / "r.json").read_text())["schema"] == 1
    assert capsys.readouterr().out == ""


def test_batch_shows_a_summary_and_ends_with_the_worst_code(
    tmp_path: Path, small_inputs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def compute(entry) -> object:
        if entry.job.out.endswith("bad"):
            raise Refused("memory is too small")
        return report(Scene(grid=(2, 2)))

    monkeypatch.setattr(batch_module, "run_planned_once", compute)
    file = batch_file(tmp_path, small_inputs, "good", "bad", "fine")
    assert run(["batch", file, "--direct"]) == 3
    assert "2 of 3 jobs done" in capsys.readouterr().out
    assert run(["batch", file, "--direct", "--json", "-"]) == 3
    assert json.loads(capsys.readouterr().out)["done"] == 2
    assert run(["batch", file, "--direct", "--quiet"]) == 3
    assert capsys.readouterr() == ("", f"gemmflow: 1 job of 3 failed: {tmp_path}/bad: memory is too small\n")


def test_every_problem_of_a_batch_is_a_line_and_nothing_runs(
    tmp_path: Path, small_inputs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_run, "run_batch", lambda *_: pytest.fail("a job ran"))
    file = batch_file(tmp_path, small_inputs, "one", "./one", "{day}", "two")
    assert run(["batch", file, "--json", str(tmp_path / "r.json")]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and not (tmp_path / "r.json").exists()
    lines = captured.err.splitlines()
    assert [line.startswith(f"gemmflow: {file}: job {number}: out: ") for line, number in zip(lines, (2, 3), strict=True)] == [True, True]


def test_a_batch_is_scheduled_for_another_time(
    tmp_path: Path, small_inputs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[str] = []
    monkeypatch.setattr(batch_module, "run_planned_once", lambda entry: started.append(entry.job.out) or report(Scene(grid=(2, 2))))
    file = batch_file(tmp_path, small_inputs, "C-{scheduled:%Y-%m-%d}")
    assert run(["batch", file, "--scheduled", "2026-01-31T03:00", "--quiet", "--direct"]) == 0
    assert started == [str(tmp_path / "C-2026-01-31")]


def test_a_long_run_is_confirmed_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    plan = fakes.plan()
    long = replace(plan, predicted=replace(plan.predicted, seconds=3600.0))
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    confirm(a_problem(Scene()), long)
    for stream in ("stdin", "stderr"):
        monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: True, raising=False)
    confirm(a_problem(Scene()), plan)
    with pytest.raises(Refused, match="predicted to take 1 h 00 min"):
        confirm(a_problem(Scene()), long)


def test_yes_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import watching

    asked: list[object] = []
    monkeypatch.setattr(watching, "confirm", lambda *values: asked.append(values))
    for yes in (True, False):
        with watching.watched(Manner(yes=yes, quiet=True)) as approve:
            approve(a_problem(Scene()), fakes.plan())
    assert len(asked) == 1


@pytest.mark.parametrize("line", ["--help", "multiply --help", "multiply /no/such/A /no/such/B C"])
def test_help_and_bad_input_load_nothing_slow(line: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "flows", *line.split()]
    loaded = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    modules = {row.rpartition("|")[2].strip() for row in loaded.splitlines()}
    assert {"flows.cli", "tasks.job"} <= modules
    assert modules.isdisjoint({"torch", "distributed", "dask", "prefect", "zarr", "scipy", "matplotlib"})
