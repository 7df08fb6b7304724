"""What earlier runs say about the next one."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.diary import note, recall_history
from tasks.history import ENOUGH, MOST, PRIOR_SPREAD, RECENT, Past, corrected, past_of
from tasks.plan import LANES
from tasks.planner import make_plan
from tests.tasks.builders import Scene, report
from tests.tasks.machines import GIB, hardware, job, problem

PREDICTED = make_plan(job(memory=4 * GIB), problem((8192, 8192, 8192)), hardware((2, 1))).predicted


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMMFLOW_CACHE", str(tmp_path))
    monkeypatch.delenv("GEMMFLOW_HISTORY", raising=False)
    return tmp_path


def ran(factor: float) -> Past:
    return Past(factor, dict.fromkeys(LANES, factor))


def test_without_a_history_nothing_is_corrected_and_the_interval_is_the_prior() -> None:
    found = corrected(PREDICTED, [])
    assert (found.seconds, found.lanes) == (PREDICTED.seconds, PREDICTED.lanes)
    assert found.seconds_interval == pytest.approx((PREDICTED.seconds / PRIOR_SPREAD, PREDICTED.seconds * PRIOR_SPREAD))


def test_many_runs_correct_the_prediction_and_a_single_one_does_not() -> None:
    assert corrected(PREDICTED, [ran(1.5)] * 20).seconds == pytest.approx(1.5 * PREDICTED.seconds)
    assert corrected(PREDICTED, [ran(5.0)]).seconds == PREDICTED.seconds
    assert corrected(PREDICTED, [ran(9.0)] * 100 + [ran(2.0)] * RECENT).seconds == pytest.approx(2.0 * PREDICTED.seconds)


@given(st.lists(st.floats(0.2, 5.0), min_size=ENOUGH, max_size=2 * RECENT))
def test_the_interval_holds_the_prediction_and_four_of_five_of_the_last_runs(ratios: list[float]) -> None:
    found = corrected(PREDICTED, [ran(ratio) for ratio in ratios])
    assert found.seconds_interval is not None
    low, high = found.seconds_interval
    assert low <= found.seconds <= high
    recent = [ratio * PREDICTED.seconds for ratio in ratios[-RECENT:]]
    assert sum(low * (1 - 1e-9) <= seconds <= high * (1 + 1e-9) for seconds in recent) >= 0.8 * len(recent) - 2


@given(st.lists(st.floats(0.2, 5.0), max_size=RECENT), st.floats(0.1, 10.0))
def test_a_run_is_remembered_beside_its_uncorrected_prediction(ratios: list[float], factor: float) -> None:
    before = corrected(PREDICTED, [ran(ratio) for ratio in ratios])
    lanes = {lane: factor * seconds for lane, seconds in PREDICTED.lanes.items()}
    past = past_of(before, factor * PREDICTED.seconds, lanes)
    assert past.seconds == pytest.approx(factor)
    assert all(ratio == pytest.approx(factor) for ratio in past.lanes.values())


def test_a_lane_that_was_to_take_nothing_says_nothing_and_no_correction_is_absurd() -> None:
    tiny = replace(PREDICTED, lanes=PREDICTED.lanes | {"encode": 1e-7})
    assert "encode" not in past_of(tiny, 10.0, dict.fromkeys(LANES, 1.0)).lanes
    wild = corrected(PREDICTED, [ran(1e6)] * 20)
    assert wild.seconds == pytest.approx(MOST * PREDICTED.seconds)
    assert wild.lanes["encode"] == pytest.approx(MOST * PREDICTED.lanes["encode"])
    assert corrected(PREDICTED, [ran(1e-6)] * 20).seconds == pytest.approx(PREDICTED.seconds / MOST)


def test_history_changes_what_is_told_and_not_what_is_planned() -> None:
    made, plain = problem((20_000, 3000, 9000)), hardware((2, 1))
    told = make_plan(job(memory=GIB), made, replace(plain, history=(ran(3.0),) * 20))
    assert replace(told, predicted=PREDICTED) == replace(make_plan(job(memory=GIB), made, plain), predicted=PREDICTED)


def finished(**changes: object) -> object:
    made = report(Scene(grid=(2, 2)))
    return replace(made, run=replace(made.run, hardware=replace(hardware(), fingerprint="abc")), **changes)


def test_a_run_is_noted_and_only_the_last_ones_are_kept(cache: Path) -> None:
    made = finished()
    for _ in range(RECENT + 5):
        note(made)
    past = recall_history("abc")
    assert len(past) == RECENT
    assert past[0] == past_of(made.run.plan.predicted, made.clock.seconds, made.measured.lanes)
    assert [path.name for path in cache.iterdir()] == ["history-abc.jsonl"]


def test_a_torn_line_does_not_count_and_a_cache_that_cannot_be_written_is_no_error(cache: Path) -> None:
    note(finished())
    path = cache / "history-abc.jsonl"
    path.write_bytes(path.read_bytes() + b'{"seconds": 1.0, "la')
    assert len(recall_history("abc")) == 1
    path.unlink()
    path.mkdir()
    note(finished())
    assert recall_history("abc") == ()


def test_history_can_be_off(monkeypatch: pytest.MonkeyPatch) -> None:
    note(finished())
    monkeypatch.setenv("GEMMFLOW_HISTORY", "off")
    assert recall_history("abc") == ()
    note(finished())
    monkeypatch.delenv("GEMMFLOW_HISTORY")
    assert len(recall_history("abc")) == 1


def test_what_was_resumed_or_repeated_says_nothing(cache: Path) -> None:
    made = finished()
    for field in ("resumed", "retried", "missed"):
        note(replace(made, outcome=replace(made.outcome, **{field: 1})))
    assert list(cache.iterdir()) == []
