"""Rounding to steps: never by more than half of one, always to numbers of the stored type, and nothing that has no place there."""

from math import inf, nan, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import snapping
from tasks.snapping import EXTREME_STEP, snap, step_limits

TYPES = ("float16", "float32", "float64")
ACCUMULATORS = {"float16": np.float32, "float32": np.float32, "float64": np.float64}


def values_of(stored: str, **limits):
    bits = {"float16": 16, "float32": 32, "float64": 64}[stored]
    return st.floats(width=bits, **limits)


def snapped(values, limits, stored):
    """What numbers of the type `stored` become, one row a limit; with what was measured."""
    rows = np.array(values, dtype=stored).astype(ACCUMULATORS[stored])
    tensor = torch.from_numpy(rows.copy())
    done = snap(tensor, torch.tensor(limits, dtype=torch.float64), stored)
    return rows.astype(np.float64), tensor.numpy(), done


def step_below(limit: float, stored: str) -> float:
    extreme = EXTREME_STEP[torch.from_numpy(np.zeros(1, ACCUMULATORS[stored])).dtype]
    return 2.0 ** min(extreme, np.floor(np.log2(limit)))


@st.composite
def cases(draw, **limits):
    stored = draw(st.sampled_from(TYPES))
    row = draw(st.lists(values_of(stored, **limits), min_size=1, max_size=12))
    return stored, row, draw(st.floats(1e-45, 1e38, exclude_min=True))


@settings(deadline=None, max_examples=150)
@given(cases(allow_nan=False, allow_infinity=False))
def test_no_value_moves_by_more_than_half_a_step_or_leaves_its_type(case):
    stored, row, limit = case
    before, after, done = snapped([row], [limit], stored)
    step = step_below(limit, stored)
    moved = np.abs(after.astype(np.float64) - before)
    assert (moved <= step / 2).all()
    assert np.isfinite(after).all()
    np.testing.assert_array_equal(after, after.astype(stored).astype(after.dtype))
    np.testing.assert_array_equal(np.signbit(after), np.signbit(before))
    with np.errstate(over="ignore", under="ignore"):
        quotient = after.astype(np.float64) / step
        multiple = quotient == np.rint(quotient)
    largest = float(np.finfo(stored).max)
    assert (multiple | (after == before) & ((np.abs(before) + step / 2 > largest) | (done.exponent is None))).all()
    assert float(done.row_errors[0]) == pytest.approx(np.linalg.norm(moved), rel=1e-6, abs=1e-37 * step)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_rounding_twice_is_rounding_once(case):
    stored, row, limit = case
    _, once, _ = snapped([row], [limit], stored)
    tensor = torch.from_numpy(once.copy())
    again = snap(tensor, torch.tensor([limit], dtype=torch.float64), stored)
    assert tensor.numpy().tobytes() == once.tobytes()
    assert again.error == 0


@settings(deadline=None, max_examples=60)
@given(cases(allow_nan=False))
def test_rounding_keeps_the_order(case):
    stored, row, limit = case
    _, after, _ = snapped([sorted(row)], [limit], stored)
    assert (np.diff(after[0][np.isfinite(after[0])]) >= 0).all()


@settings(deadline=None, max_examples=60)
@given(cases(allow_nan=False))
def test_rounding_is_odd(case):
    stored, row, limit = case
    _, after, _ = snapped([row], [limit], stored)
    _, mirrored, _ = snapped([[-x for x in row]], [limit], stored)
    assert (-after).tobytes() == mirrored.tobytes()


@pytest.mark.parametrize("stored", TYPES)
@pytest.mark.parametrize("limit", [1e-30, 1.0, 1e30])
def test_special_values_stay_bit_for_bit(stored, limit):
    kind = ACCUMULATORS[stored]
    bits = {np.float32: (np.uint32, 0x7FC12345), np.float64: (np.uint64, 0x7FF8000012345678)}[kind]
    payload = np.array([bits[1]], bits[0]).view(kind)
    special = np.array([[0.0, -0.0, inf, -inf, nan, np.finfo(stored).max, -np.finfo(stored).max, 0.75]], kind)
    special = np.concatenate([special, payload[None]], axis=1)
    tensor = torch.from_numpy(special.copy())
    done = snap(tensor, torch.tensor([limit], dtype=torch.float64), stored)
    after = tensor.numpy()
    kept = [0, 1, 2, 3, 4, 8] + ([5, 6] if limit < 1e30 or stored != "float16" else [])
    assert after[:, kept].tobytes() == special[:, kept].tobytes()
    assert np.isfinite(after[0, 5:8]).all()
    assert np.isfinite(done.error)


@pytest.mark.parametrize("stored", TYPES)
def test_the_largest_number_never_becomes_infinite(stored):
    largest = float(np.finfo(stored).max)
    before, after, done = snapped([[largest, -largest, largest / 3]], [largest / 3], stored)
    assert after[0, :2].tolist() == before[0, :2].tolist()
    step = step_below(largest / 3, stored)
    assert after[0, 2] == step * np.rint(before[0, 2] / step)
    assert done.error <= sqrt(3) * largest / 6


def test_a_type_that_is_wider_than_the_accumulator_has_the_range_of_that():
    largest = float(np.finfo(np.float32).max)
    values = torch.tensor([[largest, largest / 3, 0.3]])
    done = snap(values, torch.tensor([largest / 3], dtype=torch.float64), "float64")
    step = step_below(largest / 3, "float32")
    assert values.tolist() == [[largest, step * np.rint(largest / 3 / step), 0.0]]
    assert np.isfinite(done.error)


@pytest.mark.parametrize("stored", TYPES)
def test_the_smallest_numbers_are_rounded_too(stored):
    tiny = float(np.finfo(stored).smallest_subnormal)
    _, after, _ = snapped([[tiny, 3 * tiny, 8 * tiny]], [8 * tiny], stored)
    if stored == "float16":  # the only type whose smallest numbers are steps that other types can work with
        assert after.tolist() == [[0.0, 0.0, 8 * tiny]]
    else:
        assert after.tolist() == [[tiny, 3 * tiny, 8 * tiny]]


@pytest.mark.parametrize("limit", [0.0, nan, 1e-320])
def test_rows_without_a_step_stay(limit):
    before, after, done = snapped([[0.3, 0.7], [0.3, 0.7]], [limit, 0.5], "float64")
    assert after.tolist() == [before[0].tolist(), [0.5, 0.5]]
    assert done.row_errors[0] == 0
    assert done.exponent == -1
    _, after, done = snapped([[0.3, 0.7]], [limit], "float64")
    assert (after.tolist(), done.exponent, done.error) == ([[0.3, 0.7]], None, 0.0)


@pytest.mark.parametrize("block", [1, 3, 64, 1000])
def test_rows_are_rounded_on_their_own_and_blocks_leave_no_seam(monkeypatch, block):
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((7, 23)).astype("float32")
    rows[2, 5], rows[4, 0] = nan, 3e38
    limits = 10.0 ** rng.uniform(-6, 1, 7)
    monkeypatch.setattr(snapping, "BLOCK", block)
    before, after, done = snapped(rows, limits, "float32")
    for row in range(7):
        alone = snapped(rows[row : row + 1], limits[row : row + 1], "float32")
        assert alone[1].tobytes() == after[row].tobytes()
        assert float(alone[2].row_errors[0]) == pytest.approx(float(done.row_errors[row]), rel=1e-12)
    assert done.error == pytest.approx(np.sqrt(np.nansum((after - before) ** 2)), rel=1e-12)
    assert done.exponent == int(np.floor(np.log2(limits.max())))


def test_a_step_is_within_the_room_and_a_fraction_of_the_row():
    room, squares = torch.tensor([1e-3, 1e6, nan, inf, 1.0, 0.0]).double(), torch.tensor([64.0, 64.0, 64.0, 64.0, inf, 64.0]).double()
    limits = step_limits(room, squares, 16)
    assert limits.tolist() == pytest.approx([1e-3 * 2 / 4, 2 / 8, 0, 0, 0, 0])


def test_a_view_of_a_larger_matrix_is_rounded_in_place():
    whole = torch.full((6, 8), 0.3)
    snap(whole[1:3, 2:5], torch.tensor([1.0, 1.0], dtype=torch.float64), "float32")
    assert whole[1:3, 2:5].eq(0).all()
    assert whole.eq(0).sum() == 6
