"""Faults of a worker's memory and arithmetic, one patch away: what strikes between the probes and the product."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from tasks.kernels import KERNELS, Adds

Where = Literal["element", "row", "block", "all rows", "slab of A", "slab of B"]

KERNEL = ("float32", "cpu", "torch")


@dataclass(frozen=True)
class Fault:
    """Changes C by errors whose row norm is `size` times rho, the norm of the row's usual error."""

    where: Where
    size: float
    rho: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """Of the rows, from the whole A and B of a tile with one slab."""


def usual_error(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Norm of each row's error in a sound product: root mean square over the rows, relative to the norms, times those."""
    exact = a.double() @ b.double()
    scale = a.double().norm(dim=1) * b.double().norm()
    return (((a @ b).double() - exact).norm(dim=1) / scale).median() * scale


def spoil(accumulator: torch.Tensor, rho: torch.Tensor, fault: Fault) -> None:
    """Add an error of the size to the rows that the fault reaches."""
    generator = torch.Generator().manual_seed(len(accumulator))
    rows = {"element": slice(5, 6), "row": slice(5, 6), "block": slice(4, 12)}.get(fault.where, slice(None))
    width = {"element": 1, "block": 8}.get(fault.where, accumulator.shape[1])
    target = accumulator[rows, :width]
    error = torch.randn(target.shape, generator=generator, dtype=torch.float64)
    error *= fault.size * rho[rows, None] / error.norm(dim=1, keepdim=True)
    accumulator[rows, :width] = (target.double() + error).to(accumulator.dtype)


def changed_slab(a: torch.Tensor, b: torch.Tensor, rho: torch.Tensor, fault: Fault) -> tuple[torch.Tensor, torch.Tensor]:
    """A or B with one value, or one row, that moves the product by errors of the size in the rows that it reaches."""
    if fault.where == "slab of A":
        a = a.clone()
        a[5, 3] += float(fault.size * rho[5] / b[3].double().norm())
        return a, b
    b = b.clone()
    change = torch.randn(b.shape[1], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    b[3] += (change * fault.size * float((rho / a[:, 3].double().abs()).median()) / change.norm()).to(b.dtype)
    return a, b


def kernel(fault: Fault) -> Adds:
    """A kernel with the fault, for tiles of one slab: A and B are what the probes saw, the product is not theirs."""
    honest = KERNELS[KERNEL]
    assert isinstance(honest, Adds)

    def broken(accumulator: torch.Tensor, a: torch.Tensor, b: torch.Tensor, beta: float) -> None:
        rho = fault.rho(a, b)
        if fault.where in ("slab of A", "slab of B"):
            a, b = changed_slab(a, b, rho, fault)
        honest.add(accumulator, a, b, beta)
        if fault.where not in ("slab of A", "slab of B"):
            spoil(accumulator, rho, fault)

    return Adds(broken)
