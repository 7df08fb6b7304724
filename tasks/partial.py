"""A partial sum: what one part of k gives to a tile, kept in files of the staging until the tile is finished.

    NAME.0 NAME.90 ..   rows of the accumulator from this one on, at most STRIP_BYTES a file, compressed where the plan says so: whoever
                        adds them up holds one of them
    NAME                the rest, written last: A (B G), the norms, which rows the files have

    C = sum over parts of A_p B_p      R = sum over parts of A_p (B_p G)      ||a_i||^2 = sum over parts of ||a_ip||^2

The parts belong to the plan and are added in their order, so whoever computes them, the bits are the same. Any order of a sum is
within the bound for recursive summation (Higham, section 4.2), which is what the arithmetic certifies.

Where memory is short they are written, and added up, some rows at a time. Of a tile on the diagonal of a symmetric product the rows have
what is below it, then, and those that are added up get the rest from the rows that follow:

    # . .
    # # .       row 1 of the sum = its own file as far as the diagonal, then column 1 of the file of row 2
    # # #
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np
import torch

from storage import Hold, pack_numbers, unpack_numbers
from tasks.check import Sums
from tasks.memory import strip_rows

Span = tuple[int, int]


class PartLost(Exception):
    """A part's files are missing or not what was written."""

    def __init__(self, part: int) -> None:
        super().__init__(part)
        self.part = part


@dataclass(frozen=True)
class Packing:
    """How rows go into files."""

    codec: str = "none"
    """Row of CODECS."""
    finer: int = 0
    """A file holds 2**finer times less than planned."""


@dataclass(frozen=True)
class Rows:
    """Rows of a part whose sums are kept: what else is known of them."""

    files: tuple[Span, ...]
    """First row of the tile in each, and the one after its last."""
    residual: torch.Tensor
    squares_a: torch.Tensor
    square_b: float
    norms: tuple[float, float]
    changed: bool
    blocked: frozenset[int]


@dataclass(frozen=True)
class Wanted:
    """Which rows of a tile are added up."""

    first: int = 0
    mirrored: bool = False
    """Whether what is to the right of these rows comes from below them."""


def keep(hold: Hold, name: str, sums: Sums, codec: str = "none") -> None:
    """Put a part into its files, in this row of CODECS. Raises TakenOver, DiskFull, GemmflowError."""
    keep_rest(hold, name, [keep_rows(hold, name, sums, 0, Packing(codec))])


def keep_rows(hold: Hold, name: str, sums: Sums, first: int, packing: Packing) -> Rows:
    """Put the sums of rows of a tile, from its row `first` on, into their files; raises what `keep` does."""
    files: list[Span] = []
    for rows in _strips(sums.accumulator, packing.finer):
        files.append((first + rows.start, first + rows.stop))
        hold.keep_sum(f"{name}.{files[-1][0]}", pack_numbers(sums.accumulator[rows].cpu().numpy(), packing.codec))
    known = sums.residual.cpu(), sums.squares_a.cpu(), sums.square_b, sums.norms, sums.changed, frozenset(sums.blocked)
    return Rows(tuple(files), *known)


def keep_rest(hold: Hold, name: str, rows: Sequence[Rows]) -> None:
    """Complete a part whose rows are kept, first to last; raises what `keep` does."""
    facts = {
        "square_b": rows[0].square_b.hex(),
        "norms": [hypot(*(some.norms[0] for some in rows)).hex(), rows[0].norms[1].hex()],
        "changed": any(some.changed for some in rows),
        "blocked": sorted(frozenset().union(*(some.blocked for some in rows))),
        "files": [span for some in rows for span in some.files],
    }
    file = io.BytesIO()
    np.savez(
        file,
        residual=torch.cat([some.residual for some in rows]).numpy(),
        squares_a=torch.cat([some.squares_a for some in rows]).numpy(),
        facts=np.frombuffer(json.dumps(facts).encode(), np.uint8),
    )
    hold.keep_sum(name, file.getvalue())


def is_kept(hold: Hold, name: str) -> bool:
    """Whether a part is there, as far as its last file tells."""
    return hold.read_sum(name) is not None


def add(hold: Hold, names: list[str], sums: Sums, wanted: Wanted = Wanted()) -> None:
    """Add parts up, first to last, to sums over nothing of some rows; the accumulator may hold anything. Raises PartLost."""
    for part, name in enumerate(names):
        content = hold.read_sum(name)
        files = None if content is None else _add_rest(sums, content, wanted.first)
        if files is None:
            raise PartLost(part)
        for file in files:
            targets = [target for target in _targets(sums.accumulator, file, wanted) if target[0].numel()]
            values = _values(hold, name, file, sums.accumulator) if targets else None
            if targets and values is None:
                raise PartLost(part)
            for target, rows, columns, turned in targets:
                assert values is not None
                found = values[rows, columns].to(target.device)
                found = found.T if turned else found
                target.add_(found) if part else target.copy_(found)


Target = tuple[torch.Tensor, slice, slice, bool]
"""A view of the accumulator, and the rows and columns of a file that it takes, turned or as they are."""


def _targets(accumulator: torch.Tensor, file: Span, wanted: Wanted) -> Iterator[Target]:
    (start, stop), (rows, cols), first = file, accumulator.shape, wanted.first
    last = first + rows
    top, bottom = max(start, first), max(start, first, min(stop, last))
    own = last if wanted.mirrored else cols
    yield accumulator[top - first : bottom - first, :own], slice(top - start, bottom - start), slice(0, own), False
    if wanted.mirrored:
        below = min(max(start, last), stop)
        yield accumulator[:, below:stop], slice(below - start, stop - start), slice(first, last), True


def _values(hold: Hold, name: str, file: Span, accumulator: torch.Tensor) -> torch.Tensor | None:
    content = hold.read_sum(f"{name}.{file[0]}")
    values = torch.empty(file[1] - file[0], accumulator.shape[1], dtype=accumulator.dtype)
    return values if content is not None and unpack_numbers(content, values.numpy()) else None


def _strips(accumulator: torch.Tensor, finer: int) -> Iterator[slice]:
    rows, cols = accumulator.shape
    step = max(1, strip_rows(cols, accumulator.element_size()) >> finer)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def _add_rest(sums: Sums, content: bytes, first: int) -> list[Span] | None:
    """Which rows the files have; None where that is not told, as in earlier states."""
    device, rows = sums.residual.device, slice(first, first + len(sums.residual))
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        facts: dict[str, Any] = json.loads(arrays["facts"].tobytes())
        if "files" not in facts:
            return None
        whole = len(arrays["residual"]) == len(sums.residual)
        sums.residual += torch.from_numpy(arrays["residual"][rows]).to(device)
        sums.squares_a += torch.from_numpy(arrays["squares_a"][rows]).to(device)
    sums.square_b += float.fromhex(facts["square_b"])
    sums.count(*map(float.fromhex, facts["norms"] if whole and "norms" in facts else ("nan", "nan")))
    sums.changed |= bool(facts["changed"])
    sums.blocked |= set(facts["blocked"])
    return [(start, stop) for start, stop in facts["files"]]
