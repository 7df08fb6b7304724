from dataclasses import replace

import pytest

from tasks import planner, progress
from tasks.planner import make_plan
from tasks.progress import Estimate
from tests.tasks.machines import GIB, hardware, job, problem
from tests.tasks.test_outcome import measurement

SHAPE = (8000, 100, 8000)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(planner, "installed_memory", lambda: 2**50)
    now = [100.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def estimate():
    made = problem(SHAPE)
    plan = make_plan(job(memory=GIB, chunk=(500, 500), workers=2), made, hardware((2, 1)))
    return plan, Estimate(plan, made)


def run(clock, pace):
    """Every state of a run that takes `pace` times what was planned."""
    plan, made = estimate()
    tick = pace * plan.predicted.seconds / plan.tiles
    states = [made.now()]
    for index in range(plan.tiles):
        clock[0] += tick
        states.append(made.after(measurement(index=index, bytes_read=10, bytes_written=5)))
    return plan, states


def test_it_starts_with_the_prediction_and_ends_with_nothing_left(clock):
    plan, states = run(clock, 1.0)
    assert states[0].seconds_left == plan.predicted.seconds
    assert states[0].seconds == 0
    last = states[-1]
    assert last.seconds_left == 0
    assert (last.tiles_done, last.tiles, last.bytes_moved) == (plan.tiles, plan.tiles, 15 * plan.tiles)
    assert last.flops_done == last.flops == 2 * 8000 * 100 * 8000


@pytest.mark.parametrize("pace", [0.2, 0.5, 1.0, 2.0, 5.0])
def test_it_moves_from_the_plan_to_what_is_measured(clock, pace):
    plan, states = run(clock, pace)
    total = pace * plan.predicted.seconds
    for state in states[plan.tiles // 4 : -1]:
        left = total - state.seconds
        share = state.tiles_done / plan.tiles
        assert state.seconds_left >= 0
        assert abs(state.seconds_left - left) <= (1 - share) * max(1.0, abs(1 / pace - 1)) * left * (1 + 1e-6)


@pytest.mark.parametrize("pace", [0.2, 1.0, 5.0])
def test_more_tiles_done_never_mean_more_time_left_at_a_steady_pace(clock, pace):
    _, states = run(clock, pace)
    second_half = [state.seconds_left for state in states[len(states) // 2 :]]
    assert second_half == sorted(second_half, reverse=True)


def test_what_workers_are_at_counts_until_it_lands_and_never_again(clock):
    plan, made = estimate()
    step = plan.flops / plan.tiles
    made.hear(3, 0, 0.25)
    made.hear(4, 0, 0.5)
    assert made.has_news
    assert made.now().flops_done == pytest.approx(0.75 * step)
    assert not made.has_news
    assert made.now().tiles_done == 0
    assert made.after(measurement(index=4)).flops_done == pytest.approx(1.25 * step)
    made.hear(4, 0, 0.9)
    assert made.now().flops_done == pytest.approx(1.25 * step)


def test_a_part_that_landed_is_not_counted_twice(clock):
    plan, _ = estimate()
    made = Estimate(replace(plan, parts=4), problem(SHAPE))
    made.hear(0, 25, 0.2)
    assert made.now().flops_done == pytest.approx(0.2 * plan.flops / plan.tiles)
    assert made.after_part(0, 25).flops_done == pytest.approx(0.25 * plan.flops / plan.tiles)


def test_no_more_than_everything_is_ever_done(clock):
    plan, made = estimate()
    for index in range(plan.tiles):
        made.hear(index, 0, 0.9)
        made.hear(index, 1, 0.9)
    assert made.now().flops_done == plan.flops
