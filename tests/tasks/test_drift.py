"""A run outside of its predicted range says so in words, with the step that made the difference."""

import doctest
import json
from dataclasses import replace

import pytest

from tasks import drift
from tasks.drift import drift_of, drift_words
from tasks.html import render_html
from tasks.plan import LANES
from tasks.report import Clock, Report
from tests.tasks.builders import Scene, report

PREDICTED = replace(report(Scene(grid=(2, 2))).run.plan.predicted, seconds=10.0, seconds_interval=(8.0, 13.0))
LANES_PREDICTED = {"read": 2.0, "multiply": 6.0, "verify": 1.0, "encode": 0.5, "write": 0.5}


def took(seconds: float, resumed: int = 0) -> Report:
    """A report of a run that was to take 8 to 13 s, its multiplications longer by what it took longer."""
    made = report(Scene(grid=(2, 2)))
    (count, workers) = len(made.outcome.measurements), made.run.plan.workers
    lanes = LANES_PREDICTED | {"multiply": LANES_PREDICTED["multiply"] + seconds - 10}
    each = {lane: value * workers / count for lane, value in lanes.items()}
    tiles = tuple(replace(tile, lanes=each) for tile in made.outcome.measurements)
    plan = replace(made.run.plan, predicted=replace(PREDICTED, lanes=LANES_PREDICTED))
    run, outcome = replace(made.run, plan=plan), replace(made.outcome, measurements=tiles, resumed=resumed)
    return replace(made, run=run, outcome=outcome, clock=Clock(1.0, seconds))


def test_the_examples_hold() -> None:
    assert doctest.testmod(drift).failed == 0


@pytest.mark.parametrize("seconds", [8.0, 9.0, 13.0])
def test_within_the_range_nothing_is_said(seconds: float) -> None:
    made = took(seconds)
    assert drift_of(PREDICTED, seconds) is None and made.drift == ""
    assert made.to_json()["measured"]["drift"] == ""
    assert "drift" not in made.to_text().lower() + made.to_markdown().lower()


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (20.0, "20.0 s is longer than the 8.0 s to 13.0 s that were predicted: multiply took 16.0 s instead of 6.0 s"),
        (5.0, "5.0 s is shorter than the 8.0 s to 13.0 s that were predicted: multiply took 1.0 s instead of 6.0 s"),
    ],
)
def test_outside_of_it_terminal_page_artifact_and_json_say_so(seconds: float, says: str) -> None:
    made = took(seconds)
    assert made.drift == says and json.loads(json.dumps(made.to_json()))["measured"]["drift"] == says
    assert f"**Drift**: {says}" in made.to_markdown()
    assert says.replace(" ", "") in made.to_text().replace("\n", "").replace(" ", "")
    assert says in render_html(made)


def test_a_run_that_went_on_with_another_one_is_not_compared_with_the_whole() -> None:
    assert took(40.0, resumed=2).drift == ""


def test_no_lane_is_blamed_for_what_happened_between_tiles() -> None:
    found = drift_of(PREDICTED, 30.0)
    assert drift_words(found, LANES_PREDICTED, LANES_PREDICTED).endswith("no step of the tiles took much longer, the rest of the run did")
    assert drift_words(found, LANES_PREDICTED, LANES_PREDICTED | {"write": 5.5}).endswith("write took 5.5 s instead of 0.500 s")
    assert set(LANES_PREDICTED) == set(LANES)
