"""Intervals around a mean over blocks: as wide as the blocks differ, and they hold as often as they say."""

from math import inf

import numpy as np
import pytest

from tasks.spread import Estimate, estimate

ALL = np.ones((4, 4), bool)


def test_blocks_that_are_alike_leave_no_doubt():
    assert estimate(np.full((4, 4), 3.0), ALL, (0.1, 0.1)) == Estimate(3.0, 3.0, 3.0)


def test_what_was_seen_whole_is_not_uncertain():
    values = np.arange(16.0).reshape(4, 4)
    assert estimate(values, ALL, (1.0, 1.0)) == Estimate(7.5, 7.5, 7.5)
    rows_seen, cols_seen = estimate(values, ALL, (1.0, 0.1)), estimate(values, ALL, (0.1, 1.0))
    assert 0 < rows_seen.high - rows_seen.low < cols_seen.high - cols_seen.low, "rows differ more than columns"


def test_one_row_tells_no_spread_unless_it_is_the_only_one():
    values, counted = np.array([[1.0, 2.0, 3.0]]), np.ones((1, 3), bool)
    assert estimate(values, counted, (0.2, 0.2)) == Estimate(2.0, -inf, inf)
    assert estimate(values, counted, (1.0, 0.2)).low > -inf


def test_blocks_that_do_not_count_change_nothing():
    values, counted = np.arange(16.0).reshape(4, 4), ALL.copy()
    counted[2], values[2] = False, np.nan
    left = estimate(np.delete(values, 2, 0), np.ones((3, 4), bool), (0.1, 0.1))
    assert estimate(values, counted, (0.1, 0.1)) == left
    with pytest.raises(ValueError, match="no block counts"):
        estimate(values, ~ALL, (0.1, 0.1))


@pytest.mark.parametrize("parts", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.2), (0.7, 0.7, 0.7), (0.0, 0.0, 1.0)])
def test_intervals_hold_as_often_as_they_say(parts):
    """Rows, columns and blocks that differ at random by so much each."""
    rng, held, rounds = np.random.default_rng(0), 0, 400
    for _ in range(rounds):
        sizes = zip(parts, ((60, 1), (1, 60), (60, 60)), strict=True)
        whole = 10 + sum(part * rng.standard_normal(size) for part, size in sizes)
        rows, cols = rng.choice(60, 5, replace=False), rng.choice(60, 5, replace=False)
        found = estimate(whole[np.ix_(rows, cols)], np.ones((5, 5), bool), (5 / 60, 5 / 60))
        held += found.low <= whole.mean() <= found.high
    assert held / rounds > 0.75


def test_numbers_are_scaled_cut_and_widened():
    found = Estimate(4.0, 3.0, 5.0)
    assert found.scaled(2.0, 1.0) == Estimate(9.0, 7.0, 11.0)
    assert Estimate(4.0, -inf, inf).scaled(0.0, 1.0) == Estimate(1.0, 1.0, 1.0)
    assert found.within(3.5, 4.5) == Estimate(4.0, 3.5, 4.5)
    assert found.widened(0.0) == found
    assert found.widened(0.25).high == pytest.approx(4 + 2**0.5)
