import json
from datetime import UTC, datetime

from flows.batch_result import Kept, Result
from flows.batch_summary import BatchFailed, Summary, table_rows
from tests.tasks.builders import Scene, report


def summary(*results: Result) -> Summary:
    return Summary("nightly", datetime(2026, 1, 31, 3, tzinfo=UTC), 2, 2**30, results, 12.0)


MADE = report(Scene(grid=(2, 2)))
DONE = Result("first", 0, 10.5, "", Kept.of(MADE), "done", "/d/C")
COMPLETE = Result("second", 0, 0.01, "there already, from the same inputs", state="complete", out="/d/D")
FAILED = Result("third", 3, 1.0, "memory is too small", out="/d/E")
SKIPPED = Result("fourth", 3, 0.0, "not started: it reads the product of job 3 (third), which is not there", state="skipped", out="/d/F")
ALL = summary(DONE, COMPLETE, FAILED, SKIPPED)


def test_one_line_a_job_and_one_for_all() -> None:
    head, first, second, third, fourth, _, line = ALL.to_text().splitlines()
    assert head.split() == ["job", "state", "time", "read", "written", "stored"]
    assert first.split()[:3] == ["first", "done", "10.5"]
    assert second.endswith("  there already, from the same inputs")
    assert third.split()[:4] == ["third", "exit", "3", "1.0"] and third.endswith("memory is too small")
    assert fourth.startswith("fourth  skipped") and "job 3 (third)" in fourth
    assert line == "2 of 4 jobs done, 1 of them before in 12.0 s"


def test_json_has_every_job_and_the_counts() -> None:
    whole = json.loads(json.dumps(ALL.to_json(), allow_nan=False))
    assert {name: whole[name] for name in ("schema", "name", "jobs", "done", "complete", "failed", "skipped")} == {
        "schema": 1,
        "name": "nightly",
        "jobs": 4,
        "done": 2,
        "complete": 1,
        "failed": 1,
        "skipped": 1,
    }
    assert whole["scheduled"] == "2026-01-31T03:00:00+00:00"
    first, *others = whole["results"]
    assert first["bytes_read"] == MADE.measured.bytes_read == whole["bytes_read"] > 0
    assert first["bytes_stored"] == MADE.stored.bytes_stored and first["bytes_written"] == MADE.measured.bytes_written
    assert first["report"]["schema"] == 1 and [other["report"] for other in others] == [None] * 3
    keys = {"name", "exit_code", "seconds", "message", "report"}  # of the first version: never renamed
    assert all(keys <= set(result) for result in whole["results"])


def test_the_exit_code_is_the_worst_and_the_failures_are_one_line() -> None:
    assert ALL.exit_code == 3 and summary(DONE, COMPLETE).exit_code == 0
    assert ALL.failures == "1 job of 4 failed: third: memory is too small" == str(BatchFailed(ALL))
    many = summary(*[FAILED] * 8)
    assert many.failures.startswith("8 jobs of 8 failed: ") and many.failures.endswith("; and 3 more")
    assert summary(DONE).failures == ""


def test_the_rows_of_a_table() -> None:
    rows = table_rows(ALL.results)
    assert list(rows[0]) == ["job", "state", "time", "read", "written", "stored", "message"]
    assert [row["state"] for row in rows] == ["done", "complete", "exit 3", "skipped"]
