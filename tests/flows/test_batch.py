from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from flows import batch as batch_module
from flows.batch import BatchRun, run_batch, run_here
from flows.batch_entry import Entry
from flows.batch_file import Batch
from flows.session import Session, open_session
from tasks.errors import BadInput, NotCertified, Refused
from tasks.job import make_job
from tests.tasks.builders import report

ASKED = BatchRun(jobs="/gemmflow-none/jobs.yaml")


def batch(*outs: str, **more: object) -> Batch:
    entries = [Entry(name=out, job=make_job(a="/a", b="/b", out=f"/gemmflow-none{out}")) for out in outs]
    return Batch.model_validate({"name": "nightly", "scheduled": datetime(2026, 1, 31, 3, tzinfo=UTC), "entries": entries} | more)


def test_one_failure_stops_no_other_and_the_worst_code_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "/ok": report(),
        "/small": Refused("memory is too small"),
        "/wrong": NotCertified("missed"),
        "/odd": RuntimeError("?"),
        "/last": report(),
        "/bad": BadInput("inner dimensions differ"),
    }

    def compute(entry: Entry) -> object:
        answer = answers[entry.name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(batch_module, "run_planned_once", compute)
    summary = run_batch(ASKED, batch(*answers), direct=True)
    assert [result.exit_code for result in summary.results] == [0, 3, 4, 1, 0, 2]
    assert summary.exit_code == 4 and summary.done == 2


def test_an_interruption_ends_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(batch_module, "run_planned_once", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_batch(ASKED, batch("/c"), direct=True)


def test_jobs_at_once_share_the_budget_and_are_told_of_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "is_measured", lambda _: True)
    said, memory = list[str](), list[object]()

    def compute(entry: Entry) -> object:
        memory.append(entry.job.memory)
        return report()

    with open_session(Session(notify=said.append)):
        summary = run_here(batch("/a", "/b", "/c", at_once=2, memory=2**31), False, compute)
    assert memory == [2**30] * 3 and (summary.at_once, summary.memory) == (2, 2**30)
    assert [line[:14] for line in said] == ["job 1 of 3, /a", "job 2 of 3, /b", "job 3 of 3, /c"] or len(said) == 3


def test_fewer_jobs_than_may_run_at_once_get_more_each() -> None:
    summary = run_here(batch("/a", at_once=8, memory=2**31), False, lambda _: report())
    assert (summary.at_once, summary.memory) == (1, 2**31)


def test_this_host_is_measured_before_jobs_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(batch_module, "is_measured", lambda _: False)
    monkeypatch.setattr("tasks.calibrate.calibrate", lambda kind: events.append(f"measure {kind}"))
    run_here(batch("/a", "/b", at_once=2), False, lambda _: events.append("run") or report())
    assert events == ["measure local", "run", "run"]


def test_what_is_asked_is_read_and_checked(tmp_path: Path, small_inputs: tuple[Path, Path]) -> None:
    a, b = map(str, small_inputs)
    (tmp_path / "nightly.yaml").write_text(yaml.safe_dump([{"a": a, "b": b, "out": "C-{scheduled:%d}"}]))
    found = BatchRun.model_validate({"jobs": str(tmp_path / "nightly.yaml"), "scheduled": "2026-01-31T03:00"}).read()
    assert found.name == "nightly" and found.entries[0].job.out == str(tmp_path / "C-31")
    with pytest.raises(BadInput):
        ASKED.read()
