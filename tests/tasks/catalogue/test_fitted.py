"""What a few measured products change: with none the belief stays, with many it gives way, and one bad row does not carry the day."""

from dataclasses import replace
from math import exp, inf, nan

import pytest

from tasks.catalogue.fitted import Timed, fit, unfitted
from tasks.catalogue.kernels import belief, doubted, prior, references, with_best
from tasks.catalogue.linear import dot
from tasks.catalogue.shape import Engine, numbers
from tasks.errors import BadInput
from tasks.gemm import Gemm

ENGINE = Engine(500e12, 100, 2000e9)
SHAPES = [Gemm("", m, n, k) for m in (1024, 2048, 5000) for n in (1536, 4096, 16384) for k in (1024, 4096, 20000)]
TRUTH = (0.5, 0.9, 0.6, 0.4, 0.05)
BELIEF = prior("bfloat16")


def took(gemm, factor=1.0):
    return Timed(gemm, ENGINE.ideal(gemm) * exp(dot(numbers(ENGINE, gemm), TRUTH)) * factor)


def test_with_no_rows_the_belief_stays():
    assert fit(ENGINE, BELIEF, []) == unfitted(ENGINE, BELIEF)
    span = unfitted(ENGINE, BELIEF).time(SHAPES[0])
    assert span.how == "prior" and span.low < span.expected < span.high


def test_with_many_rows_it_finds_the_truth():
    fitted = fit(ENGINE, BELIEF, [took(gemm) for gemm in SHAPES] * 20)
    assert fitted.weights == pytest.approx(TRUTH, abs=0.1)
    for gemm in SHAPES:
        assert fitted.time(gemm).expected == pytest.approx(took(gemm).seconds, rel=0.03)
    assert fitted.time(SHAPES[0]).how == "measured"


def test_a_few_rows_help_and_more_help_more():
    def error(count):
        fitted = fit(ENGINE, BELIEF, [took(gemm) for gemm in SHAPES[:: max(1, len(SHAPES) // count)]][:count] if count else [])
        return sum(abs(fitted.time(gemm).expected / took(gemm).seconds - 1) for gemm in SHAPES)

    assert error(27) < error(6) < error(0)
    few, many = (fit(ENGINE, BELIEF, [took(gemm) for gemm in SHAPES[:count]]).time(SHAPES[-1]) for count in (2, 27))
    assert many.high / many.low < few.high / few.low


def test_one_row_that_took_three_times_as_long_changes_little():
    rows = [took(gemm) for gemm in SHAPES[::5]]
    good, bad = (fit(ENGINE, BELIEF, [*rows[:-1], last]) for last in (rows[-1], replace(rows[-1], seconds=3 * rows[-1].seconds)))
    assert bad.time(SHAPES[0]).expected == pytest.approx(good.time(SHAPES[0]).expected, rel=0.12)


def test_the_order_of_rows_does_not_matter():
    rows = [took(gemm, factor) for gemm, factor in zip(SHAPES[::4], (1, 1.1, 0.9, 1, 1.2, 1, 0.8), strict=True)]
    assert fit(ENGINE, BELIEF, rows).weights == pytest.approx(fit(ENGINE, BELIEF, rows[::-1]).weights)


def test_certain_weights_leave_only_scatter():
    known = belief("H100-SXM5-80GB", "bfloat16")
    span = unfitted(ENGINE, known).time(SHAPES[0])
    assert span.high / span.expected == pytest.approx(exp(1.2816 * known.scatter))


@pytest.mark.parametrize("seconds", [0.0, -1.0, inf, nan, 1e12])
def test_a_time_that_is_none_is_refused(seconds):
    with pytest.raises(BadInput, match="seconds of one product are wanted"):
        Timed(SHAPES[0], seconds)


def test_a_family_that_is_left_out_teaches_nothing():
    without = prior("bfloat16", without="Blackwell")
    assert without != BELIEF
    assert belief("GB200", "bfloat16", without="Blackwell") == without
    assert belief("GB200", "bfloat16").ground == "efficiency" and belief("no such", "bfloat16").ground == "prior"
    assert belief("H100-SXM5-80GB", "float16") == belief("H100-SXM5-80GB", "bfloat16")
    assert prior("float64") == BELIEF


def test_members_of_a_family_count_as_one():
    constants = {}
    for row in references():
        if row.precision == "bfloat16":
            constants.setdefault(row.family, []).append(row.weights[0])
    means = [sum(found) / len(found) for found in constants.values()]
    assert BELIEF.weights[0] == pytest.approx(sum(means) / len(means))


def test_what_the_fastest_product_reached_replaces_the_efficiency_only():
    found = with_best(BELIEF, 0.5)
    assert exp(-found.weights[0]) == pytest.approx(0.46) and found.weights[1:] == BELIEF.weights[1:]
    assert found.covariance[0][0] < BELIEF.covariance[0][0] and found.covariance[1][1] == BELIEF.covariance[1][1]
    assert found.limit == 0.5


def test_twice_the_doubt_is_twice_the_scatter():
    found = doubted(BELIEF, 2.0)
    assert (found.scatter, found.covariance[0][0]) == pytest.approx((2 * BELIEF.scatter, 4 * BELIEF.covariance[0][0]))
