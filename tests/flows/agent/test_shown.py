"""The plan that runs is the plan that was shown: its file, looked at before anything is written."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import engine
from flows.agent import runs
from flows.agent.child import execute, in_agents_words
from flows.agent.faults import AgentError
from flows.agent.runs import Run
from flows.agent.store import Store
from tasks.as_planned import as_planned
from tasks.errors import BadInput
from tasks.following import follow_or_plan
from tasks.hardware import Hardware
from tasks.job import Job
from tasks.plan import Plan
from tests.flows.agent.agents import a_whole_plan
from tests.flows.agent.test_runs import a_request
from tests.tasks.machines import hardware
from tests.tasks.plan_files import Saved


@pytest.fixture
def saved(root: Path) -> Saved:
    return a_whole_plan(root)[0]


@pytest.fixture
def run(store: Store, root: Path, saved: Saved) -> Run:
    return runs.submit(store, a_request(store, root, kept=a_whole_plan(root)[1]))


@pytest.fixture
def followed(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Plan]]:
    """Plans that would have been run, on the machine that they were made for."""
    yield from follows(saved.hardware, monkeypatch)


def follows(machine: Hardware, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Plan]]:
    plans: list[Plan] = []

    def run_job(job: Job, direct: bool) -> None:
        assert direct
        job = as_planned(job)
        from tasks.survey import survey

        plans.append(follow_or_plan(job, survey(job), machine))

    monkeypatch.setattr(engine, "run_job", run_job)
    yield plans


def test_the_plan_that_was_shown_is_followed(run: Run, saved: Saved, followed: list[Plan]) -> None:
    execute(run)
    assert followed == [saved.plan] and followed[0].predicted == saved.plan.predicted
    execute(run)
    assert len(followed) == 2, "and again, where its process was killed"
    assert [path.name for path in run.folder.iterdir() if path.suffix == ".json"] != [] and not list(saved.path.parent.glob("plan*"))


def refusal(run: Run) -> AgentError:
    with pytest.raises(AgentError) as refused:
        execute(run)
    fault = refused.value.fault
    assert str(run.folder) not in fault.cause and "--" not in fault.fix and "new idempotency_key" in fault.fix
    return refused.value


@pytest.mark.usefixtures("followed")
def test_an_input_that_was_written_to_is_refused(run: Run, root: Path) -> None:
    os.utime(root / "B.npy", (1, 1))
    fault = refusal(run).fault
    assert fault.code == "inputs_changed" and fault.cause.endswith("B.npy was written to since the plan was made")


def test_a_machine_without_what_the_plan_counts_on_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    next(follows(hardware((1, 16)), monkeypatch))
    fault = refusal(run).fault
    assert fault.code == "machine_changed" and fault.cause.startswith("the plan needs 1 workers")


@pytest.mark.usefixtures("followed")
def test_a_plan_that_was_edited_on_the_disk_is_refused(run: Run) -> None:
    request = run.request
    run.note(
        "request",
        request.model_copy(update={"kept": request.kept.model_copy(update={"plan": {**request.kept.plan, "writes": "x"}})}).model_dump(),
    )
    assert "digest differs" in refusal(run).fault.cause


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    error = BadInput("/d/A.zarr does not exist: check the path")
    assert in_agents_words(error, tmp_path / "plan.json") is error
