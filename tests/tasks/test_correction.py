"""A machine that changes its pace: its predictions follow after some runs, within bounds, and its plans stay.

The loop is the real one, but for the clock: plan, report, note, recall, plan; the runs take what the machine gives.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.calibrate import with_history
from tasks.diary import note, recall_history
from tasks.history import ENOUGH, MOST, PRIOR_RUNS, PRIOR_SPREAD, RECENT
from tasks.plan import Plan
from tasks.planner import make_plan
from tasks.report import Clock, Report
from tests.tasks.builders import Scene, report
from tests.tasks.machines import GIB, hardware, job, problem

JOB, PROBLEM = job(memory=4 * GIB, precision="float32"), problem((20_000, 3000, 9000))
MACHINE = replace(hardware((2, 1)), fingerprint="abc")
PLAIN = make_plan(JOB, PROBLEM, MACHINE).predicted
"""Without a history."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMFLOW_CACHE", str(tmp_path))
    monkeypatch.delenv("GEMMFLOW_HISTORY", raising=False)


def planned() -> Plan:
    return make_plan(JOB, PROBLEM, with_history(MACHINE))


def ran(plan: Plan, pace: float, lane: str = "") -> Report:
    """A run of a plan on a machine that takes `pace` times what the rates say, in all lanes or in one."""
    made = report(Scene(grid=(2, 2)))
    lanes = {name: seconds * (pace if lane in ("", name) else 1.0) for name, seconds in PLAIN.lanes.items()}
    seconds = PLAIN.seconds * pace if not lane else PLAIN.seconds + lanes[lane] - PLAIN.lanes[lane]
    tiles = made.outcome.measurements
    each = {name: value * plan.workers / len(tiles) for name, value in lanes.items()}
    outcome = replace(made.outcome, measurements=tuple(replace(tile, lanes=each) for tile in tiles))
    run = replace(made.run, plan=plan, hardware=MACHINE)
    return replace(made, run=run, outcome=outcome, clock=Clock(1.0, seconds))


@pytest.mark.parametrize("pace", [0.5, 1.6, 3.0])
def test_after_some_runs_the_prediction_is_right_again(pace: float) -> None:
    first = planned()
    errors = []
    for _ in range(2 * ENOUGH):
        plan = planned()
        made = ran(plan, pace)
        errors.append(abs(plan.predicted.seconds / made.clock.seconds - 1))
        note(made)
    assert errors[0] == pytest.approx(abs(1 / pace - 1)), "the first is not corrected"
    assert errors[PRIOR_RUNS + 1] < 0.01, "one more run than the prior's weight"
    assert errors[-1] < 0.01
    last = planned()
    low, high = last.predicted.seconds_interval or (0.0, 0.0)
    assert low <= ran(last, pace).clock.seconds <= high and ran(last, pace).drift == ""
    assert ran(first, pace).drift != "", "which is what a run without the history would say"
    assert last.does_as(first), "what is told changed, what is planned did not"


def test_one_lane_that_drifts_is_corrected_alone() -> None:
    for _ in range(ENOUGH):
        note(ran(planned(), 4.0, lane="read"))
    found = planned().predicted
    assert found.lanes["read"] > 2 * PLAIN.lanes["read"]
    assert found.lanes["multiply"] == pytest.approx(PLAIN.lanes["multiply"])


def test_the_correction_is_bounded_and_goes_back() -> None:
    for _ in range(RECENT):
        note(ran(planned(), 100.0))
    assert planned().predicted.seconds == pytest.approx(MOST * PLAIN.seconds)
    for _ in range(RECENT):
        note(ran(planned(), 1.0))
    found = planned().predicted
    assert found.seconds == pytest.approx(PLAIN.seconds) and found.seconds_interval is not None
    assert found.seconds_interval[1] <= PRIOR_SPREAD * PLAIN.seconds


def test_a_single_outlier_moves_nothing() -> None:
    for pace in (1.0, 1.0, 1.0, 9.0, 1.0):
        note(ran(planned(), pace))
    assert planned().predicted.correction == pytest.approx(1.0)


def test_a_plan_of_another_machine_says_nothing_about_this_one() -> None:
    """Its times were predicted from other rates: to learn from them would spoil the predictions here."""
    foreign = replace(planned(), rates="another calibration")
    note(ran(foreign, 3.0))
    assert recall_history("abc") == ()
    note(ran(planned(), 3.0))
    assert len(recall_history("abc")) == 1
