"""Multiplications as the run makes them: slab by slab through `prepare` and `add_product`, here with a kernel for every device.

A CPU kernel is the real one. A CUDA kernel is emulated, and by design no better than the hardware:

- Products of two narrow numbers are exact, and those below the smallest normal number are flushed to zero.
- A matrix unit that truncates (row.truncates_on) adds GROUP products and the sum so far at a time: all are shifted to the largest
  exponent among them, what then lies below 24 bits is cut off, and so is the sum (Fasi, Higham, Mikaitis and Pranesh, PeerJ CS 7:e330,
  2021: groups of 4 on V100, of 8 on A100, there with an extra bit or more, which the emulation lacks). Groups follow one another, in one
  chain, where hardware sums several side by side.
- Any other library rounds each product and adds it to one running sum: the order with the largest bound.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from tasks.arithmetic import Arithmetic
from tasks.devices import torch_dtype
from tasks.kernels import KERNELS, Adds, Multiplies
from tasks.ladder import ARITHMETICS
from tasks.memory import PRODUCT_ROWS
from tasks.number_types import SMALLEST_NORMAL
from tasks.operands import prepare
from tasks.product import Method, add_product

KEPT = np.int64(-1) << 29
"""The bits of a float64 that its first 24 significant ones are in."""

EXPONENT = np.int64(0x7FF) << 52


@dataclass(frozen=True)
class Unit:
    """One row of KERNELS, and how the emulation of its matrix unit sums."""

    key: tuple[str, str, str]
    group: int = 4
    block: int | None = None
    """Instead of the row's, if it has one: small enough for a small test."""

    @property
    def row(self) -> Arithmetic:
        """The arithmetic."""
        row = ARITHMETICS[self.key[0]]
        return replace(row, block=self.block) if row.block and self.block else row

    @property
    def device(self) -> str:
        """Where it would run."""
        return self.key[1]

    @property
    def is_emulated(self) -> bool:
        """Whether the sums are made by this file."""
        return self.device != "cpu"

    def method(self, cols: int) -> Method:
        """What a worker would have, in this machine's memory."""
        strip = torch.empty(PRODUCT_ROWS * cols, dtype=torch_dtype(self.row.block_output[self.device]))
        kernel = KERNELS[self.key]
        if self.is_emulated:
            kernel = Adds(self._add) if isinstance(kernel, Adds) else Multiplies(self._product)
        return Method(self.row, kernel, strip)

    def _add(self, accumulator: torch.Tensor, a: torch.Tensor, b: torch.Tensor, beta: float) -> None:
        start = accumulator.double().numpy() if beta else np.zeros(tuple(accumulator.shape))
        accumulator.copy_(torch.from_numpy(self._sum(a, b, start)))

    def _product(self, a: torch.Tensor, b: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
        del out
        found = torch.from_numpy(self._sum(a, b, np.zeros((a.shape[0], b.shape[1]))))
        return found.to(torch_dtype(self.row.block_output[self.device]))

    def _sum(self, a: torch.Tensor, b: torch.Tensor, start: np.ndarray) -> np.ndarray:
        """start + a b, float64 that holds numbers of the inner type."""
        left, right = (_as_read(x, self.row.compute) for x in (a, b))
        with np.errstate(under="ignore"):
            products = left.T[:, :, None] * right[:, None, :]
        if self.row.inner == "int32":
            found = products.sum(0)
            assert np.abs(products).sum(0).max() < 2.0**31
            return start + found
        products[np.abs(products) < SMALLEST_NORMAL[self.row.inner]] = 0.0
        if self.device in self.row.truncates_on:
            return truncated_sum(products, start, self.group)
        return running_sum(products, start, self.row.inner)


def units(name: str | None = None) -> list[Unit]:
    """All there are, or those of an arithmetic."""
    return [Unit(key) for key in KERNELS if name in (None, key[0])]


def multiply(unit: Unit, a: np.ndarray, b: np.ndarray, slab: int, turned: tuple[bool, bool] = (False, False)) -> torch.Tensor:
    """The accumulator after all slabs of k; `turned` operands are stored transposed."""
    row, method = unit.row, unit.method(b.shape[1])
    total = torch.full((a.shape[0], b.shape[1]), torch.nan, dtype=torch_dtype(row.accumulate))
    for start in range(0, a.shape[1], slab):
        parts = a[:, start : start + slab], b[start : start + slab]
        slabs = [torch.from_numpy(_laid_out(part, turn)) for part, turn in zip(parts, turned, strict=True)]
        space = [tuple(torch.empty(x.numel(), dtype=torch_dtype(row.stored_as)) for _ in range(row.slices)) for x in slabs]
        ready = [prepare(row, x, side, room) for side, (x, room) in enumerate(zip(slabs, space, strict=True))]
        add_product(method, total, ready[0], ready[1], float(start > 0))
    return total


def stored(total: torch.Tensor, output: str) -> np.ndarray:
    """As storage has it."""
    return total.to(torch_dtype(output)).double().numpy()


def truncated_sum(products: np.ndarray, start: np.ndarray, group: int) -> np.ndarray:
    """start + the sum of products [k, ...] over k, `group` at a time."""
    steps, whole = -(-len(products) // group), len(products) // group
    flat, terms = products.reshape(-1, start.size), np.zeros((steps, group + 1, start.size))
    terms[:whole, :group] = flat[: whole * group].reshape(whole, group, start.size)
    terms[whole:, : len(flat) - whole * group] = flat[whole * group :]
    total = start.ravel().copy()
    tiny = SMALLEST_NORMAL["float32"]
    for aligned in terms:
        aligned[group] = total
        largest = np.maximum(np.abs(aligned).max(0), tiny)
        unit = (largest.view(np.int64) & EXPONENT).view(np.float64) * 2.0**-23
        total = (np.trunc(aligned / unit).sum(0) * unit).view(np.int64) & KEPT
        total = total.view(np.float64)
        total[np.abs(total) < tiny] = 0.0
    return total.reshape(start.shape)


def running_sum(products: np.ndarray, start: np.ndarray, inner: str) -> np.ndarray:
    """start + the sum of products [k, ...] over k, each rounded, one after the other."""
    terms = np.concatenate([start[None], products]).astype(inner)
    return np.add.accumulate(terms, axis=0, dtype=inner)[-1].astype(np.float64)


def _as_read(x: torch.Tensor, compute: str) -> np.ndarray:
    """float64; tf32 reads ten bits after the point and ignores the others."""
    if compute == "tf32":
        x = (x.contiguous().view(torch.int32) & ~0x1FFF).view(torch.float32)
    return x.double().numpy()


def _laid_out(part: np.ndarray, turned: bool) -> np.ndarray:
    return np.ascontiguousarray(part.T).T if turned else np.ascontiguousarray(part)
