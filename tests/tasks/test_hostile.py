"""Every rung on hostile data: the true error is never above what is certified, for the whole product and for each of its rows.

The true error is exact up to 2**-53 of itself (`tests.tasks.hostile`), so what is left to chance here is nothing. The product takes the way
of a run, on CPU with the run's kernels, for CUDA with an emulation that is no better than the hardware (`tests.tasks.matrix_units`).
"""

from dataclasses import replace
from fractions import Fraction
from math import isinf

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.arithmetic import SHALLOWEST
from tasks.number_types import SMALLEST_NORMAL
from tests.tasks.hostile import HOSTILE, drawn, exact_product, frobenius
from tests.tasks.matrix_units import Unit, multiply, running_sum, stored, truncated_sum, units

UNITS = units()
OUTPUTS = ("float16", "float32", "float64")
LARGEST = {"float16": 65504.0, "float32": float(np.finfo(np.float32).max), "float64": float(np.finfo(np.float64).max)}
OWN_ROUNDING = 1 + 1e-12
"""Of the norms and of the true error."""

SLICED = ("bfloat16x3", "bfloat16x6", "bfloat16x9")
MATRIX_UNITS = (*SLICED, "float16", "bfloat16", "tf32")
FOR_SLICES = ("one sign", "truncation", "range 10³⁰", "cancellation", "vanishing")
"""At the greatest depth, where the emulation of nine products takes ten seconds."""

DEEP = 10**6

by_blocks = pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.row.block], ids=lambda unit: "-".join(unit.key))
by_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: "-".join(unit.key))


def check_within_bound(unit: Unit, data, output: str, total: torch.Tensor) -> None:
    """Of the whole product, and row by row, which is what the verifier asks of a tile."""
    a, b, exact = data
    (m, k), n = a.shape, b.shape[1]
    found, norm_b = stored(total, output), frobenius(b)
    if not np.isfinite(found).all():
        limit = min(LARGEST[output], LARGEST[unit.row.accumulate])
        partial = np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64))
        assert partial[~np.isfinite(found)].min() > 0.9 * limit, "what is not finite may have overflowed on its way"
        return
    error = exact.error_of(found)
    eps = unit.row.bound(k, (a.dtype.name, b.dtype.name), output, unit.device)
    for lines in (slice(0, m), *(slice(row, row + 1) for row in range(m))):
        norm_a = frobenius(a[lines])
        lost = unit.row.underflow((len(a[lines]), k, n), (norm_a, norm_b), output)
        assert frobenius(error[lines]) <= (eps * norm_a * norm_b + lost) * OWN_ROUNDING, (output, lines, eps)


def check(unit: Unit, data, slab: int, turned: tuple[bool, bool] = (False, False)) -> None:
    total = multiply(unit, data[0], data[1], slab, turned)
    for output in OUTPUTS:
        check_within_bound(unit, data, output, total)


@by_unit
@pytest.mark.parametrize("name", HOSTILE)
def test_the_true_error_is_within_the_bound(unit, name):
    for shape, slab in [((3, 1, 2), 1), ((1, 2, 1), 2), ((2, 70, 3), 35), ((1, 300, 4), 300), ((5, 300, 1), 100), ((2, 1100, 2), 1100)]:
        check(unit, drawn(name, shape), slab, (shape[1] % 100 == 0, shape[0] > 2))


@by_blocks
@pytest.mark.parametrize("name", HOSTILE)
def test_many_blocks_and_parts_of_blocks_are_within_the_bound(unit, name):
    """Blocks that are shallow enough for their sums to make most of the error."""
    check(replace(unit, block=20), drawn(name, (1, 240, 2)), 50)


def lines(x: np.ndarray, y: np.ndarray):
    """A row by a column."""
    return x[None], y[:, None], exact_product(x[None], y[:, None])


@by_blocks
def test_sums_of_blocks_that_are_all_lost_are_within_the_bound(unit):
    """A one, then blocks of 4 whose sums are half a unit of it; or blocks of 16 and parts of one, each half a unit."""
    fours, parts = np.full(1000, 2.0**-13, np.float16), np.full(500 * SHALLOWEST, 2.0**-14, np.float16)
    parts[SHALLOWEST - 1 :: SHALLOWEST] = 2.0**-12
    fours[0] = parts[0] = 1
    check(replace(unit, block=4), lines(fours, fours), 40)
    if unit.key[0] not in SLICED:
        check(replace(unit, block=16), lines(parts, parts), SHALLOWEST)


@by_unit
def test_what_two_slices_leave_is_within_the_bound(unit):
    """Of 1 + 2**-8 - 2**-17 - 2**-23 the second bfloat16 slice is as large, and what it leaves nearly as large, as can be."""
    x = np.array([1 + 2.0**-8 - 2.0**-17 - 2.0**-23], np.float32)
    check(unit, lines(x, x), 1)


@by_blocks
def test_what_every_product_of_slices_loses_is_within_the_bound(unit):
    """Of 4 products of the first slices 304.98 half units, of either crossed pair 0.97: 2.9 half units of a one are lost each time."""
    x, y = np.full(1000, 131 * 2.0**-16 + 213 * 2.0**-25, np.float32), np.full(1000, 149 * 2.0**-16 + 242 * 2.0**-25, np.float32)
    x[0] = y[0] = 1
    check(replace(unit, block=4), lines(x, y), 40)


@pytest.mark.slow
@by_unit
def test_the_true_error_is_within_the_bound_at_great_depth(unit):
    k = 65_536 if unit.key[0] in SLICED else DEEP
    for name in ("one sign",) if unit.key[0] in MATRIX_UNITS else ("one sign", "stagnation", "cancellation"):
        check(replace(unit, group=16), drawn(name, (1, k, 1)), k // 4)


@pytest.mark.slow
@by_unit
@pytest.mark.parametrize("name", HOSTILE)
def test_every_kind_of_data_is_within_the_bound_at_the_greatest_depth(unit, name):
    if unit.key[0] in SLICED and name not in FOR_SLICES:
        return
    check(replace(unit, group=64), drawn(name, (3, DEEP, 2)), 1 << 17)


@by_unit
def test_a_small_row_of_float64_meets_small_float32(unit):
    """Smallest case of a wrong bound: a common power of two made the second row 2**-38, and its product subnormal."""
    a, b = np.array([[1.1 * 2.0**89], [1.1 * 2.0**51]]), np.array([[1.1 * 2.0**-98]], np.float32)
    check(unit, (a, b, exact_product(a, b)), 1)
    check(unit, (b.T, a.T, exact_product(b.T, a.T)), 1)


@by_unit
def test_products_that_are_flushed_beside_a_scaled_operand_are_counted(unit):
    """The second row becomes a quarter, its products a little less than 2**-126."""
    a, b = np.array([[2.0**90] * 5, [2.0**89] * 5]), np.full((5, 1), 2.0**-124 * (1 - 2.0**-20), np.float32)
    check(unit, (a, b, exact_product(a, b)), 5)


TYPES = st.tuples(*[st.sampled_from(["float16", "float32", "float64"])] * 2)
POWERS = {"float16": (-24, 4), "float32": (-149, 60), "float64": (-450, 440)}


@st.composite
def matrices(draw):
    """Small ones, each line and each term with an exponent of its own, zeros, and numbers between two of a narrower type."""
    types, (m, k, n), rng = draw(TYPES), draw(st.tuples(*[st.integers(1, 4)] * 3)), np.random.default_rng(draw(st.integers(0, 999)))
    ones = np.array([0.0, 1.0, 1 + 2.0**-9, 1 + 2.0**-8, 1 + 2.0**-11, 1 + 2.0**-12, 1 + 2.0**-24, 1 - 2.0**-25, 1 + 2.0**-10 - 2.0**-23])
    made = []
    for dtype, shape in zip(types, ((m, k), (k, n)), strict=True):
        low, high = POWERS[dtype]
        middle, spread = draw(st.integers(low, high)), draw(st.sampled_from([0, 2, 30, 100]))
        exponents = np.clip(middle + rng.integers(-spread, spread + 1, shape), low, high)
        values = np.ldexp(rng.choice([*ones, rng.uniform(1, 2)], shape) * rng.choice([-1, 1], shape), exponents)
        with np.errstate(under="ignore"):
            made.append(values.astype(dtype))
    return made[0], made[1], exact_product(*made)


@by_unit
@settings(deadline=None, max_examples=60)
@given(data=matrices(), block=st.integers(1, 4), turned=st.tuples(st.booleans(), st.booleans()))
def test_small_matrices_of_any_scale_are_within_the_bound(unit, data, block, turned):
    check(replace(unit, block=block), data, data[0].shape[1], turned)


@by_unit
@pytest.mark.parametrize("types", [("int8", "int8"), ("int8", "uint8"), ("int16", "int16"), ("int16", "uint8")])
@pytest.mark.parametrize("k", [1, 258, 1024, DEEP])
def test_integers_are_exact_where_the_arithmetic_says_so(unit, types, k):
    if not unit.row.exact_for(k, types, unit.device):
        return
    least, most = ([np.iinfo(name).min, np.iinfo(name).max] for name in types)
    for x, y in ((least[0], most[0]), (least[0], most[1]), (least[1], most[1])):
        total = multiply(unit, np.full((2, k), x, types[0]), np.full((k, 1), y, types[1]), max(33, k // 4))
        assert total.to(torch.int64).tolist() == [[k * int(x) * int(y)]] * 2


def test_integers_are_exact_somewhere():
    assert sum(unit.row.exact_for(DEEP, ("int8", "int8"), unit.device) for unit in UNITS) == 8


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.floats(-(2.0**450), 2.0**450, width=64).filter(lambda x: x == 0 or abs(x) > 2.0**-450)] * 2), min_size=1))
def test_the_reference_is_exact(pairs):
    a, b = (np.array(values) for values in zip(*pairs, strict=True))
    exact = exact_product(a[None], b[:, None])
    wanted = sum(Fraction(x) * Fraction(y) for x, y in pairs)
    rest = abs(wanted - Fraction(exact.high.item()) - Fraction(exact.low.item()))
    assert rest <= Fraction(2.0**-105) * abs(wanted)
    assert abs(Fraction(exact.error_of(np.array(1.0)).item()) - (1 - wanted)) <= Fraction(2.0**-52) * abs(1 - wanted)


def cut(value: Fraction, unit: Fraction) -> Fraction:
    return Fraction(abs(value) // unit) * unit * (1 if value > 0 else -1)


def power(value: Fraction) -> Fraction:
    """The largest power of two up to |value|."""
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return Fraction(2) ** (exponent if Fraction(2) ** exponent <= abs(value) else exponent - 1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-255, 255), st.integers(-9, 9)), min_size=1, max_size=20), st.sampled_from([1, 4, 8]))
def test_the_matrix_unit_truncates_as_documented(parts, group):
    """Against the same in rational numbers."""
    terms, total = [Fraction(x) * Fraction(2) ** power_of_two for x, power_of_two in parts], Fraction(0)
    for start in range(0, len(terms), group):
        aligned = [total, *terms[start : start + group]]
        largest = max(map(abs, aligned))
        if largest:
            sums = sum(cut(x, power(largest) / 2**23) for x in aligned)
            total = cut(sums, power(sums) / 2**23) if sums else sums
    found = truncated_sum(np.array([[float(x)] for x in terms]), np.zeros(1), group)
    assert found.item() == total


def test_the_matrix_unit_loses_what_the_literature_says():
    """Four products of 2**-24 beside a one vanish on V100 (Fasi et al.), and so does half of each sum that is cut."""
    assert truncated_sum(np.array([[1.0], *[[2.0**-24]] * 4]), np.zeros(1), 5).item() == 1.0
    assert truncated_sum(np.array([[1.0], [1 - 2.0**-24]]), np.zeros(1), 1).item() == 2 - 2.0**-23
    assert truncated_sum(np.array([[SMALLEST_NORMAL["float32"] / 2]]), np.zeros(1), 4).item() == 0.0
    assert running_sum(np.array([[1.0], *[[2.0**-24]] * 4]), np.zeros(1), "float32").item() == 1.0


def reached(unit: Unit, name: str, k: int, output: str) -> float:
    """The true error over the bound."""
    a, b, exact = drawn(name, (1, k, 1))
    error = exact.error_of(stored(multiply(unit, a, b, k), output))
    eps = unit.row.bound(k, (a.dtype.name, b.dtype.name), output, unit.device)
    assert not isinf(eps)
    return frobenius(error) / (eps * frobenius(a) * frobenius(b))


@pytest.mark.parametrize(
    ("key", "name", "k"),
    [
        (("int8", "cpu", "torch"), "half steps", 300),
        (("float16", "cuda", "torch"), "ties of float16", 1),
        (("bfloat16", "cuda", "torch"), "ties of bfloat16", 1),
        (("tf32", "cuda", "torch"), "cut by tf32", 1),
        (("float16", "cuda", "torch"), "truncation", 1024),
        (("tf32", "cuda", "torch"), "truncation", 1024),
        (("bfloat16x6", "cuda", "torch"), "truncation", 1024),
        (("bfloat16x9", "cuda", "torch"), "truncation", 1024),
        (("float32", "cuda", "torch"), "stagnation", 1024),
        (("float64", "cuda", "torch"), "stagnation, double", 1024),
    ],
)
def test_the_data_are_hostile_enough_to_reach_the_bound(key, name, k):
    """So that a bound that is a little too small would be found out."""
    assert 0.9 < reached(Unit(key), name, k, "float64") <= OWN_ROUNDING
