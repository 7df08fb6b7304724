"""The bounds against exact rational arithmetic, on data made to hurt: cancellation, mixed magnitudes, ties, underflow."""

import doctest
from dataclasses import replace
from fractions import Fraction
from math import frexp, hypot, inf, isfinite, ldexp, sqrt, trunc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import number_types
from tasks.arithmetic import SHALLOWEST
from tasks.ladder import ARITHMETICS
from tasks.number_types import HALF_SUBNORMAL, SIGNIFICAND_BITS, SMALLEST_NORMAL, UNIT_ROUNDOFF, largest_magnitude, rounding
from tasks.scaling import common_shift

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
NUMPY = {"float16": np.float16, "float32": np.float32, "float64": np.float64}


def test_the_examples_of_the_documentation_hold():
    found = doctest.testmod(number_types)
    assert found.failed == 0 < found.attempted


def to_type(value: float, name: str) -> float:
    """Rounded to nearest, ties to even; bfloat16 is the upper half of a float32; tf32 is cut off after 11 bits."""
    if name == "tf32":
        fraction, exponent = frexp(value)
        return ldexp(trunc(ldexp(fraction, SIGNIFICAND_BITS[name])), exponent - SIGNIFICAND_BITS[name])
    if name != "bfloat16":
        return float(NUMPY[name](value))
    bits = np.array([value], np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16
    return float(rounded.astype(np.uint32).view(np.float32)[0])


def truncated(value: Fraction) -> float:
    """The float32 next to `value` on the side of zero."""
    nearest = np.float32(float(value))
    return float(np.nextafter(nearest, np.float32(0))) if abs(Fraction(float(nearest))) > abs(value) else float(nearest)


def flushed(value: float, name: str) -> float:
    return value if abs(value) >= SMALLEST_NORMAL[name] else 0.0


def sliced(row, values, flush):
    """Slices of one line, and the power of two that they were multiplied with."""
    largest = max(map(abs, values))
    shift = common_shift([frexp(largest)[1]] if largest else [], row.compute) if row.compute in ("bfloat16", "float16") else 0
    rest, slices = [ldexp(value, shift) for value in values], []
    for _ in range(row.slices):
        slices.append([flushed(to_type(value, row.compute), row.compute) if flush else to_type(value, row.compute) for value in rest])
        rest = [value - part for value, part in zip(rest, slices[-1], strict=True)]
    return slices, shift


def quantized(values):
    """int8 steps of a 127th of the largest, and the largest."""
    if all(value == int(value) and abs(value) <= 128 for value in values):
        return [[int(value) for value in values]], 1.0
    largest = max(map(abs, values))
    return [[round(value * 127 / largest) for value in values]], largest / 127


def emulated(row, device, a, b, slab, output, flush=False):
    """One element, summed one product after the other, block by block and slab by slab, as the row says."""

    def inside(value):
        if row.inner == "int32":
            assert abs(value) < 2**31
            return Fraction(value)
        result = truncated(Fraction(value)) if device in row.truncates_on else to_type(float(value), row.inner)
        return flushed(result, row.inner) if flush else result

    def outside(value):
        result = to_type(float(value), row.accumulate)
        return flushed(result, row.accumulate) if flush else result

    total = 0.0
    for start in range(0, len(a), slab):
        parts = a[start : start + slab], b[start : start + slab]
        (left, x), (right, y) = (quantized(part) if row.compute == "int8" else sliced(row, part, flush) for part in parts)
        factor = Fraction(x) * Fraction(y) if row.compute == "int8" else Fraction(2) ** (-x - y)
        for first in range(0, len(parts[0]), row.block or slab):
            for i, j in row.taken:
                block = slice(first, first + (row.block or slab))
                part = 0.0
                for one, other in zip(left[i][block], right[j][block], strict=True):
                    part = inside(Fraction(part) + Fraction(inside(Fraction(one) * Fraction(other))))
                rounded = part if row.inner == "int32" else to_type(float(part), row.block_output[device])
                total = outside(Fraction(total) + Fraction(rounded) * factor)
    return to_type(total, output)


def blocked(row, block):
    """The same row with blocks that a small test reaches."""
    return replace(row, block=block) if row.block else row


def depth_of(row, k, slab):
    """Slabs that a plan may have: rows with blocks count on some depth."""
    return k if row.block else slab


def size_of(row, a, b):
    """What the bound is relative to: |a| |b|, or the norms where steps are those of a whole line."""
    if row.compute == "int8":
        return Fraction(hypot(*a) * hypot(*b) * (1 + 1e-12))
    return sum(abs(Fraction(x) * Fraction(y)) for x, y in zip(a, b, strict=True))


def hostile(low, high):
    """Zero, and numbers that are wide apart, nearly opposite, or halfway between two of a narrower type."""
    ties = st.sampled_from([1.0, 1 + 2.0**-9, 1 + 2.0**-8, 1 + 2.0**-12, 1 + 2.0**-24, 1 - 2.0**-25])
    parts = st.sampled_from([1, -1]), st.integers(low, high), st.floats(0.5, 2) | ties
    return st.builds(lambda sign, power, x: sign * 2.0**power * x, *parts) | st.just(0.0)


ROWS = [(row, device) for row in ARITHMETICS.values() for device in row.devices]
IDS = [f"{row.name}-{device}" for row, device in ROWS]


@pytest.mark.parametrize(("row", "device"), ROWS, ids=IDS)
@settings(deadline=None, max_examples=60)
@given(data=st.data(), k=st.integers(1, 12), slab=st.integers(1, 12), block=st.integers(1, 12), output=st.sampled_from(sorted(NUMPY)))
def test_every_element_is_within_its_bound(row, device, data, k, slab, block, output):
    row = blocked(row, block)
    stored = data.draw(st.tuples(*[st.sampled_from(["float16", "float32", "float64"])] * 2))
    numbers = hostile(-3, 3)
    a = [to_type(data.draw(numbers), stored[0]) for _ in range(k)]
    b = [to_type(data.draw(numbers), stored[1]) for _ in range(k)]
    exact = sum(Fraction(x) * Fraction(y) for x, y in zip(a, b, strict=True))
    error = abs(Fraction(emulated(row, device, a, b, depth_of(row, k, slab), output)) - exact)
    eps = row.bound(k, stored, output, device)
    assert error <= Fraction(eps) * size_of(row, a, b) + Fraction(HALF_SUBNORMAL[output])


@pytest.mark.parametrize(("row", "device"), ROWS, ids=IDS)
@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 2**32), slab=st.integers(SHALLOWEST, 3 * SHALLOWEST), block=st.integers(1, 2 * SHALLOWEST))
def test_many_slabs_and_blocks_are_within_the_bound(row, device, seed, slab, block):
    """Numbers of one sign, rounded in one direction: sums grow, and so do their errors."""
    row, k, rng = blocked(row, block), 3 * SHALLOWEST, np.random.default_rng(seed)
    a, b = ([to_type(value, "float32") for value in rng.uniform(1, 1 + 2.0**-7, k)] for _ in range(2))
    error = abs(Fraction(emulated(row, device, a, b, slab, "float64")) - sum(Fraction(x) * Fraction(y) for x, y in zip(a, b, strict=True)))
    assert error <= Fraction(row.bound(k, ("float32", "float32"), "float64", device)) * size_of(row, a, b)


@pytest.mark.parametrize(("row", "device"), ROWS, ids=IDS)
@settings(deadline=None, max_examples=40)
@given(data=st.data(), k=st.integers(1, 8), slab=st.integers(1, 8))
def test_what_underflows_is_within_its_own_term_even_where_it_is_flushed(row, device, data, k, slab):
    exponent = {"float64": -1022}.get(row.compute, -126)
    low = hostile(exponent // 2 - 3, exponent // 2 + 3) if data.draw(st.booleans()) else hostile(max(exponent - 2, -1021), exponent + 3)
    a = [data.draw(low) for _ in range(k)]
    b = [data.draw(hostile(exponent // 2 - 3, exponent // 2 + 3)) for _ in range(k)]
    exact = sum(Fraction(x) * Fraction(y) for x, y in zip(a, b, strict=True))
    norms = tuple(sqrt(sum(v * v * 2.0**1000 for v in vector)) * 2.0**-500 * (1 + 1e-12) for vector in (a, b))
    error = abs(Fraction(emulated(row, device, a, b, depth_of(row, k, slab), "float64", flush=True)) - exact)
    eps = row.bound(k, ("float64", "float64"), "float64", device)
    assert error <= Fraction(eps) * size_of(row, a, b) + Fraction(row.underflow((1, k, 1), norms, "float64"))


@pytest.mark.parametrize("row", [ARITHMETICS["float32"], ARITHMETICS["float64"]], ids=lambda row: row.name)
def test_the_term_of_underflow_is_reached_to_a_small_factor(row):
    """Products just too small are all lost; sums that cancel to just too little are lost every other time."""
    k, tiny = 8, SMALLEST_NORMAL[row.accumulate]
    a, b = [sqrt(tiny)] * k, [sqrt(tiny) * (1 - 2.0**-7)] * k
    term = row.underflow((1, k, 1), (sqrt(k * tiny), sqrt(k * tiny)), "float64")
    assert emulated(row, "cpu", a, b, k, "float64", flush=True) == 0.0
    assert term / 3 <= k * tiny * (1 - 2.0**-7) <= term
    cancelling = [sqrt(tiny) * x for x in (1.75, -1, 1.75, -1, 1.75, -1, 1.75, -1)]
    lost = abs(emulated(row, "cpu", cancelling, a, k, "float64", flush=True) - 3 * tiny)
    assert 2.9 * tiny <= lost <= term


@pytest.mark.parametrize("row", ARITHMETICS.values(), ids=lambda row: row.name)
@settings(deadline=None, max_examples=60)
@given(alpha=hostile(-20, 20).filter(bool), beta=hostile(-20, 20), data=st.data(), k=st.integers(1, 6))
def test_alpha_beta_and_c0_are_counted(row, alpha, beta, data, k):
    """Scaled, C0 converted and scaled, added: each rounded, and so are alpha and beta themselves."""
    numbers = hostile(-3, 3)
    a, b = ([to_type(data.draw(numbers), "float32") for _ in range(k)] for _ in range(2))
    c0 = data.draw(numbers)

    def keep(value):
        return to_type(float(value), row.accumulate)

    device = row.devices[0]
    product = keep(Fraction(emulated(row, device, a, b, k, row.accumulate)) * Fraction(keep(alpha)))
    added = keep(Fraction(keep(beta)) * Fraction(keep(c0)))
    found = keep(Fraction(product) + Fraction(added))
    exact = Fraction(alpha) * sum(Fraction(x) * Fraction(y) for x, y in zip(a, b, strict=True)) + Fraction(beta) * Fraction(c0)
    magnitude = abs(Fraction(alpha)) * size_of(row, a, b)
    eps = row.bound(k, ("float32", "float32"), row.accumulate, device, epilogue=True)
    assert abs(Fraction(found) - exact) <= Fraction(eps) * (magnitude + abs(Fraction(beta) * Fraction(c0)))


def test_a_small_alpha_does_not_shrink_what_the_stored_type_loses():
    row = ARITHMETICS["float32"]
    stored = row.underflow((1, 1, 1), (1.0, 1.0), "float16", (1e-9, 0.0))
    assert stored >= HALF_SUBNORMAL["float16"]
    assert abs(float(np.float16(1e-9 * 20)) - 1e-9 * 20) <= stored


def test_the_bound_is_of_the_size_that_the_theory_says():
    k = 4096
    assert ARITHMETICS["float64"].bound(k, ("float64",) * 2, "float64") == pytest.approx(k * 2.0**-53, rel=1e-9)
    assert ARITHMETICS["float32"].bound(k, ("float32",) * 2, "float32") == pytest.approx(k * 2.0**-24, rel=1e-3)
    assert ARITHMETICS["float32"].bound(k, ("float32",) * 2, "float16") == pytest.approx(k * 2.0**-24 + 2.0**-11, rel=1e-3)
    on_cpu, on_cuda = (ARITHMETICS["bfloat16"].bound(k, ("float32",) * 2, "float32", device) for device in ("cpu", "cuda"))
    assert on_cpu == pytest.approx(3 * 2.0**-8 + k * 2.0**-24, rel=0.02)
    assert on_cuda == pytest.approx(2 * 2.0**-8 + 2 * k * 2.0**-24, rel=0.02)
    sliced_in_two, six, nine = (ARITHMETICS[f"bfloat16x{products}"].bound(k, ("float32",) * 2, "float32", "cuda") for products in (3, 6, 9))
    deep = 2 * 2048 * 2.0**-24
    assert sliced_in_two == pytest.approx(3 * 2.0**-16 + deep, rel=0.03)
    assert six == pytest.approx(2 * 2.0**-24 + deep, rel=0.03)
    assert nine == pytest.approx(deep, rel=0.03)
    assert ARITHMETICS["tf32"].bound(k, ("float32",) * 2, "float32", "cuda") == pytest.approx(2 * 2.0**-10 + 2 * k * 2.0**-24, rel=0.02)
    assert ARITHMETICS["float32-wide"].bound(2**20, ("float32",) * 2, "float64") == pytest.approx(1024 * 2.0**-24, rel=1e-3)


@given(st.sampled_from(list(ARITHMETICS.values())), st.integers(1, 10**9), st.integers(1, 10**9))
def test_the_bound_grows_with_k_and_ends_in_infinity(row, k, more):
    shallow, deep = (row.bound(depth, ("float32",) * 2, "float32", row.devices[0]) for depth in (k, k + more))
    assert 0 < shallow <= deep
    assert isfinite(shallow) or 2 * len(row.taken) * k * UNIT_ROUNDOFF[row.accumulate] >= 1
    assert row.bound(2**70, ("float32",) * 2, "float32", row.devices[0]) == inf


@pytest.mark.parametrize("name", INTEGERS)
def test_rounding_of_integers_is_zero_exactly_where_every_value_survives(name):
    largest = largest_magnitude(name)
    assert largest == max(abs(int(np.iinfo(name).min)), int(np.iinfo(name).max))
    info = np.iinfo(name)
    probes = {int(info.min), int(info.min) + 1, int(info.max), int(info.max) - 1, 255, 257, 2**24 + 1, 2**53 + 1}
    for target in UNIT_ROUNDOFF:
        values = [value for value in probes if info.min <= value <= info.max]
        if target == "float16":
            values = [value for value in values if abs(value) <= 65504]
        relative = max(abs(Fraction(as_float(value, target)) - value) / max(1, abs(value)) for value in values)
        assert relative <= Fraction(rounding(name, target))
        assert rounding(name, target) > 0 or relative == 0


def as_float(value: int, target: str) -> float:
    """An integer as torch converts it: bfloat16 and float16 by way of float32, so rounded twice."""
    return to_type(float(np.float32(value)), target) if target in ("bfloat16", "float16", "tf32") else float(NUMPY[target](value))


@pytest.mark.parametrize("row", ARITHMETICS.values(), ids=lambda row: row.name)
@given(types=st.tuples(*[st.sampled_from(INTEGERS)] * 2), k=st.integers(1, 2**26))
def test_integers_are_exact_only_where_no_sum_can_leave_the_exact_integers(row, types, k):
    largest = largest_magnitude(types[0]) * largest_magnitude(types[1])
    worst, of_a_block = k * largest, min(k, row.block or k) * largest
    holder = {"float32": np.float32, "float64": np.float64, "int32": int}
    if row.exact_for(k, types, row.devices[0]):
        for sums, name in ((worst, row.accumulate), (of_a_block, row.inner)):
            assert int(holder[name](sums)) == sums
            assert int(holder[name](sums - 1)) == sums - 1
        assert row.inner != "int32" or of_a_block < 2**31
        assert all(rounding(name, row.compute) == 0 for name in types)
        assert worst < 2**63
    elif row.name == "float64" and all(rounding(name, "float64") == 0 for name in types):
        assert int(np.float64(2 * worst - 1)) != 2 * worst - 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-128, 127), st.integers(0, 255)), min_size=1, max_size=40), st.integers(1, 40))
def test_an_exact_row_gives_what_python_integers_give(pairs, slab):
    a, b = zip(*pairs, strict=True)
    for row in ARITHMETICS.values():
        if row.exact_for(len(a), ("int8", "uint8"), row.devices[0]):
            assert emulated(row, row.devices[0], a, b, slab, "float64") == sum(x * y for x, y in pairs)


@pytest.mark.parametrize(("types", "k"), [(("int8", "int8"), 2**10), (("uint8", "uint8"), 258), (("int8", "int16"), 4)])
def test_float32_is_exact_up_to_a_known_depth(types, k):
    row = ARITHMETICS["float32"]
    assert row.exact_for(k, types)
    assert not row.exact_for(k + 1, types)
    assert not row.exact_for(1, ("float32", types[1]))


@pytest.mark.parametrize("k", [1, 1000, 131_072, 10**9])
def test_int8_is_exact_at_every_depth_by_int8_and_by_float32_in_blocks(k):
    assert [name for name, row in ARITHMETICS.items() if row.exact_for(k, ("int8", "int8"), row.devices[0]) and k > 1024] in (
        [],
        ["int8", "float32-wide", "float64"],
    )
    assert ARITHMETICS["int8"].exact_for(k, ("int8", "int8"))
    assert not ARITHMETICS["int8"].exact_for(k, ("int8", "uint8"))
    assert not ARITHMETICS["float32-wide"].exact_for(k, ("int8", "uint8")) or k <= 1000
