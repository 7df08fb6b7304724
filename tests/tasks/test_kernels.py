"""One contract for every row of KERNELS."""

import numpy as np
import pytest
import torch

from tasks.arithmetic import ARITHMETICS
from tasks.devices import torch_dtype
from tasks.kernels import KERNELS, is_right, libraries

ROWS = [pytest.param(*key, marks=[pytest.mark.gpu] if key[1] == "cuda" else []) for key in KERNELS]


def operands(name: str, device: str, shape=(1500, 70, 90)):
    generator = torch.Generator().manual_seed(1)
    row = ARITHMETICS[name]
    a = torch.randn(shape[0], shape[1], generator=generator, dtype=torch.float64).to(torch_dtype(row.compute)).to(device)
    b = torch.randn(shape[1], shape[2], generator=generator, dtype=torch.float64).to(torch_dtype(row.compute)).to(device)
    c = torch.randn(shape[0], shape[2], generator=generator, dtype=torch.float64).to(torch_dtype(row.accumulate)).to(device)
    return a, b, c


def test_every_arithmetic_has_a_kernel_on_each_of_its_devices():
    assert {key[:2] for key in KERNELS} == {(row.name, device) for row in ARITHMETICS.values() for device in row.devices}


@pytest.mark.parametrize(("name", "device", "library"), ROWS)
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_it_adds_the_product_in_place_within_its_bound(name, device, library, turned):
    a, b, c = operands(name, device)
    before = c.double().clone()
    views = [x.T.contiguous().T if flip else x for x, flip in zip((a, b), turned, strict=True)]
    KERNELS[name, device, library](c, *views, 1.0)
    exact = a.double() @ b.double()
    error = (c.double() - before - exact).norm()
    row = ARITHMETICS[name]
    slack = 70 * torch.finfo(c.dtype).eps * before.norm()  # the sum with what was there
    assert error <= row.bound(70, (row.compute,) * 2, row.accumulate, device) * a.double().norm() * b.double().norm() + slack
    assert error > 0


@pytest.mark.parametrize(("name", "device", "library"), ROWS)
def test_the_first_slab_is_written_over_whatever_was_there(name, device, library):
    a, b, c = operands(name, device)
    zero = torch.zeros_like(c)
    KERNELS[name, device, library](c.fill_(torch.nan), a, b, 0.0)
    KERNELS[name, device, library](zero, a, b, 1.0)
    assert torch.equal(c, zero)


@pytest.mark.parametrize(("name", "device", "library"), ROWS)
def test_small_integers_are_exact(name, device, library):
    row = ARITHMETICS[name]
    a = torch.randint(-2, 3, (40, 16)).to(torch_dtype(row.compute)).to(device)
    b = torch.randint(-2, 3, (16, 30)).to(torch_dtype(row.compute)).to(device)
    c = torch.zeros(40, 30, dtype=torch_dtype(row.accumulate), device=device)
    KERNELS[name, device, library](c, a, b, 1.0)
    assert torch.equal(c.cpu().double(), a.cpu().double() @ b.cpu().double())


@pytest.mark.parametrize(("name", "device", "library"), ROWS)
def test_the_same_operands_give_the_same_bits_and_nothing_else_changes(name, device, library):
    a, b, c = operands(name, device)
    copies = a.clone(), b.clone()
    settings = (torch.backends.cuda.matmul.fp32_precision, torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction)
    once, again = c.clone(), c.clone()
    KERNELS[name, device, library](once, a, b, 1.0)
    KERNELS[name, device, library](again, a, b, 1.0)
    assert torch.equal(once, again)
    assert torch.equal(a, copies[0])
    assert torch.equal(b, copies[1])
    assert settings == (torch.backends.cuda.matmul.fp32_precision, torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction)


def test_no_temporary_of_the_accumulators_size():
    """Resident memory grows by far less than one accumulator (64 MiB) while the kernel runs."""
    import subprocess
    import sys

    program = """
import resource, torch
from tasks.kernels import KERNELS
torch.set_num_threads(1)
rows = (("float32", "torch", torch.float32), ("float32", "scipy", torch.float32), ("bfloat16", "torch", torch.bfloat16))
for name, library, dtype in rows:
    a, b, c = torch.ones(4096, 64, dtype=dtype), torch.ones(64, 4096, dtype=dtype), torch.zeros(4096, 4096)
    KERNELS[name, "cpu", library](c[:128, :128], a[:128], b[:, :128], 1.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    KERNELS[name, "cpu", library](c, a, b, 1.0)
    print(f"{name}-{library}", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    growth = dict(line.split() for line in done.stdout.splitlines())
    assert len(growth) == 3
    assert max(map(int, growth.values())) < 32, growth


@pytest.mark.parametrize("library", libraries("float32", "cpu"))
def test_float32_on_cpu_is_what_numpy_says(library):
    a, b, c = operands("float32", "cpu")
    c.zero_()
    KERNELS["float32", "cpu", library](c, a, b, 1.0)
    np.testing.assert_allclose(c.numpy(), a.numpy() @ b.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "device", "library"), ROWS)
def test_every_kernel_passes_its_self_test(name, device, library):
    assert is_right(name, device, library)


def test_a_kernel_that_forgets_a_column_fails_its_self_test(monkeypatch):
    def forgetful(accumulator, a, b, beta):
        accumulator[:, :-1].addmm_(a, b[:, :-1], beta=beta)

    monkeypatch.setitem(KERNELS, ("float32", "cpu", "torch"), forgetful)
    assert not is_right("float32", "cpu", "torch")
