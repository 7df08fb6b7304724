"""One real run through Prefect, read back from its database; start-up times; what a run leaves behind."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from time import monotonic

import pytest

from flows import engine
from flows.engine import look_ahead, run_job
from flows.session import Session, open_session
from flows.stages import STAGES
from storage import Start, create_staging
from tasks.errors import BadInput, Refused
from tasks.job import make_job
from tasks.resume import run_record, tile_record
from tests.flows import fakes
from tests.flows.processes import Command, cold_home, wait_until
from tests.tasks.builders import Scene, report

pytestmark = pytest.mark.timeout(200)


def test_looking_ahead_states_the_memory_and_asks_for_approval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("flows.analyze"), "direct_stages", fakes.stages)
    job = make_job(a="/data/users.zarr", b="/data/items.zarr", out="/data/scores.zarr")
    seen: list[object] = []
    stated, plan = look_ahead(job, lambda problem, plan: seen.extend([problem, plan]))
    assert stated == job.model_copy(update={"memory": plan.memory_limit})
    assert seen[1] is plan


def test_what_is_not_approved_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Refused("no")

    monkeypatch.setattr(import_module("flows.analyze"), "direct_stages", fakes.stages)
    monkeypatch.setattr(engine, "start_server", lambda: pytest.fail("a server was started"))
    with pytest.raises(Refused):
        run_job(make_job(a="/a", b="/b", out="/c"), False, refuse)


def test_a_prefect_that_fails_after_the_report_takes_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import workflow

    made, said, done = report(Scene(grid=(2, 2))), [], [False]
    session = Session(notify=said.append)

    def fail(job: object) -> None:
        session.report = made if done[0] else session.report
        raise ConnectionError("no server")

    monkeypatch.setattr(workflow, "multiply_flow", fail)
    with open_session(session):
        with pytest.raises(ConnectionError):
            engine.run_with_prefect(made.run.job, made.run.plan)
        done[0] = True
        assert engine.run_with_prefect(made.run.job, made.run.plan) is made
        done[0] = False
        with pytest.raises(ConnectionError):
            engine.run_with_prefect(made.run.job, made.run.plan)
    assert len(said) == 1 and "ConnectionError" in said[0]


def test_a_server_that_is_named_and_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    with pytest.raises(BadInput, match=r"no Prefect server answers at http://127\.0\.0\.1:1/api, which PREFECT_API_URL names: start it"):
        engine.prefect_api().__enter__()


def test_an_unfinished_run_is_named_before_it_is_approved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = report(Scene(grid=(2, 2)))
    job = made.run.job.model_copy(update={"out": str(tmp_path / "C")})
    records = [run_record(job, {}, made.run.plan, made.run.staging.spec), tile_record(made.outcome.measurements[0])]
    create_staging(tmp_path / "C", made.run.staging.spec, "process", "r1", Start(tuple(records)))
    monkeypatch.setattr(import_module("flows.analyze"), "direct_stages", fakes.stages)
    monkeypatch.setattr("flows.pool.open_cluster", fakes.FakeClusters())
    monkeypatch.setattr("tasks.resume.input_stamps", lambda _problem: {})  # stand-ins have no files
    monkeypatch.setattr(engine, "run_directly", lambda job: said.append("run"))
    said: list[str] = []
    with open_session(Session(notify=said.append)):
        run_job(job, True, lambda *_: said.append("approved"))
    assert said[-3:] == ["going on with run r1: 1 of 4 tiles are done", "approved", "run"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, warm_cache: Path, large_inputs: tuple[Path, Path]) -> Iterator[dict[str, object]]:
    """The report of a run, its standard error, and its Prefect home."""
    folder = tmp_path_factory.mktemp("engine")
    a, b = large_inputs
    line = ["multiply", str(a), str(b), str(folder / "C.zarr"), "--memory", "1GiB", "--json", "-", "--html", str(folder / "C.html")]
    command = Command(line, folder, {"GEMMFLOW_CACHE": str(warm_cache)})
    code, output, errors = command.end()
    assert code == 0, errors
    wait_until(lambda: command.family() == [], 20)
    yield {"report": json.loads(output), "errors": errors, "html": folder / "C.html", "home": warm_cache}
    command.clean()


def rows(found: dict[str, object], query: str) -> list[tuple[object, ...]]:
    database = next(Path(str(found["home"])).glob("prefect-*/prefect.db"))
    with sqlite3.connect(database) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.slow
@pytest.mark.server
def test_prefect_knows_the_run_by_name_with_tags_and_parameters(finished: dict[str, object]) -> None:
    [(name, state, tags, parameters)] = rows(
        finished, "select name, state_type, tags, parameters from flow_run order by created desc limit 1"
    )
    assert (name, state) == ("8192x8192x8192 float32", "COMPLETED")
    assert set(json.loads(str(tags))) == {"gemmflow", "local", finished["report"]["plan"]["arithmetic"]}
    assert json.loads(str(parameters))["job"]["memory"] == 2**30


@pytest.mark.slow
@pytest.mark.server
def test_every_stage_is_recorded_as_done(finished: dict[str, object]) -> None:
    found = rows(
        finished,
        "select name, state_type from task_run where flow_run_id = (select id from flow_run order by created desc limit 1)",
    )
    assert sorted((str(name).rpartition("-")[0], state) for name, state in found) == sorted((row.name, "COMPLETED") for row in STAGES)


@pytest.mark.slow
@pytest.mark.server
def test_plan_progress_and_report_are_artifacts(finished: dict[str, object]) -> None:
    of_this_run = "flow_run_id = (select id from flow_run order by created desc limit 1)"
    found = dict(rows(finished, f"select key, data from artifact where key is not null and {of_this_run}"))
    assert set(found) == {"gemmflow-plan", "gemmflow-links", "gemmflow-progress", "gemmflow-report"}
    assert f"{finished['report']['plan']['tile'][0]} x " in str(found["gemmflow-plan"])
    assert float(json.loads(str(found["gemmflow-progress"]))) == 100.0
    assert "8192x8192x8192 float32: certified" in str(found["gemmflow-report"])


@pytest.mark.slow
@pytest.mark.server
def test_the_run_is_quiet(finished: dict[str, object]) -> None:
    assert all(line.startswith("8192x8192x8192 float32: ") for line in str(finished["errors"]).splitlines())
    assert Path(str(finished["html"])).read_text().startswith("<!")


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.server
def test_a_warm_start_takes_at_most_15_seconds(tmp_path: Path, finished: dict[str, object], small_inputs: tuple[Path, Path]) -> None:
    assert startup(tmp_path, Path(str(finished["home"])), small_inputs) < 15


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.server
def test_the_first_start_ever_takes_at_most_28_seconds(tmp_path: Path, warm_cache: Path, small_inputs: tuple[Path, Path]) -> None:
    assert startup(tmp_path, cold_home(tmp_path, warm_cache), small_inputs) < 28


@pytest.mark.alone
@pytest.mark.slow
def test_a_direct_start_takes_little_more_than_its_imports(tmp_path: Path, warm_cache: Path, small_inputs: tuple[Path, Path]) -> None:
    before = imports()
    seconds = startup(tmp_path, warm_cache, small_inputs, "--direct")
    assert seconds < 1.75 * max(before, imports())


@pytest.mark.slow
@pytest.mark.server
def test_a_server_that_dies_during_a_run_costs_the_picture_only(tmp_path: Path, warm_cache: Path, large_inputs: tuple[Path, Path]) -> None:
    a, b = large_inputs
    line = ["multiply", str(a), str(b), str(tmp_path / "C.zarr"), "--memory", "1GiB", "--json", "-"]
    command = Command(line, tmp_path, {"GEMMFLOW_CACHE": str(warm_cache)})
    try:
        wait_until(lambda: any(tmp_path.glob("C.zarr.gemmflow/*/array/c/*/*")), 90)
        [server] = [process for process in command.family() if any("api_process.py" in part for part in process.cmdline())]
        server.kill()
        code, output, errors = command.end()
        assert code == 0, errors
        assert json.loads(output)["job"]["out"] == str(tmp_path / "C.zarr")
        assert "Prefect could not record it" in errors and "Traceback" not in errors
        assert command.family() == []
    finally:
        command.clean()


def startup(folder: Path, cache: Path, inputs: tuple[Path, Path], *more: str) -> float:
    """Seconds from the command to the handshake; the first tile is sent at once after it."""
    out = folder / "C.zarr"
    command = Command(["multiply", *map(str, inputs), str(out), "--json", "-", "--quiet", *more], folder, {"GEMMFLOW_CACHE": str(cache)})
    code, output, errors = command.end()
    assert code == 0, errors
    assert errors == ""
    return float(json.loads(output)["measured"]["startup_seconds"])


def imports() -> float:
    """Seconds of a fresh interpreter that imports what a worker imports, on this machine at this moment."""
    started = monotonic()
    subprocess.run([sys.executable, "-c", "import torch, distributed, zarr, scipy.linalg"], check=True)
    return monotonic() - started


@pytest.mark.slow
@pytest.mark.server
def test_a_failed_run_is_one_line_and_failed_in_prefect(tmp_path: Path, warm_cache: Path, large_inputs: tuple[Path, Path]) -> None:
    import shutil

    a, b = large_inputs
    broken = tmp_path / "A.zarr"
    shutil.copytree(a, broken)
    chunk = broken / "c/1/1"
    chunk.write_bytes(chunk.read_bytes()[:-100])
    line = ["multiply", str(broken), str(b), str(tmp_path / "C.zarr"), "--memory", "1GiB", "--quiet"]
    command = Command(line, tmp_path, {"GEMMFLOW_CACHE": str(warm_cache)})
    code, _, errors = command.end()
    assert code == 1
    assert len(errors.splitlines()) == 1 and "c/1/1" in errors
    assert not (tmp_path / "C.zarr").exists()
    [(state,)] = rows({"home": warm_cache}, "select state_type from flow_run order by created desc limit 1")
    assert state == "FAILED"
    wait_until(lambda: command.family() == [], 20)


@pytest.mark.slow
@pytest.mark.server
def test_python_callers_get_the_report_and_their_environment_back(
    tmp_path: Path, warm_cache: Path, small_inputs: tuple[Path, Path]
) -> None:
    program = f"""
import os
before = dict(os.environ)
from flows import multiply
report = multiply(a={str(small_inputs[0])!r}, b={str(small_inputs[1])!r}, out={str(tmp_path / "C.zarr")!r})
assert dict(os.environ) == before
print(report.run.problem.shape)
"""
    environment = os.environ | {"GEMMFLOW_CACHE": str(warm_cache)}
    answer = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == ["(4,", "5,", "6)"]
    assert answer.stderr == ""


def test_a_plan_of_a_file_that_takes_more_than_is_free_is_told_of() -> None:
    made = fakes.plan()
    needed = made.predicted.peak_memory_bytes
    assert engine.short_of_memory(made, needed) == ""
    line = engine.short_of_memory(made, 2**20)
    assert "1.00 MiB are free" in line and "analyze again" in line
