"""The sums of the certificate against the whole matrices."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import OutputSpec, Staging
from tasks import planner
from tasks.errors import NotCertified
from tasks.ladder import ARITHMETICS
from tasks.number_types import HALF_SUBNORMAL
from tasks.outcome import Outcome
from tasks.planner import make_plan
from tasks.precision import PROBES
from tasks.prepare import Run
from tasks.probes import CONFIDENCE, inflation
from tasks.recipe import walk_of
from tasks.verify import NORM, certify, verify
from tests.tasks.machines import GIB, hardware, job, problem
from tests.tasks.test_outcome import measurement


@pytest.fixture(autouse=True)
def large_machine(monkeypatch):
    monkeypatch.setattr(planner, "installed_memory", lambda: 2**50)


def run_of(shape, chunk, **fields):
    request, made = job(memory=GIB, chunk=chunk, **fields), problem(shape)
    spec = OutputSpec(shape=(shape[0], shape[2]), dtype="float32", chunks=chunk, codec="none")
    plan = make_plan(request, made, hardware())
    tile = replace(plan.tile, rows=min(chunk[0], shape[0]), cols=min(chunk[1], shape[2]))
    plan = replace(plan, tile=tile, grid=(-(-shape[0] // tile.rows), -(-shape[2] // tile.cols), plan.grid[2]))
    return Run("r", request, made, hardware(), plan, Staging("/s", "/s/array", "/data/out", spec, "power"), 0.0)


def records(run, a, b, c0, residual):
    """What the tiles of a run would report of these matrices."""
    tiles = (walk_of(run.plan)[index] for index in range(run.plan.tiles))
    return tuple(
        measurement(
            index=tile.index,
            row=tile.row,
            col=tile.col,
            square_a=float(np.square(a[slice(*tile.rows)]).sum()),
            square_b=float(np.square(b[:, slice(*tile.cols)]).sum()),
            square_c0=float(np.square(c0[slice(*tile.rows), slice(*tile.cols)]).sum()),
            square_residual=float(np.square(residual[slice(*tile.rows), slice(*tile.cols)]).sum()),
        )
        for tile in tiles
    )


def norm(x):
    return sqrt(float(np.square(x).sum()))


@settings(deadline=None, max_examples=50)
@given(
    st.tuples(*[st.integers(1, 20)] * 3),
    st.tuples(*[st.integers(1, 9)] * 2),
    st.sampled_from([1.0, -2.5]),
    st.integers(0, 99),
)
def test_the_sums_over_tiles_are_those_of_the_whole_matrices(shape, chunk, alpha, seed):
    (m, k, n), rng = shape, np.random.default_rng(seed)
    a, b, c0 = rng.standard_normal((m, k)), rng.standard_normal((k, n)), rng.standard_normal((m, n))
    residual = 1e-7 * rng.standard_normal((m, n))
    run = run_of(shape, chunk, alpha=alpha, beta=0.5, add="/data/c0")
    proof = certify(run, records(run, a, b, c0, residual))
    assert proof.norm_a == pytest.approx(norm(a), rel=1e-12)
    assert proof.norm_b == pytest.approx(norm(b), rel=1e-12)
    assert proof.norm_c0 == pytest.approx(norm(c0), rel=1e-12)
    scale = abs(alpha) * norm(a) * norm(b) + 0.5 * norm(c0)
    assert proof.measured == pytest.approx(inflation(PROBES) * norm(residual) / scale, rel=1e-4)
    assert proof.measured >= inflation(PROBES) * norm(residual) / scale
    assert proof.promised >= run.plan.predicted.error_bound
    assert proof.promised == pytest.approx(run.plan.predicted.error_bound, rel=1e-9)
    assert (proof.norm, proof.confidence, proof.asked, proof.seed) == (NORM, CONFIDENCE, run.plan.max_error, run.plan.seed)


def certified(**changes):
    run = run_of((8, 5, 8), (8, 8), **changes.pop("fields", {}))
    return certify(run, (measurement(**changes),))


def test_a_product_of_zeros_is_perfect():
    proof = certified(square_a=0.0, square_b=4.0)
    assert (proof.promised, proof.measured, proof.kept) == (0.0, 0.0, True)


def test_norms_beyond_the_range_of_their_squares_do_not_overflow():
    run = run_of((8, 5, 8), (4, 8))
    tiles = tuple(measurement(index=row, row=row, square_a=1e308, square_b=1e-300) for row in range(2))
    assert certify(run, tiles).norm_a == pytest.approx(sqrt(2) * 1e154)


@pytest.mark.parametrize(
    ("square_a", "square_b", "alpha"), [(5e-324, 1.0, 1.0), (5e-324, 1e300, 1.0), (1e-290, 1e-290, 1e-37), (1e-280, 1e-20, 1e-5)]
)
def test_what_is_too_small_to_be_judged_is_never_certified(square_a, square_b, alpha):
    proof = certified(square_a=square_a, square_b=square_b, square_residual=0.0, fields={"alpha": alpha})
    assert not proof.kept
    assert min(proof.promised, proof.measured) > 1


def test_a_residual_whose_square_is_lost_is_not_taken_for_none():
    assert certified(square_a=1e-298, square_b=1.0, square_residual=0.0).measured > 1e-5


def test_what_the_stored_type_loses_is_not_shrunk_by_alpha():
    run = run_of((8, 5, 8), (8, 8), dtype_out="float16", alpha=1e-6)
    proof = certify(run, (measurement(square_a=1.0, square_b=1.0),))
    lost = HALF_SUBNORMAL["float16"] * sqrt(8 * 8) / 1e-6
    assert proof.promised >= run.plan.predicted.error_bound + lost
    assert proof.promised >= lost > 0.1


def test_tiny_operands_add_what_underflow_takes():
    tiny = 1e-34
    proof = certified(square_a=tiny**2, square_b=1.0)
    row = ARITHMETICS["float32"]
    assert proof.promised >= row.bound(5, ("float32",) * 2, "float32") + row.underflow((8, 5, 8), (tiny, 1.0), "float32") / tiny * (
        1 - 1e-9
    )


def test_rounding_before_storage_enters_the_promise_as_it_was_measured():
    run = run_of((8, 5, 8), (4, 8), max_error=1e-3, round="auto")
    share = run.plan.rounding.share
    error = share / 2
    tiles = tuple(measurement(index=row, row=row, rounding_error=error, step_exponent=-row - 1) for row in range(2))
    proof = certify(run, tiles)
    done = sqrt(2) * error / sqrt(2)  # relative to norms of sqrt(2) and 1
    assert (proof.rounding.mode, proof.rounding.share, proof.rounding.largest_step) == ("auto", share, 0.5)
    assert done <= proof.rounding.measured == pytest.approx(done, rel=1e-8)
    assert proof.promised == pytest.approx(run.plan.arithmetic_bound + done, rel=1e-8)
    assert proof.promised <= run.plan.predicted.error_bound <= proof.asked
    assert proof.measured == pytest.approx(
        done + certify(run_of((8, 5, 8), (4, 8)), (measurement(), measurement(row=1))).measured, rel=1e-8
    )


def test_a_product_of_zeros_was_rounded_by_nothing():
    proof = certified(square_a=0.0, fields={"max_error": 1e-3, "round": "auto"})
    assert (proof.rounding.measured, proof.rounding.largest_step, proof.promised) == (0.0, 0.0, 0.0)


def test_the_guarantee_is_the_bound_that_meets_what_was_asked():
    run = run_of((8, 5, 8), (8, 8))
    promised = certify(run, (measurement(),)).promised
    looser = certify(replace(run, plan=replace(run.plan, max_error=2 * promised)), (measurement(),))
    tighter = certify(replace(run, plan=replace(run.plan, max_error=promised / 2)), (measurement(),))
    assert (looser.guarantee, tighter.guarantee) == ("certified", "measured")


def test_what_is_listed_as_nonfinite_is_listed_once():
    run = run_of((8, 5, 8), (4, 8))
    tiles = tuple(measurement(index=row, row=row, nonfinite="column 3") for row in range(2))
    assert certify(run, tiles).nonfinite == ("column 3",)


def test_certified_is_not_replaced_by_measured_where_an_error_was_asked_for():
    shape = (200, 50, 300)
    rng = np.random.default_rng(0)
    a, b, c0 = rng.standard_normal((200, 50)) * 1e-42, rng.standard_normal((50, 300)), np.zeros((200, 300))
    for fields, kept in (({"max_error": 1e-3}, False), ({"max_error": 1e-3, "guarantee": "measured"}, True), ({}, True)):
        run = run_of(shape, (100, 100), **fields)
        outcome = Outcome(records(run, a, b, c0, np.zeros((200, 300))), 1.0, 0)
        if kept:
            assert verify(run, outcome).guarantee == "measured"
        else:
            with pytest.raises(NotCertified, match="--precision float64, or --guarantee measured"):
                verify(run, outcome)


def test_a_product_that_misses_what_was_asked_is_not_certified():
    run = run_of((8, 5, 8), (8, 8))
    bad = measurement(square_residual=1.0)
    proof = certify(replace(run, plan=replace(run.plan, max_error=1e-12)), (bad,))
    assert not proof.kept
    with pytest.raises(NotCertified, match=r"misses max-error 1e-12: \S+ is certified and 3.13 measured; .*kept in /s") as caught:
        verify(replace(run, plan=replace(run.plan, max_error=1e-12)), Outcome((bad,), 1.0, 0))
    assert caught.value.exit_code == 4
    assert verify(run, Outcome((measurement(),), 1.0, 0)).kept


def test_what_vanishes_is_said_to_be_too_small_and_no_error_above_1_is_advised():
    run = run_of((8, 5, 8), (8, 8))
    lost = measurement(square_a=1e-76, square_b=1e-76, square_residual=1e-154)
    with pytest.raises(NotCertified, match=r"measured; numbers this small vanish: scale the inputs up, or use --precision float64"):
        verify(run, Outcome((lost,), 1.0, 0))
