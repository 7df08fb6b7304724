"""A partial sum: what one part of k gives to a tile, or several parts that are neighbours, added in their order.

    C = sum over parts of A_p B_p      R = sum over parts of A_p (B_p G)      ||a_i||^2 = sum over parts of ||a_ip||^2

The parts belong to the plan and are added in their order, so whoever computes them, the bits are the same. Any order of a sum is
within the bound for recursive summation (Higham, section 4.2), which is what the arithmetic certifies.
"""

import io
import json
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.check import Sums
from tasks.outcome import Share


@dataclass(frozen=True)
class Partial:
    """What travels between workers, and is kept in a file."""

    accumulator: NDArray[np.generic]
    """Sum of products, [rows, cols] in the accumulator's type."""
    residual: NDArray[np.float64]
    """Sum of A (B G), [rows, probes + SIGNS]."""
    squares_a: NDArray[np.float64]
    """Squared norms of the rows of A, [rows]."""
    square_b: float
    """Squared Frobenius norm of what was read of B."""
    bytes_read: int = 0
    """Decoded bytes of A and B, in this run."""
    changed: bool = False
    """Whether a slab of A is no longer what it was when it was read."""
    shares: tuple[Share, ...] = ()
    """Who did it, in this run."""


def partial_of(sums: Sums) -> Partial:
    """A part, once its slabs are summed up: with values of its own, for the buffers go on to the next part."""
    return Partial(
        sums.accumulator.cpu().numpy().copy(),
        sums.residual.cpu().numpy(),
        sums.squares_a.cpu().numpy(),
        sums.square_b,
        sums.bytes_read,
        sums.changed,
    )


def add(partials: tuple[Partial, ...]) -> Partial:
    """The sum of neighbours, first to last."""
    return reduce(_added, partials)


def gather(sums: Sums, partials: tuple[Partial, ...]) -> None:
    """Add partial sums, first to last, to sums that are zero; the accumulator may hold anything."""
    whole, device = add(partials), sums.accumulator.device
    sums.accumulator.copy_(torch.from_numpy(whole.accumulator))
    sums.residual += torch.from_numpy(whole.residual).to(device)
    sums.squares_a += torch.from_numpy(whole.squares_a).to(device)
    sums.square_b, sums.bytes_read, sums.changed = whole.square_b, whole.bytes_read, whole.changed


def pack(partial: Partial) -> bytes:
    """A partial sum as bytes, without who did it: whoever finds it later has not read anything for it."""
    file = io.BytesIO()
    facts = np.frombuffer(json.dumps({"square_b": partial.square_b.hex(), "changed": partial.changed}).encode(), np.uint8)
    np.savez(file, accumulator=partial.accumulator, residual=partial.residual, squares_a=partial.squares_a, facts=facts)
    return file.getvalue()


def unpack(content: bytes) -> Partial:
    """What `pack` packed."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        facts: dict[str, Any] = json.loads(arrays["facts"].tobytes())
        square_b, changed = float.fromhex(facts["square_b"]), bool(facts["changed"])
        return Partial(arrays["accumulator"], arrays["residual"], arrays["squares_a"], square_b, changed=changed)


def _added(first: Partial, second: Partial) -> Partial:
    return Partial(
        first.accumulator + second.accumulator,  # type: ignore[operator]
        first.residual + second.residual,
        first.squares_a + second.squares_a,
        first.square_b + second.square_b,
        first.bytes_read + second.bytes_read,
        first.changed or second.changed,
        first.shares + second.shares,
    )
