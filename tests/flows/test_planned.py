"""Whole commands that run a saved plan: analyze writes it, multiply, gram, a batch and Prefect follow it, and the bits are the same."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
import yaml

from flows import analyze, gram, multiply
from flows.cli import run
from flows.samples import Sample, write_sample
from storage import read_certificate
from tests.flows.processes import Command, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.usefixtures("warm_cache")]

TILE = re.compile(rb'"kind": ?"tile"')


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[str, str]:
    for name, shape, seed in (("A", (300, 200), 1), ("B", (200, 260), 2)):
        write_sample(tmp_path / f"{name}.zarr", Sample(shape, seed, chunk=64))
    return str(tmp_path / "A.zarr"), str(tmp_path / "B.zarr")


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def bits(out: Path) -> dict[str, bytes]:
    """Every chunk of a result."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted((out / "c").rglob("*")) if path.is_file()}


def gemmflow(line: str) -> int:
    return run(line.split())


def test_the_plan_that_runs_is_the_one_that_was_shown(tmp_path: Path, inputs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Options that are not given are those of the plan; the section `plan` of the report is that of the analysis, predictions included."""
    a, b = inputs
    options = "--memory 1GiB --max-error 1e-3 --alpha 2 --chunk 64,64 --codec blosc-lz4 --workers 1"
    assert gemmflow(f"analyze {a} {b} {options} --quiet --json {tmp_path}/a.json --save-plan {tmp_path}/P") == 0
    assert gemmflow(f"multiply {a} {b} {tmp_path}/C --plan {tmp_path}/P --direct --quiet --json {tmp_path}/r.json") == 0
    assert gemmflow(f"multiply {a} {b} {tmp_path}/D {options} --direct --quiet") == 0
    shown, report = read(tmp_path / "a.json"), read(tmp_path / "r.json")
    assert report["plan"] == shown["plan"] and report["problem"] == shown["problem"]
    assert (report["plan"]["workers"], report["plan"]["codec"], report["job"]["alpha"]) == (1, "blosc-lz4", 2.0)
    assert report["job"]["plan"] == str(tmp_path / "P")
    assert bits(tmp_path / "C") == bits(tmp_path / "D") != {}
    stored = read_certificate(str(tmp_path / "C"))
    assert stored["plan"]["predicted"]["seconds"] == shown["plan"]["predicted"]["seconds"], "the result keeps what was foreseen"
    for name in ("lanes", "bytes_read", "bytes_written", "peak_memory_bytes", "tiles_resumed"):
        assert stored["measured"][name] == report["measured"][name], "and what it took"
    assert 0 < stored["measured"]["seconds"] <= report["measured"]["seconds"]
    assert gemmflow(f"info {tmp_path}/C") == 0
    printed = capsys.readouterr().out
    assert "predicted" in printed and "measured" in printed and "choices" not in printed
    assert gemmflow(f"verify {tmp_path}/C --full --quiet") == 0


def test_each_of_two_plans_is_run_as_it_is(tmp_path: Path, inputs: tuple[str, str]) -> None:
    """Two plans of one job, each followed: the one with smaller chunks has more files."""
    a, b = inputs
    for name, options in {"one": "--workers 1", "two": "--chunk 32,32"}.items():
        assert gemmflow(f"analyze {a} {b} --memory 1GiB {options} --quiet --save-plan {tmp_path}/{name}") == 0
        assert gemmflow(f"multiply {a} {b} {tmp_path}/{name}.zarr --plan {tmp_path}/{name} --direct --quiet") == 0
    assert set(bits(tmp_path / "one.zarr")) < set(bits(tmp_path / "two.zarr"))


def test_looking_at_a_plan_shows_the_same(tmp_path: Path, inputs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    a, b = inputs
    assert gemmflow(f"analyze {a} {b} --memory 1GiB --chunk 32,32 --save-plan {tmp_path}/P") == 0
    shown = capsys.readouterr().out
    assert gemmflow(f"analyze {a} {b} --plan {tmp_path}/P --save-plan {tmp_path}/Q") == 0
    assert capsys.readouterr().out == shown
    assert (tmp_path / "Q").read_bytes() == (tmp_path / "P").read_bytes()


def test_python_saves_and_runs_a_plan(tmp_path: Path, inputs: tuple[str, str]) -> None:
    a, b = inputs
    analysis = analyze(a=a, b=b, memory="1GiB")
    analysis.save(str(tmp_path / "P"))
    report = multiply(a=a, b=b, out=str(tmp_path / "C"), plan=str(tmp_path / "P"), direct=True)
    assert report.run.plan == analysis.plan and report.run.plan.predicted == analysis.plan.predicted


def test_gram_runs_a_plan(tmp_path: Path, inputs: tuple[str, str]) -> None:
    a, _ = inputs
    assert gemmflow(f"analyze {a} {a} --transpose-b --memory 1GiB --quiet --save-plan {tmp_path}/P") == 0
    made = gram(a, str(tmp_path / "G"), plan=str(tmp_path / "P"), direct=True)
    assert made.run.plan.symmetry == "full"
    assert gemmflow(f"gram {a} {tmp_path}/H --plan {tmp_path}/P --direct --quiet") == 0
    assert bits(tmp_path / "G") == bits(tmp_path / "H") != {}
    assert gemmflow(f"gram {a} {tmp_path}/T --transpose --plan {tmp_path}/P --direct --quiet") == 2


def test_a_job_of_a_batch_runs_a_plan_and_is_complete_the_second_time(tmp_path: Path, inputs: tuple[str, str]) -> None:
    a, b = inputs
    assert gemmflow(f"analyze {a} {b} --alpha 2 --memory 1GiB --chunk 32,32 --quiet --save-plan {tmp_path}/P") == 0
    jobs = [{"a": "A.zarr", "b": "B.zarr", "out": "C", "plan": "P"}, {"a": "A.zarr", "b": "B.zarr", "out": "D", "memory": "1GiB"}]
    (tmp_path / "jobs.yaml").write_text(yaml.safe_dump(jobs))
    for states in (["done", "done"], ["complete", "complete"]):
        assert gemmflow(f"batch {tmp_path}/jobs.yaml --direct --quiet --json {tmp_path}/s.json") == 0
        results = read(tmp_path / "s.json")["results"]
        assert [result["state"] for result in results] == states
        if states[0] == "done":
            assert results[0]["report"]["plan"]["chunk"] == [32, 32] and results[0]["report"]["job"]["alpha"] == 2.0


@pytest.mark.server
def test_prefect_runs_a_plan_and_its_report_has_it(tmp_path: Path, inputs: tuple[str, str]) -> None:
    a, b = inputs
    assert gemmflow(f"analyze {a} {b} --memory 1GiB --chunk 32,32 --quiet --json {tmp_path}/a.json --save-plan {tmp_path}/P") == 0
    assert gemmflow(f"multiply {a} {b} {tmp_path}/C --plan {tmp_path}/P --quiet --json {tmp_path}/r.json") == 0
    assert read(tmp_path / "r.json")["plan"] == read(tmp_path / "a.json")["plan"]


def test_a_killed_run_goes_on_by_the_same_plan_and_no_other(tmp_path: Path, warm_cache: Path, large_inputs: tuple[Path, Path]) -> None:
    a, b = map(str, large_inputs)
    for name, options in {"P": "--chunk 1024,1024", "Q": "--chunk 512,512"}.items():
        assert gemmflow(f"analyze {a} {b} --memory 800MiB {options} --quiet --save-plan {tmp_path}/{name}") == 0
    again = f"multiply {a} {b} {tmp_path}/C --direct --quiet"
    command = Command(f"{again} --plan {tmp_path}/P".split(), tmp_path, {"GEMMFLOW_CACHE": str(warm_cache)})
    try:
        wait_until(lambda: any(TILE.search(journal.read_bytes()) for journal in tmp_path.glob("C.gemmflow/*/journal")), 200)
        os.kill(command.process.pid, signal.SIGKILL)
        wait_until(lambda: command.family() == [], 20)
        assert gemmflow(f"{again} --plan {tmp_path}/Q") == 3
        assert not (tmp_path / "C").exists() and list(tmp_path.glob("C.gemmflow/*/journal"))
        assert gemmflow(f"{again} --plan {tmp_path}/P --json {tmp_path}/r.json") == 0
        report = read(tmp_path / "r.json")
        assert report["measured"]["tiles_resumed"] > 0 and report["plan"]["chunk"] == [1024, 1024]
    finally:
        command.clean()
