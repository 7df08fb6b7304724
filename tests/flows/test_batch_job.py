from importlib import import_module

import pytest

from flows import batch_job
from flows.batch_entry import Entry
from flows.batch_job import How, attempt, run_planned_once
from flows.batch_result import Kept
from flows.batch_share import Share
from flows.session import Session, open_session
from tasks.errors import Refused, TooLittleMemory
from tasks.job import make_job
from tests.flows import fakes
from tests.tasks.builders import report

SHARE = Share(1, 2**30, 2, stated=True)
ENTRY = Entry(name="nightly", job=make_job(a="/a", b="/b", out="/gemmflow-none/c"))


def test_a_job_is_computed_in_its_share() -> None:
    seen: list[Entry] = []
    made = report()
    result = attempt(ENTRY, How(lambda entry: seen.append(entry) or made, SHARE))
    assert (result.name, result.out, result.state, result.exit_code, result.report) == ("nightly", ENTRY.job.out, "done", 0, Kept.of(made))
    assert seen[0].job.memory == 2**30 and seen[0].name == "nightly"


def test_what_it_meets_is_its_result() -> None:
    def refuse(entry: Entry) -> object:
        raise Refused("memory is too small")

    def fail(entry: Entry) -> object:
        raise RuntimeError("?")

    refused, failed = (attempt(ENTRY, How(compute, SHARE)) for compute in (refuse, fail))
    assert (refused.state, refused.exit_code, refused.message) == ("failed", 3, "memory is too small")
    assert (failed.exit_code, failed.message) == (1, "unexpected RuntimeError: ?")


@pytest.mark.parametrize(
    ("share", "own", "advice"),
    [
        (Share(3, 2**27, 1, stated=True), None, "; this is its share of the batch's memory, 3 at once: give the file a larger memory"),
        (Share(1, 2**27, 1, stated=True), 2**30, "; this is its share of the batch's memory, 1 at once"),
        (Share(3, 2**27, 1, stated=True), 2**26, ""),
        (Share(1, 2**30, 1, stated=False), 2**26, ""),
    ],
)
def test_memory_that_is_too_little_says_whose_it_is(share: Share, own: int | None, advice: str) -> None:
    def refuse(entry: Entry) -> object:
        raise TooLittleMemory("memory is too small")

    entry = ENTRY.model_copy(update={"job": ENTRY.job.model_copy(update={"memory": own})})
    message = attempt(entry, How(refuse, share)).message
    assert message.startswith(f"memory is too small{advice}") and (advice or message == "memory is too small")


def test_after_a_signal_it_is_the_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(entry: Entry) -> object:
        raise RuntimeError("broken by the signal")

    monkeypatch.setattr(batch_job, "stopping", lambda: True)
    with pytest.raises(RuntimeError):
        attempt(ENTRY, How(fail, SHARE))


def test_what_is_complete_is_computed_only_when_asked_and_then_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_job, "is_made", lambda job: True)
    seen: list[Entry] = []
    compute = lambda entry: seen.append(entry) or report()  # noqa: E731
    result = attempt(ENTRY, How(compute, SHARE))
    assert (result.state, result.exit_code, result.report, seen) == ("complete", 0, None, [])
    assert attempt(ENTRY, How(compute, SHARE, again=True)).state == "done"
    assert seen[0].job.overwrite
    monkeypatch.setattr(batch_job, "is_made", lambda job: False)
    attempt(ENTRY, How(compute, SHARE, again=True))
    assert not seen[1].job.overwrite


def test_the_plan_is_made_once_and_looked_at_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(batch_job, "direct_stages", lambda: fakes.stages(calls))
    monkeypatch.setattr(batch_job, "look", lambda *_: calls.append("look"))
    monkeypatch.setattr(batch_job, "is_measured", lambda _: True)
    monkeypatch.setattr(import_module("flows.pool"), "open_cluster", fakes.FakeClusters())
    monkeypatch.setattr("tasks.diary.note", lambda _: None)
    with open_session(Session(approve=lambda *_: calls.append("approve"))):
        run_planned_once(ENTRY)
    assert calls[:6] == ["survey", "measure", "plan", "look", "approve", "prepare"] and calls.count("plan") == 1
