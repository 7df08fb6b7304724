"""A kernel that is wrong for some integers is not trusted, whichever they are: it is emulated, so that no such processor is needed."""

import time

import pytest
import torch

from tasks.kernels import KERNELS, Adds, Multiplies
from tasks.selftest import is_right

INT8 = ("int8", "cpu", "torch")

LARGEST = 2**15 - 1


def in_pairs(left, right):
    """Sums over k of adjacent pairs of products, each pair saturating in 16 bits as vpmaddubsw does."""
    depth = left.shape[1] + left.shape[1] % 2
    left = torch.nn.functional.pad(left, (0, depth - left.shape[1])).double()
    right = torch.nn.functional.pad(right, (0, 0, 0, depth - right.shape[0])).double()
    pairs = left[:, 0::2].T[:, :, None] * right[0::2][:, None, :] + left[:, 1::2].T[:, :, None] * right[1::2][:, None, :]
    return pairs.clamp_(-LARGEST - 1, LARGEST).sum(dim=0)


def shifted(a, b, out=None):
    """A without VNNI: unsigned a + 128, and what that adds taken off."""
    return (in_pairs(a.int() + 128, b.int()) - 128 * b.double().sum(dim=0)).to(torch.int32)


def signed(a, b, out=None):
    """Both as they are: of all pairs only (-128)(-128) + (-128)(-128) is too large, by 1."""
    return in_pairs(a.int(), b.int()).to(torch.int32)


def narrow_sums(a, b, out=None):
    """Accumulates in 16 bits that wrap, 200 products at a time."""
    parts = [a[:, start : start + 200].double() @ b[start : start + 200].double() for start in range(0, a.shape[1], 200)]
    return sum(((part + 2**21) % 2**22 - 2**21).to(torch.int32) for part in parts)


def honest(a, b, out=None):
    return (a.double() @ b.double()).to(torch.int32)


def where(wrong):
    """A kernel that saturates for some shapes alone, as libraries have code of their own for these."""
    return lambda a, b, out=None: (shifted if wrong(*a.shape, b.shape[1]) else honest)(a, b)


def by_columns(a, b, out=None):
    """Wrong where B is stored by columns."""
    return (shifted if b.stride(0) == 1 and b.shape[1] > 1 else honest)(a, b)


WRONG = {
    "shifted": shifted,
    "signed": signed,
    "narrow sums": narrow_sums,
    "one row": where(lambda m, k, n: m == 1),
    "one column": where(lambda m, k, n: n == 1),
    "odd depths": where(lambda m, k, n: k % 2 == 1),
    "even depths": where(lambda m, k, n: k % 2 == 0),
    "deep": where(lambda m, k, n: k > 1024),
    "whole registers": where(lambda m, k, n: m % 64 == k % 64 == n % 64 == 0),
    "by columns": by_columns,
}


@pytest.mark.parametrize("name", WRONG)
def test_an_int8_kernel_that_saturates_anywhere_fails_its_self_test(name, monkeypatch):
    monkeypatch.setitem(KERNELS, INT8, Multiplies(WRONG[name]))
    assert not is_right(INT8)


def test_the_emulation_is_right_where_nothing_saturates():
    """So it is the extremes that it fails for; small values, which were all that was tested, it passes."""
    generator = torch.Generator().manual_seed(3)
    small = [torch.randint(-1, 2, shape, generator=generator, dtype=torch.int8) for shape in ((9, 131), (131, 8))]
    for kernel in (shifted, signed, narrow_sums):
        assert torch.equal(kernel(*small), honest(*small))


def test_an_exact_kernel_passes(monkeypatch):
    monkeypatch.setitem(KERNELS, INT8, Multiplies(honest))
    assert is_right(INT8)


def test_a_kernel_that_cannot_run_is_not_right(monkeypatch):
    def impossible(accumulator, a, b, beta):
        raise RuntimeError("no such instruction")

    monkeypatch.setitem(KERNELS, ("float64", "cpu", "torch"), Adds(impossible))
    assert not is_right(("float64", "cpu", "torch"))


@pytest.mark.parametrize("key", [key for key in KERNELS if key[1] == "cpu"], ids="-".join)
def test_it_is_quick(key):
    """Workers ask it of themselves when a run begins: 30 ms at most were measured, once the library is there."""
    seconds, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)  # others of this machine hold up threads that wait for each other
    try:
        for _ in range(4):
            begun = time.perf_counter()
            assert is_right(key)
            seconds.append(time.perf_counter() - begun)
    finally:
        torch.set_num_threads(threads)
    assert min(seconds) < 0.3
