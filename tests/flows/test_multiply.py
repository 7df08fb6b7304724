import time

import pytest

from flows import pool as pool_module
from flows.multiply import run_stages
from flows.session import Session, open_session
from tasks.errors import NotCertified
from tasks.job import make_job
from tasks.outcome import Progress
from tests.flows.fakes import FakeClusters, stages
from tests.tasks.builders import report

ORDER = ["survey", "measure", "plan", "prepare", "multiply", "verify", "publish", "report"]
JOB = make_job(a="/data/users.zarr", b="/data/items.zarr", out="/data/scores.zarr")


@pytest.fixture(autouse=True)
def clusters(monkeypatch: pytest.MonkeyPatch) -> FakeClusters:
    fake = FakeClusters()
    monkeypatch.setattr(pool_module, "open_cluster", fake)
    return fake


def test_stages_run_in_order_and_the_workers_end(clusters: FakeClusters) -> None:
    calls: list[str] = []
    run_stages(JOB, stages(calls))
    assert calls == ORDER
    assert [cluster.closed for cluster in clusters.opened] == [True]


def test_a_product_that_misses_its_error_is_not_published() -> None:
    def fail(*_: object) -> object:
        raise NotCertified("measured 2e-3, asked 1e-3")

    calls: list[str] = []
    with pytest.raises(NotCertified):
        run_stages(JOB, stages(calls, verify=fail))
    assert calls == ORDER[:6]


def test_the_observers_of_the_session_see_the_progress() -> None:
    seen, tile = [], Progress(1, 2, 1.0, 2.0, 0, seconds=1.0, seconds_left=1.0)

    def multiply(_run: object, _cluster: object, observe) -> object:
        observe(tile)
        return report().outcome

    with open_session(Session(observers=(seen.append,))):
        run_stages(JOB, stages(multiply=multiply))
    assert seen == [tile]


def test_the_clock_splits_the_time_of_each_run_at_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = []
    monkeypatch.setattr("tasks.diary.note", lambda report: None)  # clocks are no reports

    def only_clock(*parts) -> object:
        clocks.append(parts[-1])
        return parts[-1]

    with open_session(Session(started=1_900_000_000.0 - 5)):
        run_stages(JOB, stages(report=only_clock))
        run_stages(JOB, stages(report=only_clock))
    assert clocks[0].startup_seconds == pytest.approx(5)
    assert clocks[0].seconds == pytest.approx(time.time() - 1_900_000_000.0, abs=5)
    assert clocks[1].startup_seconds == pytest.approx(1_900_000_000.0 - time.time(), abs=5)
