"""What the flows add to the functions they call; runs of them on a server are in test_serve."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest

from flows import upkeep, workflow
from flows.analyze_artifacts import choice_rows, needs
from flows.analyze_question import Subject, Wanted
from flows.chores import Measuring, Mending, Stale
from flows.engine import prefect_settings
from tasks.choice.shown import OPTIONS_HEAD
from tasks.job import Job


@pytest.fixture(autouse=True)
def no_server() -> Generator[None]:
    """Else Prefect would start one, to send the logs of what is called here to."""
    with prefect_settings(PREFECT_API_URL="http://127.0.0.1:1/api"):
        yield


class Answer:
    damages = ()

    def to_json(self) -> dict[str, object]:
        return {"schema": 1}


@pytest.fixture
def slots(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Clusters that the flows took the slot of."""
    taken: list[str] = []

    @contextmanager
    def note(cluster: str) -> Generator[None]:
        taken.append(cluster)
        yield

    monkeypatch.setattr(workflow, "gpu_slot", note)
    return taken


def test_a_product_takes_the_slot_of_its_cluster(slots: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "run_stages", lambda job, stages, approve, tell: job)
    workflow.multiply_flow.fn(Job(a="A", b="B", out="C", cluster="cuda"))
    assert slots == ["cuda"]


def test_a_repair_takes_the_slot_of_the_cluster_that_is_asked_for(slots: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(upkeep, "repair", lambda *how: asked.append(how) or Answer())
    assert workflow.repair_flow.fn("C.zarr") == {"schema": 1}
    workflow.repair_flow.fn("C.zarr", Mending(full=True, cluster="cuda"))
    assert asked == [("C.zarr", Mending()), ("C.zarr", Mending(full=True, cluster="cuda"))]
    assert slots == ["local", "cuda"]


def test_a_calibration_takes_the_slot_and_answers_with_the_rates(slots: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import tasks.calibrate
    from tests.tasks.builders import hardware

    monkeypatch.setattr(tasks.calibrate, "calibrate", lambda kind: hardware(2))
    assert workflow.calibrate_flow.fn(Measuring(cluster="cuda"))["fingerprint"]
    assert slots == ["cuda"]


def test_a_cleaning_asks_for_what_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "clean_stale", lambda *asked: {"removed": [str(asked)]})
    assert workflow.clean_flow.fn("/data", Stale(days=3)) == {"removed": [str(("/data", Stale(days=3)))]}


def test_an_analysis_answers_and_shows_every_device(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, list[dict[str, str]]]] = []
    monkeypatch.setattr(workflow, "send_answer", lambda found, sender: shown.append((needs(found), choice_rows(found.answer))))
    answer = workflow.analyze_flow.fn(subject=Subject(shape="1e6,1024,1e6", keep="top:10"), wanted=Wanted(by="time"))
    ((words, rows),) = shown
    assert answer["needs"]["flops"] == 2 * 10**12 * 1024
    assert "the top 10 of each row" in words
    assert len(rows) == len(answer["choice"]["options"])
    assert set(rows[0]) == {"", *OPTIONS_HEAD[1:]}


def test_a_product_by_a_plan_takes_the_slot_of_the_plans_cluster(slots: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Job] = []
    monkeypatch.setattr(workflow, "as_planned", lambda job: job.model_copy(update={"cluster": "cuda", "alpha": 2.0}))
    monkeypatch.setattr(workflow, "run_stages", lambda job, stages, approve, tell: ran.append(job))
    workflow.multiply_flow.fn(Job(a="A", b="B", out="C", plan="P.json"))
    assert slots == ["cuda"] and ran[0].alpha == 2.0
