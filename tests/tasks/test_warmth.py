"""What of the inputs is cached: seen where it can be, and never a reason for another plan."""

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import Cached
from tasks import warmth as module
from tasks.plan import Inputs
from tasks.planner import make_plan
from tasks.report import plan_json, plan_text
from tasks.resume import plan_json as stored
from tasks.resume import read_plan
from tasks.survey import survey
from tasks.warmth import Warmth, settled, warmth_of
from tests.tasks.machines import GIB, hardware, job, matrix, problem

SHAPE = (8192, 4096, 8192)
NBYTES = (8192 * 4096 * 4,) * 2
COLD = Warmth(NBYTES, (1.0, 1.0), 60 * GIB)


def made(warmth, shape=SHAPE):
    return replace(problem(shape, chunks=((2048, 2048), (2048, 2048))), warmth=warmth)


@pytest.fixture
def seen(monkeypatch):
    def use(**shares):
        answers = {"/data/a": shares.get("a"), "/data/b": shares.get("b")}
        monkeypatch.setattr(module, "cached", lambda matrix: answers[matrix.path])
        monkeypatch.setattr(module, "available_memory", lambda: shares.get("room", GIB))
        a, b = (replace(problem(SHAPE).a, matrix=replace(matrix((8192, 4096)), path=path)) for path in ("/data/a", "/data/b"))
        return warmth_of(shares.get("cluster", "local"), a, a if shares.get("shared") else b)

    return use


def test_both_operands_are_looked_at(seen):
    assert seen(a=Cached(100, 0.25), b=Cached(50, 1.0)) == Warmth((100, 50), (0.75, 0.0), GIB)


def test_one_matrix_counts_once(seen):
    found = seen(a=Cached(100, 0.0), shared=True)
    assert found == Warmth((100, 100), (1.0, 1.0), GIB, shared=True)
    assert (found.total, found.cold_bytes) == (100, 100)


def test_where_nobody_tells_what_memory_cannot_hold_is_cold(seen):
    assert seen(a=Cached(GIB, None), b=Cached(1, 0.5)).cold == (1.0, 0.5)
    assert seen(a=Cached(GIB, None), b=Cached(1, 0.5), room=2 * GIB).cold == (0.0, 0.5)


def test_what_is_elsewhere_stays_as_it_was(seen):
    assert seen(a=None, b=None) is None
    assert seen(a=Cached(100, 0.0), b=None) == Warmth((100, 0), (1.0, 0.0), GIB)
    assert seen(a=Cached(100, 0.0), b=Cached(100, 0.0), cluster="tcp://there:8786") is None


def test_a_survey_asks(tmp_path):
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", np.ones((300, 300), "float32"))
    found = survey(job(a=str(tmp_path / "a.npy"), b=str(tmp_path / "b.npy"), out=str(tmp_path / "c.zarr"))).warmth
    assert found is not None
    assert found.nbytes == (os.path.getsize(tmp_path / "a.npy"),) * 2  # noqa: PTH202
    assert found.cold == (0.0, 0.0) and found.room > 0


@settings(deadline=None, max_examples=10)
@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([GIB, 60 * GIB]))
def test_what_is_cached_changes_what_is_predicted_and_never_the_plan(of_a, of_b, room):
    plain = make_plan(job(memory=GIB), made(None), hardware())
    other = make_plan(job(memory=GIB), made(Warmth(NBYTES, (of_a, of_b), room)), hardware())
    assert other.does_as(plain) and replace(other, predicted=plain.predicted, choices=plain.choices) == plain
    assert not replace(other, parts=other.parts + 1).does_as(plain)
    assert other.predicted.seconds >= plain.predicted.seconds
    assert [choice.verdict for choice in other.choices] == [choice.verdict for choice in plain.choices]


def test_inputs_that_no_memory_holds_are_planned_as_cold_whatever_is_cached():
    small = hardware(memory=4 * GIB)
    huge = made(Warmth((3 * GIB, 3 * GIB), (0.0, 0.5), 3 * GIB))
    assert settled(huge, small).warmth == Warmth((3 * GIB, 3 * GIB), (1.0, 1.0), 4 * GIB)
    assert settled(huge, hardware()).warmth is None


def test_the_chosen_row_takes_what_is_predicted():
    plan = make_plan(job(memory=GIB), made(COLD), hardware())
    (chosen,) = (choice for choice in plan.choices if choice.verdict == "chosen")
    assert chosen.seconds == pytest.approx(plan.predicted.seconds)


def test_a_plan_says_what_is_cached_and_what_that_is_worth():
    cold, warm, half = (
        make_plan(job(memory=GIB), made(replace(COLD, cold=share)), hardware()) for share in ((1.0, 1.0), (0.0, 0.0), (1.0, 0.0))
    )
    least = make_plan(job(memory=GIB), made(None), hardware())
    assert least.inputs is None and "cached" not in plan_text(least, made(None))
    assert cold.inputs == Inputs(sum(NBYTES), 0.0, pytest.approx(cold.predicted.seconds - least.predicted.seconds), 0.0)
    assert warm.inputs == Inputs(sum(NBYTES), 1.0, 0.0, pytest.approx(cold.inputs.waiting))
    assert half.inputs.saved == pytest.approx(cold.inputs.waiting - half.inputs.waiting)
    assert "cached  all 256 MiB of the inputs, worth" in plan_text(warm, made(None))
    assert "cached  nothing of the inputs: the run waits" in plan_text(cold, made(None))
    assert plan_json(half, made(None))["plan"]["inputs"]["share"] == 0.5
    assert read_plan(stored(half)) == half and read_plan(stored(half)).inputs == half.inputs


@pytest.mark.parametrize(("nbytes", "cold", "room"), [((-1, 0), (0, 0), 1), ((1, 1), (0, 1.1), 1), ((1, 1), (0, 0), -1)])
def test_a_state_that_cannot_be_is_refused(nbytes, cold, room):
    with pytest.raises(ValueError, match="no state of a page cache"):
        Warmth(nbytes, cold, room)
