"""A partial sum: what one part of k gives to a tile, kept in files of the staging until the tile is finished.

    NAME.0 NAME.1 ..    rows of the accumulator, at most STRIP_BYTES a file: whoever adds them up holds one of them
    NAME                the rest, written last: A (B G), the norms

    C = sum over parts of A_p B_p      R = sum over parts of A_p (B_p G)      ||a_i||^2 = sum over parts of ||a_ip||^2

The parts belong to the plan and are added in their order, so whoever computes them, the bits are the same. Any order of a sum is
within the bound for recursive summation (Higham, section 4.2), which is what the arithmetic certifies.
"""

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from storage import Hold
from tasks.check import Sums
from tasks.memory import strip_rows


class PartLost(Exception):
    """A part's files are missing or not what was written."""

    def __init__(self, part: int) -> None:
        super().__init__(part)
        self.part = part


def keep(hold: Hold, name: str, sums: Sums) -> None:
    """Put a part into its files. Raises TakenOver, DiskFull, GemmflowError."""
    for strip, rows in _strips(sums.accumulator):
        hold.keep_sum(f"{name}.{strip}", sums.accumulator[rows].cpu().numpy().tobytes())
    hold.keep_sum(name, _pack(sums))


def is_kept(hold: Hold, name: str) -> bool:
    """Whether a part is there, as far as its last file tells."""
    return hold.read_sum(name) is not None


def add(hold: Hold, names: list[str], sums: Sums) -> None:
    """Add parts up, first to last, to sums over nothing; the accumulator may hold anything. Raises PartLost."""
    for part, name in enumerate(names):
        facts = hold.read_sum(name)
        if facts is None:
            raise PartLost(part)
        _add_rest(sums, facts)
        for strip, rows in _strips(sums.accumulator):
            content = hold.read_sum(f"{name}.{strip}")
            target = sums.accumulator[rows]
            if content is None or len(content) != target.numel() * target.element_size():
                raise PartLost(part)
            values = torch.frombuffer(bytearray(content), dtype=target.dtype).view(target.shape)
            target.add_(values.to(target.device)) if part else target.copy_(values)


def _strips(accumulator: torch.Tensor) -> Iterator[tuple[int, slice]]:
    rows, cols = accumulator.shape
    step = strip_rows(cols, accumulator.element_size())
    return enumerate(slice(start, min(start + step, rows)) for start in range(0, rows, step))


def _pack(sums: Sums) -> bytes:
    file = io.BytesIO()
    facts = json.dumps({"square_b": sums.square_b.hex(), "changed": sums.changed}).encode()
    np.savez(
        file,
        residual=sums.residual.cpu().numpy(),
        squares_a=sums.squares_a.cpu().numpy(),
        facts=np.frombuffer(facts, np.uint8),
    )
    return file.getvalue()


def _add_rest(sums: Sums, content: bytes) -> None:
    device = sums.residual.device
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        facts: dict[str, Any] = json.loads(arrays["facts"].tobytes())
        sums.residual += torch.from_numpy(arrays["residual"]).to(device)
        sums.squares_a += torch.from_numpy(arrays["squares_a"]).to(device)
    sums.square_b += float.fromhex(facts["square_b"])
    sums.changed |= bool(facts["changed"])
