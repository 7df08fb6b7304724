import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import scaling
from tasks.scaling import RANGES, common_shift


def test_the_examples_of_the_documentation_hold():
    assert doctest.testmod(scaling).failed == 0


@pytest.mark.parametrize("compute", RANGES)
@given(st.lists(st.integers(-1073, 1024), min_size=1, max_size=6) | st.lists(st.integers(-45, 45), min_size=1, max_size=4))
def test_every_line_ends_within_the_range(compute, exponents):
    shift, allowed = common_shift(exponents, compute), RANGES[compute]
    shifted = [e + (allowed.goal - e if shift is None else shift) for e in exponents]
    assert max(shifted) <= max(allowed.window[1], allowed.goal)
    assert min(shifted) >= allowed.least
    assert shift is not None or max(exponents) - min(exponents) > allowed.alike


@pytest.mark.parametrize("compute", RANGES)
def test_sums_of_many_products_stay_finite_in_float32(compute):
    largest = max(RANGES[compute].window[1], RANGES[compute].goal)
    assert 2 * largest + 30 < 127
