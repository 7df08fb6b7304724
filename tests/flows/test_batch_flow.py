"""The flow behind `gemmflow batch`: what Prefect's form asks, and one real run read back from its database."""

import json
import sqlite3
from pathlib import Path

import pytest
import yaml

from flows.batch import BatchRun
from tests.flows.processes import Command, wait_until


def test_the_form_explains_every_field() -> None:
    from flows.workflow import batch_flow

    schema = batch_flow.parameters.model_dump()
    assert list(schema["properties"]) == list(BatchRun.model_fields) == ["jobs", "scheduled", "again"]
    assert schema["required"] == ["jobs"]
    for name, field in BatchRun.model_fields.items():
        said, meant = (
            " ".join(str(text).split()).partition(" Default: ")[0]
            for text in (schema["properties"][name]["description"], field.description)
        )
        assert said == meant
    assert batch_flow.description


def rows(home: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(next(home.glob("prefect-*/prefect.db"))) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(300)
def test_a_batch_is_one_run_with_a_task_for_each_job_and_a_table(tmp_path: Path, warm_cache: Path, small_inputs: tuple[Path, Path]) -> None:
    a, b = map(str, small_inputs)
    jobs = [
        {"a": a, "b": b, "out": "C-{scheduled:%d}", "name": "first"},
        {"a": a, "b": b, "out": "D", "name": "second"},
        {"a": "D", "b": b, "transpose_b": True, "out": "E", "name": "third"},
        {"a": a, "b": b, "out": "F", "alpha": 2.0, "name": "fourth {braces}"},
    ]
    (tmp_path / "D").mkdir()
    (tmp_path / "nightly.yaml").write_text(yaml.safe_dump({"at_once": 2, "memory": "1GiB", "jobs": jobs}))
    line = ["batch", str(tmp_path / "nightly.yaml"), "--scheduled", "2026-01-31T03:00", "--json", "-", "--html", str(tmp_path / "r.html")]
    command = Command(line, tmp_path, {"GEMMFLOW_CACHE": str(warm_cache)})
    code, output, errors = command.end(200)
    assert code == 2, errors
    assert [result["state"] for result in json.loads(output)["results"]] == ["done", "failed", "skipped", "done"]
    assert (tmp_path / "C-31").is_dir() and "2 of 4 jobs" in (tmp_path / "r.html").read_text()
    [(run_id, name, state, parameters)] = rows(
        warm_cache, "select id, name, state_type, parameters from flow_run where name like 'batch %' order by created desc limit 1"
    )
    assert (name, state) == ("batch nightly 2026-01-31 03:00", "FAILED")
    assert json.loads(str(parameters))["again"] is False
    tasks = rows(warm_cache, f"select name, state_type from task_run where flow_run_id = '{run_id}'")
    assert sorted(tasks) == [("first", "COMPLETED"), ("fourth {braces}", "COMPLETED"), ("second", "FAILED")]
    [(table,)] = rows(warm_cache, "select data from artifact where key = 'gemmflow-batch' order by created desc limit 1")
    assert [row["state"] for row in json.loads(json.loads(str(table)))] == ["done", "exit 2", "skipped", "done"]
    [(progress,)] = rows(warm_cache, "select data from artifact where key = 'gemmflow-batch-progress' order by created desc limit 1")
    assert float(json.loads(str(progress))) == 100.0
    wait_until(lambda: command.family() == [], 20)
    command.clean()
