"""Six measured products of a device, drawn by seed, predict the others (analysis, numeric check J).

What is learnt from other devices never comes from the same family: an H100 knows nothing of H200, a B200 nothing of GB200. So each of
these devices is one that the model has never seen.
"""

import random
from dataclasses import replace
from functools import cache
from statistics import fmean

import pytest

from tasks.catalogue.timing import learn
from tests.tasks.catalogue.measured_products import GIVEN, Errors, device_named, draw, family, measured, quantile

SEEDS = range(40)

IN_THE_FILE = {"A100-SXM4-80GB": 0.95, "H100-SXM5-80GB": 0.95, "L40S-48GB": 0.80}
"""Share of the draws that have to pass, of the devices of `gemm_timings.csv`. Two runs of one L40S differ by 9 % in the median, so no
model of its products does better than that."""

OTHERS = {"H200-SXM-141GB": 0.95, "B200-SXM-180GB": 0.95, "B300-SXM-288GB": 0.95, "GB300": 0.95, "RTX-PRO-6000": 0.95, "Arc Pro B60": 0.90}


@cache
def draws(name: str, precision: str = "bfloat16") -> tuple[Errors, ...]:
    return tuple(draw(name, precision, seed) for seed in SEEDS)


@pytest.mark.parametrize(("name", "share"), [*IN_THE_FILE.items(), *OTHERS.items()])
def test_the_median_is_within_10_per_cent_and_the_90th_percentile_within_25(name, share):
    found = draws(name)
    assert fmean(one.passes for one in found) >= share
    assert fmean(one.median for one in found) <= 0.10
    assert fmean(one.p90 for one in found) <= 0.25


UNLUCKIEST = {"A100-SXM4-80GB": 6, "H100-SXM5-80GB": 130, "L40S-48GB": 1, "H200-SXM-141GB": 138, "Arc Pro B60": 125}
"""Seeds, of 200."""


@pytest.mark.parametrize(("name", "seed"), UNLUCKIEST.items())
def test_the_unluckiest_of_200_draws_is_off_by_no_more_than_twice_that(name, seed):
    worst = draw(name, "bfloat16", seed)
    assert not worst.passes
    assert worst.median <= 0.20 and worst.p90 <= 0.40


def test_the_clocks_of_one_device_are_beyond_it():
    """GB200 takes twice as long for some products of 0.4 ms and more, and no other device does: only the median is kept."""
    found = draws("GB200")
    assert fmean(one.median for one in found) <= 0.10
    assert 0.25 < fmean(one.p90 for one in found) <= 0.40


@pytest.mark.parametrize("name", ["A100-SXM4-80GB", "H100-SXM5-80GB", "L40S-48GB"])
def test_without_multiprocessors_a_device_is_still_learnt(name):
    """A device of which only a peak is known: no waves are counted, and the mean of the draws still keeps both limits."""
    device, found = replace(device_named(name), name="new", multiprocessors=None), []
    for seed in SEEDS:
        rows = measured(name, "bfloat16")
        random.Random(seed).shuffle(rows)
        fitted = learn(device, "bfloat16", rows[:GIVEN], without=family(name))
        errors = [abs(fitted.time(row.gemm).expected / row.seconds - 1) for row in rows[GIVEN:]]
        found.append((quantile(errors, 0.5), quantile(errors, 0.9)))
    assert fmean(median for median, _ in found) <= 0.12 and fmean(p90 for _, p90 in found) <= 0.25


@pytest.mark.parametrize("name", list(IN_THE_FILE))
def test_a_device_of_a_known_name_is_learnt_better(name):
    """By the 90th percentile; the median of L40S is a matter of luck."""

    def error(seed, without):
        rows = measured(name, "bfloat16")
        random.Random(seed).shuffle(rows)
        fitted = learn(device_named(name), "bfloat16", rows[:GIVEN], without)
        return quantile([abs(fitted.time(row.gemm).expected / row.seconds - 1) for row in rows[GIVEN:]], 0.9)

    assert fmean(error(seed, "") for seed in SEEDS) < fmean(error(seed, family(name)) for seed in SEEDS)


@pytest.mark.parametrize(("name", "median", "p90"), [("H100-SXM5-80GB", 0.16, 0.40), ("L40S-48GB", 0.14, 0.36)])
def test_fp8_is_answered_with_a_wide_interval(name, median, p90):
    """What fp8 takes depends on the kernel more than on the device: the gate is not for it, the interval is."""
    found = draws(name, "fp8")
    assert 0.10 < fmean(one.median for one in found) <= median
    assert 0.25 < fmean(one.p90 for one in found) <= p90
    assert fmean(one.covered for one in found) >= 0.80


@pytest.mark.parametrize("name", [*IN_THE_FILE, *OTHERS])
def test_four_of_five_lie_in_the_interval(name):
    assert 0.72 <= fmean(one.covered for one in draws(name)) <= 1.0


def test_over_all_devices_the_interval_holds_what_it_says():
    everywhere = [fmean(one.covered for one in draws(name)) for name in (*IN_THE_FILE, *OTHERS, "GB200")]
    assert 0.80 <= fmean(everywhere) <= 0.95


def test_the_file_has_sixty_products_of_each():
    for name in (*IN_THE_FILE, *OTHERS, "GB200"):
        assert len(measured(name, "bfloat16")) == 60 and len(measured(name, "bfloat16", large=False)) == 30
