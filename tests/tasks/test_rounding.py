"""Storage's share of the error: never more than the arithmetic leaves, for every row of the ladder."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import planner, rounding
from tasks.errors import Refused
from tasks.ladder import ARITHMETICS
from tasks.planner import make_plan
from tasks.rounding import EXACT, MARGIN, NOTHING_LEFT, Rounding, choose_rounding
from tests.tasks.machines import GIB, hardware, job, problem


@pytest.fixture(autouse=True)
def large_machine(monkeypatch):
    monkeypatch.setattr(planner, "installed_memory", lambda: 2**50)


def planned(dtypes=("float32", "float32"), k=4000, **fields):
    return make_plan(job(memory=GIB, **fields), problem((500, k, 300), dtypes), hardware())


def test_the_examples_of_the_documentation_hold():
    assert doctest.testmod(rounding).failed == 0


@given(st.floats(1e-300, 1.0), st.floats(0, 1))
def test_arithmetic_and_storage_together_stay_within_what_was_asked(asked, part):
    certified = asked * part
    chosen = choose_rounding("auto", asked, certified, exact=False)
    assert certified + chosen.share <= asked
    assert chosen.share <= (1 - MARGIN) * (asked - certified) * (1 + 1e-15)
    assert (chosen.share == 0) == (chosen.why == NOTHING_LEFT)
    assert chosen.share > 0 or part > 1 - 1e-13


@given(st.floats(1e-9, 0.5), st.floats(0, 1))
def test_the_margin_holds_what_underflow_may_take(asked, part):
    certified = asked * part
    share = choose_rounding("auto", asked, certified, exact=False).share
    assert certified + share * (1 + MARGIN) <= asked


def test_nothing_is_rounded_unless_it_is_asked_for():
    assert choose_rounding("no", 1.0, 0.0, exact=False) == Rounding()
    assert planned(max_error=1e-2).rounding == Rounding()
    assert planned().rounding == Rounding()


@pytest.mark.parametrize("name", list(ARITHMETICS))
@pytest.mark.parametrize("dtype_out", ["auto", "float16", "float32", "float64"])
@pytest.mark.parametrize("k", [1, 700, 20_000])
@pytest.mark.parametrize("asked", [1e-1, 1e-2, 1e-3, 1e-6, 1e-9])
def test_every_arithmetic_leaves_storage_what_it_does_not_need(name, dtype_out, k, asked):
    try:
        plan = planned(k=k, precision=name, dtype_out=dtype_out, max_error=asked, round="auto")
    except Refused:
        return
    assert plan.arithmetic_bound <= asked
    assert plan.predicted.error_bound == plan.arithmetic_bound + plan.rounding.share <= asked
    assert plan.predicted.error_bound > asked * (1 - 2 * MARGIN)
    assert plan.predicted.error_bound >= next(row.bound for row in plan.choices if row.arithmetic == name)


def test_an_exact_product_stays_exact():
    plan = planned(("int8", "int8"), max_error=0.1, round="auto", precision="float64")
    assert plan.exact
    assert plan.rounding == Rounding("auto", 0.0, EXACT)
    assert plan.predicted.error_bound == 0.0
