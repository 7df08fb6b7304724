"""One contract for every row of KERNELS."""

import subprocess
import sys

import pytest
import torch

from tasks.devices import torch_dtype
from tasks.kernels import KERNELS, Adds, libraries
from tasks.ladder import ARITHMETICS
from tasks.operands import Prepared, prepare
from tasks.product import add_product
from tasks.selftest import is_right, method_for

ROWS = [pytest.param(key, id="-".join(key), marks=[pytest.mark.gpu] if key[1] == "cuda" else []) for key in KERNELS]
DEPTH = 70


def operands(device: str, shape=(1500, DEPTH, 90)):
    generator = torch.Generator().manual_seed(1)
    a, b, c = (torch.randn(size, generator=generator) for size in ((shape[0], shape[1]), (shape[1], shape[2]), (shape[0], shape[2])))
    return a.to(device), b.to(device), c.to(device)


def multiply(key, c, a, b, beta):
    """As a worker does it, from float32 operands."""
    row = ARITHMETICS[key[0]]
    total = c.to(torch_dtype(row.accumulate), copy=True)
    space = [tuple(torch.empty(x.numel(), dtype=torch_dtype(row.stored_as), device=x.device) for _ in range(row.slices)) for x in (a, b)]
    add_product(method_for(key, b.shape[1]), total, prepare(row, a, 0, space[0]), prepare(row, b, 1, space[1]), beta)
    return total


def switches():
    cuda = ("allow_bf16_reduced_precision_reduction", "allow_fp16_reduced_precision_reduction", "fp32_precision")
    return [*(getattr(torch.backends.cuda.matmul, name) for name in cuda), torch.backends.mkldnn.matmul.fp32_precision]


@pytest.fixture
def careless():
    """What others may have set in a process."""
    torch.set_float32_matmul_precision("medium")
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = True
    yield
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.fp32_precision = torch.backends.mkldnn.matmul.fp32_precision = "none"


def test_every_arithmetic_has_a_kernel_on_each_of_its_devices():
    assert {key[:2] for key in KERNELS} == {(row.name, device) for row in ARITHMETICS.values() for device in row.devices}


def test_a_row_adds_only_where_no_block_or_strip_comes_between():
    for (name, _, _), kernel in KERNELS.items():
        assert isinstance(kernel, Adds) or ARITHMETICS[name].block is not None


@pytest.mark.parametrize("key", ROWS)
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_it_adds_the_product_within_its_bound(key, turned):
    a, b, c = operands(key[1])
    views = [x.T.contiguous().T if flip else x for x, flip in zip((a, b), turned, strict=True)]
    found = multiply(key, c, *views, 1.0).double()
    error = (found - c.double() - a.double() @ b.double()).norm()
    row = ARITHMETICS[key[0]]
    slack = DEPTH * torch.finfo(torch_dtype(row.accumulate)).eps * c.norm()  # the sum with what was there
    assert error <= row.bound(DEPTH, ("float32",) * 2, row.accumulate, key[1]) * a.double().norm() * b.double().norm() + slack
    assert error > 0


@pytest.mark.parametrize("key", ROWS)
@pytest.mark.parametrize("shape", [(40, 1, 30), (1, 40, 30), (1, 1, 30), (40, 30, 1), (1, 1, 1)])
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_a_single_row_is_multiplied_however_it_is_stored(key, shape, turned):
    """Its strides look like those of a column, and a library that believes them reads what lies beside it in memory."""
    row, generator = ARITHMETICS[key[0]], torch.Generator().manual_seed(2)
    a, b = (torch.randint(-2, 3, size, generator=generator) for size in (shape[:2], shape[1:]))
    stored = [x.to(torch_dtype(row.stored_as)).to(key[1]) for x in (a, b)]
    first = [x.T.flatten().view(x.T.shape).T if flip else x for x, flip in zip(stored, turned, strict=True)]
    total = torch.full((shape[0], shape[2]), torch.nan, dtype=torch_dtype(row.accumulate), device=key[1])
    add_product(method_for(key, shape[2]), total, *(Prepared((x, *[torch.zeros_like(x)] * (row.slices - 1))) for x in first), 0.0)
    assert torch.equal(total.double().cpu(), (a @ b).double())


@pytest.mark.parametrize("key", ROWS)
def test_the_first_slab_is_written_over_whatever_was_there(key):
    a, b, c = operands(key[1])
    assert torch.equal(multiply(key, c.fill_(torch.nan), a, b, 0.0), multiply(key, torch.zeros_like(c), a, b, 1.0))


@pytest.mark.parametrize("key", ROWS)
def test_the_same_operands_give_the_same_bits_and_nothing_else_changes(key):
    a, b, c = operands(key[1])
    copies, before = (a.clone(), b.clone()), switches()
    assert torch.equal(multiply(key, c, a, b, 1.0), multiply(key, c, a, b, 1.0))
    assert torch.equal(a, copies[0])
    assert torch.equal(b, copies[1])
    assert switches() == before


@pytest.mark.parametrize("key", ROWS)
def test_global_switches_do_not_change_its_bits(key, careless):
    a, b, c = operands(key[1])
    before = switches()
    found = multiply(key, c, a, b, 1.0)
    assert switches() == before
    torch.set_float32_matmul_precision("highest")
    assert torch.equal(multiply(key, c, a, b, 1.0), found)


@pytest.mark.parametrize("key", [key for key in KERNELS if isinstance(KERNELS[key], Adds)])
def test_float32_is_pinned_while_a_kernel_runs(key, careless, monkeypatch):
    if key[2] != "torch":
        return
    seen = []
    monkeypatch.setattr(torch.Tensor, "addmm_", lambda *parts, beta: seen.append(switches()[-2:]))
    KERNELS[key].add(*operands("cpu"), 1.0)
    wanted = "tf32" if key[0] == "tf32" else "ieee"
    assert seen == [[wanted, wanted]]


@pytest.mark.slow
def test_no_temporary_of_the_accumulators_size():
    """Resident memory grows by far less than one accumulator (64 MiB), or strip of it in float64 (32 MiB), while the kernel runs."""
    program = """
import torch
from tasks.devices import torch_dtype
from tasks.kernels import KERNELS
from tasks.ladder import ARITHMETICS
from tasks.operands import Prepared
from tasks.product import add_product
from tasks.resident import forget_peak, peak_resident_bytes, resident_bytes
from tasks.selftest import method_for
torch.set_num_threads(1)
for key in KERNELS:
    row = ARITHMETICS[key[0]]
    if key[1] == "cpu":
        types = torch_dtype(row.stored_as), torch_dtype(row.accumulate)
        a, b, c = torch.ones(4096, 64, dtype=types[0]), torch.ones(64, 4096, dtype=types[0]), torch.zeros(4096, 4096, dtype=types[1])
        method = method_for(key, 4096)
        method.strip.zero_()
        add_product(method, c[:128], Prepared((a[:128],)), Prepared((b,)), 1.0)
        forget_peak()
        before = resident_bytes()
        add_product(method, c, Prepared((a,)), Prepared((b,)), 1.0)
        print("-".join(key), (peak_resident_bytes() - before) // 2**20)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    growth = dict(line.split() for line in done.stdout.splitlines())
    assert len(growth) == sum(key[1] == "cpu" for key in KERNELS)
    assert max(map(int, growth.values())) < 16, growth


@pytest.mark.parametrize("library", libraries("float32", "cpu"))
def test_float32_on_cpu_is_what_numpy_says(library):
    a, b, c = operands("cpu")
    found = multiply(("float32", "cpu", library), c, a, b, 0.0)
    torch.testing.assert_close(found, torch.from_numpy(a.numpy() @ b.numpy()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("key", ROWS)
def test_every_kernel_passes_its_self_test(key):
    assert is_right(key)


def forgetful(accumulator, a, b, beta):
    accumulator[:, :-1].addmm_(a, b[:, :-1], beta=beta)


def impossible(accumulator, a, b, beta):
    raise RuntimeError("no such instruction")


@pytest.mark.parametrize("broken", [forgetful, impossible])
def test_a_kernel_that_does_not_multiply_fails_its_self_test(broken, monkeypatch):
    monkeypatch.setitem(KERNELS, ("float32", "cpu", "torch"), Adds(broken))
    assert not is_right(("float32", "cpu", "torch"))
