"""The probes' promises: confidence, false alarms, and what rounding can hide."""

from math import exp, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import blas, probing
from tasks.probes import SIGNS, checking_roundoff, error_floor, inflation, tail_factor


@pytest.mark.parametrize("probes", [1, 2, 8, 20])
def test_inflation_solves_its_equation(probes):
    x = 1 / inflation(probes, 1e-3) ** 2
    assert (x * exp(1 - x)) ** (probes / 2) == pytest.approx(1e-3, rel=1e-9)
    assert 0 < x < 1


SPECTRA = [[1.0], [1.0, 1.0], [1.0, 1e-3, 1e-3], [1.0] * 50]


def estimates(eigenvalues: list[float], probes: int, trials: int = 20_000) -> np.ndarray:
    """What probes say of ||E||_F, as often as there are trials, where E' E has these eigenvalues."""
    normal = np.random.default_rng(0).standard_normal((trials, probes, len(eigenvalues)))
    return np.sqrt((normal**2 @ np.array(eigenvalues)).mean(axis=1))


@pytest.mark.parametrize("eigenvalues", SPECTRA)
def test_the_error_bound_holds_as_often_as_promised(eigenvalues):
    """P(s inflation < ||E||) is at most delta, and not wildly less for the worst case, one eigenvalue."""
    probes, delta = 4, 0.05
    missed = float(np.mean(estimates(eigenvalues, probes) * inflation(probes, delta) < sqrt(sum(eigenvalues))))
    assert missed <= delta
    if len(eigenvalues) == 1:
        assert missed > delta / 20


@pytest.mark.parametrize("eigenvalues", SPECTRA)
def test_the_floor_of_the_error_holds_as_often_as_promised(eigenvalues):
    """P(floor > ||E||) is at most the doubt, and not wildly less for the worst case, one eigenvalue."""
    probes, doubt = 10, 0.05
    share = error_floor(1.0, 1.0, (1, 1, 1), (probes, doubt))
    alarms = float(np.mean(estimates(eigenvalues, probes) * share > sqrt(sum(eigenvalues))))
    assert alarms <= doubt
    if len(eigenvalues) == 1:
        assert alarms > doubt / 20


@pytest.mark.parametrize("probes", [1, 10, 40])
def test_the_floor_solves_its_equation(probes):
    x = error_floor(1.0, 1.0, (1, 1, 1), (probes, 1e-9)) ** -2
    assert (x * exp(1 - x)) ** (probes / 2) == pytest.approx(1e-9, rel=1e-6)
    assert x > 1


def test_nothing_is_known_of_an_error_that_the_check_may_have_made_itself():
    shape = 100, 1000, 300
    assert error_floor(0.5, 0.5 / checking_roundoff(1000, 300, sqrt(300)), shape, (10, 1e-9)) == 0.0


def test_the_tail_factor_bounds_the_largest_of_many():
    rng = np.random.default_rng(1)
    count, delta = 1000, 0.05
    largest = np.abs(rng.standard_normal((2000, count))).max(axis=1)
    alarms = float(np.mean(largest > tail_factor(count, delta)))
    assert 0 < alarms <= delta


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(1, 30), cols=st.integers(1, 50), probes=st.integers(1, 5), turned=st.booleans(), seed=st.integers(0, 9))
def test_apply_is_a_float64_product_with_row_norms(rows, cols, probes, turned, seed):
    generator = torch.Generator().manual_seed(seed)
    block = torch.randn(rows, cols, generator=generator)
    block = block.T.contiguous().T if turned else block
    vectors = probing.draw(seed, 0, cols, probes)
    seen = probing.apply(block, vectors, probing.Wanted(norms=True))
    torch.testing.assert_close(seen.product, block.double() @ vectors, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(seen.row_squares, block.double().square().sum(dim=1), rtol=1e-12, atol=0)


def test_apply_works_through_many_blocks(monkeypatch):
    monkeypatch.setattr(probing, "block_elements", lambda device, threads: 64)
    monkeypatch.setattr(probing, "PIECE_WIDTH", 8)
    block = torch.randn(37, 29)
    vectors = probing.draw(0, 0, 29, 3)
    for view in (block, block.T.contiguous().T):
        seen = probing.apply(view, vectors, probing.Wanted(norms=True))
        torch.testing.assert_close(seen.product, block.double() @ vectors)
        torch.testing.assert_close(seen.row_squares, block.double().square().sum(dim=1))


def test_only_a_zero_block_has_no_norm():
    vectors = torch.ones(4, 1, dtype=torch.float64)
    for tiny, norm in ((0.0, False), (1e-300, True), (5e-324, True)):
        block = torch.zeros(3, 4, dtype=torch.float64)
        block[1, 2] = tiny
        for view in (block, block.T.contiguous().T):
            assert bool(probing.apply(view, vectors, probing.Wanted(norms=True)).row_squares.any()) is norm


def test_nan_shows_in_the_sums_unless_it_is_cleaned():
    block = torch.ones(3, 4)
    block[1, 2] = torch.nan
    vectors = torch.ones(4, 1, dtype=torch.float64)
    assert torch.isnan(probing.apply(block, vectors, probing.Wanted(norms=True)).row_squares).tolist() == [False, True, False]
    cleaned = probing.apply(block, vectors, probing.Wanted(norms=True, clean=True))
    assert cleaned.product[:, 0].tolist() == [4, 3, 4]
    assert cleaned.row_squares.tolist() == pytest.approx([4, 3, 4])


def test_the_last_column_is_of_random_signs():
    drawn = probing.draw(1, 2, 4000, 10)
    assert drawn.shape == (4000, 11)
    assert set(drawn[:, -1].tolist()) == {-1.0, 1.0}
    assert abs(float(drawn[:, -1].mean())) < 0.1
    assert abs(float((drawn[:, -1] * drawn[:, 0]).mean())) < 0.1, "drawn apart from the others"


def test_probes_repeat_and_differ_by_column():
    assert torch.equal(probing.draw(1, 2, 10, 3), probing.draw(1, 2, 10, 3))
    assert not torch.equal(probing.draw(1, 2, 10, 3), probing.draw(1, 3, 10, 3))
    assert not torch.equal(probing.draw(1, 2, 10, 3), probing.draw(2, 2, 10, 3))


def test_checking_roundoff_covers_the_rounding_of_an_exact_product():
    """Integers whose product float64 holds exactly: what is left of R is rounding alone, and within the bound."""
    rng = np.random.default_rng(2)
    for trial in range(20):
        a = torch.from_numpy(rng.integers(-9, 10, (20, 60)).astype(np.float64))
        b = torch.from_numpy(rng.integers(-9, 10, (60, 40)).astype(np.float64))
        g = probing.draw(trial, 0, 40, 4)
        left = probing.apply(a, probing.apply(b, g).product).product - probing.apply(a @ b, g).product
        allowed = checking_roundoff(60, 40, float(torch.linalg.vector_norm(g, dim=0).max())) * a.norm(dim=1) * b.norm()
        assert (left.abs().max(dim=1).values <= allowed).all()


@pytest.mark.parametrize("probes", [1, 11, 12, 13])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int8, torch.uint16, torch.int64])
def test_any_number_of_probes_and_any_type_give_the_same_bits_twice(dtype, turned, probes):
    block = torch.from_numpy(np.random.default_rng(4).integers(0, 100, (70, 90))).to(dtype)
    block = block.T.contiguous().T if turned else block
    vectors = probing.draw(1, 2, 90, probes)
    first, second = (probing.apply(block, vectors, probing.Wanted(norms=True)) for _ in range(2))
    assert first.product.shape == (70, probes + SIGNS)
    torch.testing.assert_close(first.product, block.double() @ vectors, rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(first.row_squares, block.double().square().sum(dim=1), rtol=1e-12, atol=0)
    assert torch.equal(first.product, second.product)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e200])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("turned", [False, True])
def test_what_is_no_number_or_overflows_shows_without_a_warning(turned, threads, value):
    block = torch.ones(40, 50, dtype=torch.float64)
    block[3, 7] = value
    block = block.T.contiguous().T if turned else block
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        seen = probing.apply(block, probing.draw(1, 2, 50, 11), probing.Wanted(norms=True))
    finally:
        torch.set_num_threads(before)
    assert torch.nonzero(~torch.isfinite(seen.row_squares)).tolist() == [[3]]
    assert torch.isfinite(seen.product[3]).all().item() is (value == 1e200)
    assert torch.isfinite(seen.product[torch.arange(40) != 3]).all()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_a_pass_is_the_product_and_the_norms_whatever_the_threads_and_the_library(monkeypatch, threads, wide, turned):
    monkeypatch.setattr(blas, "has_wide_vectors", lambda: wide)
    monkeypatch.setattr(probing, "MULTIPLIED_BLOCK", 5000)  # several blocks of a piece, the last one narrower
    before = torch.get_num_threads()
    block = torch.randn(300, 500).T.contiguous().T if turned else torch.randn(300, 500)
    vectors = probing.draw(1, 2, 500, 8)
    torch.set_num_threads(threads)
    try:
        seen = probing.apply(block, vectors, probing.Wanted(norms=True))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(seen.product, block.double() @ vectors, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(seen.row_squares, block.double().square().sum(dim=1), rtol=1e-12, atol=0)
