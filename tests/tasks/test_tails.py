"""The limits of what stands out, against scipy and against simulated tiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tasks.tails import (
    MISSED,
    REACH,
    chi_square_point,
    chi_square_tail,
    false_alarms,
    median_range,
    row_limit,
    single_limit,
)

PROBES = 10


@given(st.floats(1e-3, 400), st.integers(1, 40))
def test_the_tail_is_that_of_scipy(x, degrees):
    assert chi_square_tail(x, degrees) == pytest.approx(stats.chi2.sf(x, degrees), rel=1e-10, abs=1e-300)


@given(st.floats(1e-14, 1 - 1e-9), st.integers(1, 40))
def test_the_point_is_that_of_scipy(tail, degrees):
    assert chi_square_point(tail, degrees) == pytest.approx(stats.chi2.isf(tail, degrees), rel=1e-6)


@given(st.integers(1, 10**5), st.sampled_from([1e-9, 1e-4, 0.1]))
def test_the_median_leaves_its_range_no_oftener_than_said(rows, delta):
    """Exactly, by the binomial law of how many values are on the wrong side; the median of an even number is the lower one."""
    low, high = median_range(rows, PROBES, delta)
    above, below = (stats.chi2.sf(PROBES * high**2, PROBES), stats.chi2.cdf(PROBES * low**2, PROBES))
    assert stats.binom.sf(rows - (rows - 1) // 2 - 1, rows, above) <= delta * (1 + 1e-6)
    assert stats.binom.sf((rows - 1) // 2, rows, below) <= delta * (1 + 1e-6)


@pytest.mark.parametrize("spread", [1.0, 1.2])
def test_false_alarms_are_below_one_in_a_million_tiles(spread):
    assert all(false_alarms(rows, PROBES, spread) < 1e-6 for rows in (40, 64, 100, 1000, 8192, 10**5))


def test_what_stands_for_a_false_alarm_is_the_sum_of_its_tails():
    rows, spread, delta = 256, 1.5, 1e-7
    least, _ = median_range(rows, PROBES, delta)
    row, single = (limit(rows, PROBES) * least / spread for limit in (row_limit, single_limit))
    wanted = delta + rows * (stats.chi2.sf(PROBES * row**2, PROBES) + 2 * np.exp(-(single**2) / 2))
    assert false_alarms(rows, PROBES, spread, delta) == pytest.approx(wanted, rel=1e-6)


def shown(rng, tiles: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Of clean tiles with rho = 1: what the Gaussian probes of each row show [tiles, rows, q], and its sum with random signs."""
    return rng.standard_normal((tiles, rows, PROBES)), rng.standard_normal((tiles, rows))


def judged(gaussian: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each tile has a row above its limits."""
    rows = gaussian.shape[1]
    errors = np.sqrt(np.square(gaussian).mean(axis=2))
    typical = np.sort(errors, axis=1)[:, (rows - 1) // 2]
    return errors.max(axis=1) > row_limit(rows, PROBES) * typical, np.abs(signs).max(axis=1) > single_limit(rows, PROBES) * typical


@pytest.mark.parametrize("rows", [16, 64, 500])
def test_simulated_clean_tiles_stand_out_nowhere(rows):
    rng = np.random.default_rng(rows)
    for _ in range(10):
        assert not np.any(judged(*shown(rng, 200_000 // rows, rows)))


@pytest.mark.parametrize("rows", [2, 3, 16, 64])
def test_a_simulated_error_is_missed_no_oftener_than_promised(rows):
    rng, missed, tiles = np.random.default_rng(rows), 0, 100_000 // rows
    for _ in range(20 if rows > 3 else 4):
        gaussian, signs = shown(rng, tiles, rows)
        gaussian[:, 0] *= REACH - 1
        missed += np.count_nonzero(~judged(gaussian, signs)[0])
    share = missed / tiles / (20 if rows > 3 else 4)
    assert share <= 1.2 * MISSED, "with what so many tiles show by chance"


@pytest.mark.parametrize("rows", [2, 16, 64, 500])
def test_a_simulated_wrong_element_is_never_missed(rows):
    rng = np.random.default_rng(rows)
    for sign in (1, -1):
        gaussian, signs = shown(rng, 400_000 // rows, rows)
        signs[:, 0] += sign * REACH
        assert judged(gaussian, signs)[1].all()


def test_an_error_well_below_the_reach_stands_out_nowhere():
    """Twice rho: nothing that a run should stop for."""
    rng = np.random.default_rng(7)
    gaussian, signs = shown(rng, 3000, 64)
    gaussian[:, 0] *= 2
    assert not np.any(judged(gaussian, signs))
