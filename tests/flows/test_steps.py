import re
from dataclasses import replace
from pathlib import Path

import pytest

from flows import pool, steps
from flows.multiply import run_stages
from flows.steps import STEPS, Step, drift, told
from tasks.errors import NotCertified
from tasks.job import Job
from tasks.outcome import Progress
from tasks.repair import Repaired
from tests.flows.fakes import FakeClusters, plan, stages
from tests.tasks.builders import Scene, report

JOB = Job(a="A", b="B", out="C")
MADE = report(Scene(grid=(2, 2)))
DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "monitoring.md").read_text()


@pytest.fixture(autouse=True)
def clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "open_cluster", FakeClusters())


def steps_of(**replaced) -> list[Step]:
    heard: list[Step] = []
    run_stages(JOB, stages(**replaced), tell=heard.append)
    return heard


def test_a_run_tells_what_it_does_in_order_and_with_its_id() -> None:
    heard = steps_of()
    assert [step.name for step in heard if step.name not in ("redone", "drifted")] == ["planned", "begun", "published"]
    assert [step.run_id for step in heard] == ["", *[MADE.run.run_id] * (len(heard) - 1)]
    assert heard[0].facts["seconds"] == MADE.run.plan.predicted.seconds
    assert {step.out for step in heard} == {JOB.out}
    assert {step.name for step in heard} <= set(STEPS)


def test_progress_is_told_once_a_minute_at_most_and_only_where_there_is_any(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, watched = [100.0], []
    monkeypatch.setattr(steps.time, "monotonic", lambda: clock[0])

    def multiply(run, cluster, observe):
        for tiles in range(1, 1001):
            clock[0] += 1.0
            observe(Progress(tiles, 1000, float(tiles), 1000.0, 0, seconds=1.0, seconds_left=-1.0))
            watched.append(tiles)
        clock[0] += 10_000
        return MADE.outcome

    told = [step.facts for step in steps_of(multiply=multiply) if step.name == "progress"]
    assert len(watched) == 1000
    assert [facts["tiles_done"] for facts in told] == list(range(60, 1001, 60))
    assert told[0] == {"tiles_done": 60, "tiles": 1000, "share": 0.06, "seconds_left": 0.0}


def test_tiles_that_were_computed_again_are_told_of() -> None:
    again = replace(MADE.outcome, retried=3, missed=2)
    (facts,) = [step.facts for step in steps_of(multiply=lambda *_: again) if step.name == "redone"]
    assert facts == {"tiles": 3, "missed": 2, "workers_retired": len(again.retired)}
    smooth = replace(MADE.outcome, retried=0, missed=0)
    assert "redone" not in [step.name for step in steps_of(multiply=lambda *_: smooth)]


@pytest.mark.parametrize(
    ("interval", "seconds", "drifted"),
    [
        ((8.0, 13.0), 10.0, False),
        ((8.0, 13.0), 13.5, True),
        ((8.0, 13.0), 7.9, True),
        ((9.9, 10.1), 10.9, False),  # less than a second: no drift whatever the ratio
        (None, 100.0, False),
    ],
)
def test_drift_is_outside_the_interval_and_a_second_or_more(interval, seconds: float, drifted: bool) -> None:
    predicted = replace(plan().predicted, seconds=10.0, seconds_interval=interval)
    facts = drift(predicted, seconds)
    assert (facts is not None) == drifted
    assert facts is None or facts["ratio"] == seconds / 10.0


def test_a_run_that_went_on_from_another_one_does_not_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "drift", lambda *_: {"ratio": 9.0})
    assert "drifted" in [step.name for step in steps_of(multiply=lambda *_: replace(MADE.outcome, resumed=0))]
    assert "drifted" not in [step.name for step in steps_of(multiply=lambda *_: replace(MADE.outcome, resumed=1))]


def test_an_error_is_told_with_its_exit_code_and_raised() -> None:
    heard: list[Step] = []

    def fail(*_: object) -> None:
        raise NotCertified("tile 3 is wrong")

    with pytest.raises(NotCertified):
        run_stages(JOB, stages(verify=fail), tell=heard.append)
    assert heard[-1] == Step("failed", JOB.out, {"error": "NotCertified", "exit_code": 4, "message": "tile 3 is wrong"}, MADE.run.run_id)


def test_the_document_has_every_step_with_its_meaning_and_its_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (`.*`) \|$", DOCUMENT, re.MULTILINE)
    assert {name: meaning for name, meaning, _ in rows} == STEPS
    monkeypatch.setattr(steps, "PROGRESS_SECONDS", 0.0)
    observed = Progress(1, 4, 1.0, 4.0, 0, seconds=1.0, seconds_left=3.0)
    predicted = replace(MADE.run.plan.predicted, seconds_interval=(0.0, 0.0))
    heard = steps_of(
        plan=lambda *_: replace(MADE.run.plan, predicted=predicted),
        prepare=lambda *_: replace(MADE.run, plan=replace(MADE.run.plan, predicted=predicted)),
        multiply=lambda run, cluster, observe: observe(observed) or replace(MADE.outcome, retried=1, resumed=0),
    )
    with pytest.raises(NotCertified), told(JOB, stages(), heard.append):
        raise NotCertified("wrong")
    heard.append(steps.repaired(Repaired("C", ("c/0/0",), ((0, 0),), True, "root", 1.0)))
    facts = {step.name: list(step.facts) for step in heard}
    assert facts == {name: re.findall(r"`(\w+)`", written) for name, _, written in rows}
