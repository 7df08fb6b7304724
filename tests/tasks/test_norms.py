"""Norms of any float64: against exact arithmetic, over all magnitudes that there are."""

from fractions import Fraction
from math import inf, isnan, isqrt, sqrt

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks import norms, probing
from tasks.norms import norm_of

MOST = 2.0**1023 * (2 - 2.0**-52)
TINIEST = 5e-324
ULPS = 2.0**-50

magnitudes = st.integers(-1074, 1023).flatmap(
    lambda exponent: st.floats(1, 2, exclude_max=True).map(lambda x: float(np.ldexp(x, exponent)))
)
numbers = st.one_of(magnitudes, magnitudes.map(lambda x: -x), st.just(0.0), st.sampled_from([TINIEST, MOST]))


def exact_norm(values: np.ndarray) -> float:
    """Of the values as they are: the root of a sum of fractions, taken of an integer with digits to spare."""
    square = sum((Fraction(float(value)) ** 2 for value in values.flat), Fraction(0))
    if not square:
        return 0.0
    shift = 2 * (square.denominator.bit_length() + 64)
    root = Fraction(isqrt(int(square * 2**shift)), 2 ** (shift // 2))
    return float(root) if root <= Fraction(MOST) else inf


def right(found: float, values: np.ndarray) -> bool:
    """Within a few roundings, and one subnormal step."""
    wanted = exact_norm(values)
    return found == wanted or abs(found - wanted) <= ULPS * wanted + TINIEST or (found == inf and wanted > MOST * (1 - ULPS))


@settings(deadline=None, max_examples=400)
@given(st.lists(numbers, min_size=1, max_size=12), st.sampled_from([(False, 64), (True, 64), (False, 2), (True, 2)]))
@example([TINIEST], (False, 64))
@example([MOST, MOST], (False, 64))
@example([1e-170, 3e-170, TINIEST], (True, 64))
@example([1e-160] * 12, (False, 2))
def test_the_norm_of_any_numbers_is_that_of_exact_arithmetic(values, way):
    turned, width = way
    block = np.array(values).reshape(-1, 1 if len(values) % 2 else 2)
    block = np.asfortranarray(block) if turned else block
    pieces = [torch.from_numpy(block.ravel()[start : start + width].copy()) for start in range(0, block.size, width)]
    with np.errstate(all="ignore"):
        square = float(np.square(block).sum())
    assert right(norm_of(square, lambda: (piece.clone() for piece in pieces)), block)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats(-1e-140, 1e-140), min_size=2, max_size=12), st.booleans(), st.booleans())
@example([TINIEST, 0.0], False, False)
@example([1e-310, 0.0], True, True)
@example([0.0, 0.0], False, True)
def test_the_verifier_knows_the_norm_of_numbers_that_have_no_squares(values, turned, clean):
    block = torch.tensor(values[: len(values) // 2 * 2], dtype=torch.float64).reshape(2, -1)
    before = block.clone()
    view = block.T if turned else block
    seen = probing.apply(view, torch.ones(view.shape[1], 1, dtype=torch.float64), probing.Wanted(norms=True, clean=clean))
    assert right(seen.norm, before.numpy())
    assert bool(seen.norm) == bool(before.any()) and torch.equal(block, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int8, torch.uint16, torch.int64])
def test_ordinary_numbers_take_the_squares_that_are_there(dtype, monkeypatch):
    monkeypatch.setattr(probing, "norm_of", lambda *_: pytest.fail("a second pass over ordinary numbers"))
    block = torch.arange(12, dtype=torch.float64).reshape(3, 4).to(dtype)
    for block_of in (block, torch.zeros(3, 4).to(dtype) if dtype != torch.float64 else block):
        seen = probing.apply(block_of, torch.ones(4, 1, dtype=torch.float64), probing.Wanted(norms=True))
        assert seen.norm == sqrt(float(block_of.double().square().sum()))


def test_what_is_not_finite_has_no_norm():
    assert norm_of(inf, lambda: [torch.tensor([1.0, inf], dtype=torch.float64)]) == inf
    assert isnan(norm_of(float("nan"), lambda: [torch.tensor([1.0, torch.nan], dtype=torch.float64)]))
    assert norm_of(0.0, lambda: [torch.zeros(3, dtype=torch.float64)]) == 0.0


def test_a_power_of_two_is_exact_over_the_whole_range():
    smallest = torch.tensor([TINIEST, MOST], dtype=torch.float64)
    assert norms.times_power(smallest[:1].clone(), 1074).tolist() == [1.0]
    assert norms.times_power(smallest[1:].clone(), -1024).tolist() == [1 - 2.0**-53]
