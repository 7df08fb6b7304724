"""Slabs become slices: what is left is as little as the row says, whatever the data."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.arithmetic import QUANTIZED
from tasks.devices import torch_dtype
from tasks.ladder import ARITHMETICS
from tasks.number_types import SMALLEST_NORMAL, UNIT_ROUNDOFF
from tasks.operands import prepare
from tasks.scaling import RANGES

SLICED = [row for row in ARITHMETICS.values() if row.compute in RANGES]
SOURCES = {"float32": (-149, 127), "float64": (-900, 900), "float16": (-24, 15)}


def values_of(source: str, exponents: list[int], seed: int) -> torch.Tensor:
    """One line for each exponent: numbers of that size, zeros, and some much smaller ones."""
    rng = np.random.default_rng(seed)
    numbers = rng.uniform(0.5, 1, (len(exponents), 9)) * rng.choice([-1, 1], (len(exponents), 9))
    numbers *= 2.0 ** -rng.integers(0, 30, numbers.shape) * (rng.random(numbers.shape) < 0.9)
    with np.errstate(over="ignore", under="ignore"):
        return torch.from_numpy(np.ldexp(numbers, np.array(exponents)[:, None]).astype(source))


def prepared(row, values, side, by_columns):
    view = values if side == 0 else values.T
    view = view.T.contiguous().T if by_columns else view.contiguous()
    buffers = tuple(torch.empty(values.numel(), dtype=torch_dtype(row.stored_as)) for _ in range(row.slices))
    made = prepare(row, view, side, buffers)
    assert all(part.stride() == view.stride() for part in made.slices)
    lines = [part.double() if side == 0 else part.double().T for part in made.slices]
    factor = made.factors[:, None] if made.factors is not None else 2.0**made.exponent
    return lines, factor


@pytest.mark.parametrize("row", SLICED, ids=lambda row: row.name)
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("by_columns", [False, True])
@settings(deadline=None, max_examples=40)
@given(data=st.data(), source=st.sampled_from(sorted(SOURCES)), seed=st.integers(0, 2**31))
def test_slices_make_up_the_values(row, side, by_columns, data, source, seed):
    low, high = SOURCES[source]
    middle = data.draw(st.integers(low, high))
    exponents = data.draw(
        st.lists(st.integers(low, high) | st.integers(max(low, middle - 5), min(high, middle + 5)), min_size=1, max_size=4)
    )
    values = values_of(source, exponents, seed)
    slices, factor = prepared(row, values, side, by_columns)
    assert all(torch.isfinite(part).all() for part in slices)
    rest = (values.double() - sum(slices) * factor).abs()
    unit = UNIT_ROUNDOFF[row.compute] ** row.slices if row.converts(source) else 0.0
    whole = source != "float64" and row.slices == 3
    largest = values.double().abs().amax(1, keepdim=True)
    lost = row.slices * SMALLEST_NORMAL[row.compute] * 2.0 ** (1 - RANGES[row.compute].least) * largest if row.scales(source) else 0.0
    assert (rest <= (0.0 if whole else unit) * values.double().abs() + lost).all()


@pytest.mark.parametrize("row", SLICED, ids=lambda row: row.name)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("source", ["float32", "float64"])
def test_nan_and_infinity_stay_what_they_are(row, bad, source):
    values = values_of(source, [3, -100, 60], 0)
    values[1, 4] = bad
    slices, factor = prepared(row, values, 0, False)
    assert not torch.isfinite(slices[0][1, 4])
    again = (slices[0] * factor)[[0, 2]]
    torch.testing.assert_close(again, values.double()[[0, 2]], rtol=0.01, atol=0.0)


@settings(deadline=None)
@given(exponents=st.lists(st.integers(-100, 100), min_size=1, max_size=4), seed=st.integers(0, 2**31), side=st.integers(0, 1))
def test_int8_steps_are_a_share_of_the_largest_value_of_the_line(exponents, seed, side):
    values = values_of("float32", exponents, seed)
    [steps], factor = prepared(ARITHMETICS["int8"], values, side, False)
    assert steps.abs().max() <= 127
    assert ((steps * factor - values.double()).abs() <= QUANTIZED * values.double().abs().amax(1, keepdim=True)).all()


def test_int8_says_nan_where_there_is_no_step():
    values = torch.ones(3, 4)
    values[1, 2] = torch.inf
    _, factor = prepared(ARITHMETICS["int8"], values, 0, False)
    assert factor.isnan().squeeze(1).tolist() == [False, True, False]


@pytest.mark.parametrize("source", ["int8", "uint8", "int16", "int32", "int64", "uint64"])
def test_integers_are_converted_and_never_overflow(source):
    info = np.iinfo(source)
    values = torch.from_numpy(np.array([[info.min, info.max, 1, 0]], source))
    for row in SLICED:
        slices, factor = prepared(row, values, 0, False)
        assert torch.isfinite(sum(slices)).all()
        lost = SMALLEST_NORMAL[row.compute] * 2.0 ** (1 - RANGES[row.compute].least) * info.max if row.scales(source) else 0.0
        error = (sum(slices) * factor - values.double()).abs()
        assert (error <= UNIT_ROUNDOFF[row.compute] ** row.slices * values.double().abs() + lost).all()


def test_what_needs_no_conversion_is_not_copied():
    values = torch.ones(4, 5)
    assert prepare(ARITHMETICS["float32"], values, 0, ()).slices[0] is values


@pytest.mark.parametrize("row", SLICED, ids=lambda row: row.name)
def test_the_largest_numbers_of_float64_have_a_factor_that_float64_holds(row):
    values = torch.tensor([[-1.7e308, 1e308]], dtype=torch.float64)
    space = tuple(torch.empty(2, dtype=torch_dtype(row.stored_as)) for _ in range(row.slices))
    made = prepare(row, values, 0, space)
    assert np.isfinite(2.0**made.exponent)
