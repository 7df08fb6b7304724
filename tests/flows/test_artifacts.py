import threading
import time

import prefect.artifacts
import pytest

from flows import artifacts
from flows.artifacts import ProgressArtifact, plan_rows, with_plan_table, with_progress, with_report
from flows.sending import Sender
from tasks.outcome import Progress
from tests.flows.fakes import plan
from tests.tasks.builders import report


def after(tiles: int, of: int = 100) -> Progress:
    return Progress(tiles, of, float(tiles), float(of), 0, seconds=1.0, seconds_left=-1.0)


def test_the_bar_moves_at_most_once_a_second_and_for_the_last_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    from uuid import uuid4

    clock, shown, key = [100.0], [], uuid4()
    monkeypatch.setattr(artifacts.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(artifacts, "create_progress_artifact", lambda share, **_: shown.append(("new", share)) or key)
    monkeypatch.setattr(artifacts, "update_progress_artifact", lambda identity, share, **_: shown.append((identity, share)))
    bar = ProgressArtifact("4x5x6 float32", lambda kind, message: message())
    for tiles in range(1, 101):
        clock[0] += 0.125
        bar(after(tiles))
    assert [share for _, share in shown] == [*range(1, 100, 8), 100]
    assert {identity for identity, _ in shown[1:]} == {key}


@pytest.mark.parametrize("took", [0.005, 0.02, 0.3])
def test_the_bar_takes_a_hundredth_of_the_run_at_most(took: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, shown = [100.0], []

    def show(share: float, **_: object) -> None:
        shown.append(share)
        clock[0] += took

    monkeypatch.setattr(artifacts.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(artifacts, "create_progress_artifact", show)
    bar = ProgressArtifact("4x5x6 float32", lambda kind, message: message())
    for tiles in range(1, 10_001):
        clock[0] += 0.01
        bar(after(tiles, 10_000))
    assert took * (len(shown) - 2) <= 0.01 * (clock[0] - 100.0)  # but for the first and the last
    assert shown[-1] == 100


def test_a_server_that_is_gone_costs_the_picture_not_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no server")

    for name in ("create_progress_artifact", "create_table_artifact", "create_markdown_artifact"):
        assert hasattr(prefect.artifacts, name)
        monkeypatch.setattr(artifacts, name, fail)
    made, senders = report(), [Sender(), Sender(), Sender()]
    plan_table = with_plan_table(lambda *_: made.run.plan, senders[0])
    assert plan_table(made.run.job, made.run.problem, made.run.hardware) is made.run.plan
    assert with_report(lambda *_: made, senders[1])(made.run, made.outcome, made.certificate, made.stored, made.clock) is made
    seen: list[Progress] = []
    multiply = with_progress(lambda run, cluster, observe: observe(after(1)) or made.outcome, senders[2])
    assert multiply(made.run, None, seen.append) is made.outcome
    assert seen == [after(1)]
    for sender in senders:
        sender.end()


def test_a_server_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, asked = threading.Event(), []
    for name in ("create_progress_artifact", "create_table_artifact", "create_markdown_artifact"):
        monkeypatch.setattr(artifacts, name, lambda *_, name=name, **__: asked.append(name) or answer.wait(60))
    monkeypatch.setattr(Sender.settle, "__defaults__", (0.2,))
    made, sender, started = report(), Sender(), time.monotonic()
    with_plan_table(lambda *_: made.run.plan, sender)(made.run.job, made.run.problem, made.run.hardware)
    with_progress(lambda run, cluster, observe: [observe(after(tiles)) for tiles in range(1, 101)], sender)(made.run, None, lambda _: None)
    with_report(lambda *_: made, sender)(made.run, made.outcome, made.certificate, made.stored, made.clock)
    assert 0.2 <= time.monotonic() - started < 2
    sender.end()
    answer.set()
    assert asked == ["create_table_artifact"]


def test_the_plan_table_has_every_prediction() -> None:
    rows = {row["what"]: row["value"] for row in plan_rows(plan())}
    assert rows["tile"] == "2048 x 2048, depth 1024"
    assert {"seconds", "bytes read", "bytes written", "peak memory", "error", "seconds to multiply"} <= set(rows)
