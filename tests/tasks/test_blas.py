"""The BLAS of scipy on torch's memory: any shape, any storage that BLAS knows, nothing outside the accumulator touched."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import blas
from tasks.blas import add_product

EDGE = st.integers(1, 40)


def stored(shape: tuple[int, int], turned: bool, gap: int, dtype: torch.dtype) -> torch.Tensor:
    """Small random integers, by rows or by columns, `gap` elements between one line and the next."""
    rows, cols = reversed(shape) if turned else shape
    whole = torch.randint(-3, 4, (rows, cols + gap)).to(dtype)
    return whole[:, :cols].T if turned else whole[:, :cols]


@settings(deadline=None, max_examples=200)
@given(EDGE, EDGE, EDGE, st.tuples(st.booleans(), st.booleans()), st.integers(0, 3), st.sampled_from([torch.float32, torch.float64]))
def test_it_is_the_product_and_touches_nothing_else(m, k, n, turned, gap, dtype):
    a, b = stored((m, k), turned[0], gap, dtype), stored((k, n), turned[1], gap, dtype)
    whole = torch.full((m, n + gap), 7, dtype=dtype)
    add_product(whole[:, :n], a, b, 1.0)
    assert torch.equal(whole[:, :n], 7 + a @ b)
    add_product(whole[:, :n], a, b, 0.0)
    assert torch.equal(whole[:, :n], a @ b)
    assert (whole[:, n:] == 7).all()


@pytest.mark.parametrize(("names", "wide"), [(("Haswell", "Zen"), False), (("SkylakeX",), True), ((None, "Cooperlake"), True), ((), False)])
def test_vectors_of_512_bits_are_told_by_the_kernels_name(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str | None, ...], wide: bool
) -> None:
    monkeypatch.setattr(blas, "threadpool_info", lambda: [{"architecture": name} if name else {} for name in names])
    assert blas.has_wide_vectors.__wrapped__() is wide


def test_storage_that_blas_does_not_know_is_refused():
    wide = torch.ones(4, 8)
    with pytest.raises(ValueError, match="without gaps"):
        add_product(torch.zeros(4, 4), wide[:, ::2], torch.ones(4, 4), 1.0)
    with pytest.raises(ValueError, match="BLAS cannot add"):
        add_product(torch.zeros(4, 4).T, torch.ones(4, 4), torch.ones(4, 4), 1.0)


def test_other_threads_run_while_it_multiplies():
    """Dask's heartbeats come from another thread of the worker: the lock must be free."""
    program = """
import threading, time, torch
from tasks.blas import add_product
a = torch.ones(2000, 2000)
add_product(torch.zeros(2000, 2000), a, a, 1.0)
ticks = []
def tick():
    while not over.wait(0.001):
        ticks.append(time.perf_counter())
over = threading.Event()
thread = threading.Thread(target=tick)
thread.start()
ticks.clear()
add_product(torch.zeros(2000, 2000), a, a, 1.0)
seen = len(ticks)
over.set()
thread.join()
print(seen)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 3
