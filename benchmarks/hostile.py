"""The tables of docs/arithmetic.md: what the ladder certifies, and what is left of it on data made to hurt.

    python -m benchmarks.hostile [--only ladder]

Data and emulated matrix units are those of `tests.tasks.test_hostile`. A cell of the second table says: certified / true error / forecast,
each relative to the norms of A and B. The true error is exact; the forecast knows the data themselves, where a plan has a sample of them.
"""

import argparse
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context
from itertools import groupby

import numpy as np
import torch

from tasks.arithmetic import Arithmetic
from tasks.forecast import Data, forecast
from tasks.ladder import ARITHMETICS
from tasks.precision import MEANINGLESS
from tests.tasks.hostile import HOSTILE, Pair, drawn, frobenius
from tests.tasks.matrix_units import Unit, multiply, stored, units

DEPTHS = (64, 4096, 65_536, 10**6)
SHAPE, SLAB = (8, 4096, 8), 2048
FLOAT32 = ("float32", "float32")
INTEGERS = (("int8", "int8"), ("int8", "uint8"), ("uint8", "uint8"), ("int16", "int16"), ("int32", "int32"))
COLUMNS = 4
"""Kinds of data beside each other."""

LADDER_HEAD = "| `--precision` | on | how it multiplies | k = 64 | 4096 | 65 536 | 10⁶ |\n|---|---|---|---|---|---|---|"

EXACT_HEAD = f"| | on | {' | '.join(' × '.join(types) for types in INTEGERS)} |\n|---|---|---|---|---|---|---|"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["ladder"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("\n".join([LADDER_HEAD, *ladder(), "", EXACT_HEAD, *exact_depths()]))
    for names in parts() if options.only is None else ():
        print("\n".join(["", *head(names), *(line(unit, names) for unit in representatives())]), flush=True)


def ladder() -> Iterator[str]:
    """A line for each arithmetic, or two where its devices certify different errors."""
    for row in ARITHMETICS.values():
        devices = {device: " | ".join(shown(row.bound(k, FLOAT32, "float32", device)) for k in DEPTHS) for device in row.devices}
        for bounds, alike in groupby(devices, devices.__getitem__):
            yield f"| {row.name} | {', '.join(alike)} | {row.why} | {bounds} |"


def exact_depths() -> Iterator[str]:
    """The greatest k for which integers of two types are exact."""
    for row in ARITHMETICS.values():
        depths = {device: " | ".join(greatest_depth(row, types, device) for types in INTEGERS) for device in row.devices}
        for shown_depths, alike in groupby(depths, depths.__getitem__):
            yield f"| {row.name} | {', '.join(alike)} | {shown_depths} |"


def greatest_depth(row: Arithmetic, types: tuple[str, str], device: str) -> str:
    """In words; a dash where not even one product is exact."""
    low, high = 0, 2**60
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if row.exact_for(middle, types, device) else (low, middle)
    return "–" if not low else f"{low:,}".replace(",", " ") if low < 10**8 else f"{low:.1e}".replace("e+", "e")


def representatives() -> list[Unit]:
    """One unit for each arithmetic and bound: the CPU's own kernel if it has one, and the emulation where the device truncates."""
    found: dict[tuple[str, bool], Unit] = {}
    for unit in units():
        found.setdefault((unit.key[0], unit.device in unit.row.truncates_on), unit)
    return [unit for name in ARITHMETICS for unit in found.values() if unit.key[0] == name]


def parts() -> list[tuple[str, ...]]:
    """Kinds of data that share a table."""
    names = tuple(HOSTILE)
    return [names[start : start + COLUMNS] for start in range(0, len(names), COLUMNS)]


def head(names: tuple[str, ...]) -> tuple[str, str]:
    """The head of a table of these kinds of data."""
    return f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"


def label(unit: Unit) -> str:
    """How a line begins."""
    return f"{unit.key[0]}, {'emulated' if unit.is_emulated else unit.device}"


def line(unit: Unit, names: tuple[str, ...]) -> str:
    """One arithmetic on these kinds of data."""
    return f"| {label(unit)} | {' | '.join(cell(unit, name) for name in names)} |"


def cell(unit: Unit, name: str) -> str:
    """Certified / true error / forecast."""
    a, b, exact = drawn(name, SHAPE)
    scale = frobenius(a) * frobenius(b)
    error = frobenius(exact.error_of(stored(multiply(unit, a, b, SLAB), "float32"))) / scale
    usual = forecast(unit.row, data_of((a, b), exact.high), SHAPE[1], (a.dtype.name, b.dtype.name), "float32", unit.device)
    return f"{shown(certified(unit, (a, b)))} / {_digits(error, 1, ROUND_HALF_EVEN)} / {_digits(usual, 1, ROUND_HALF_EVEN)}"


def certified(unit: Unit, pair: Pair) -> float:
    """The bound, with what underflow can add to it."""
    norms = frobenius(pair[0]), frobenius(pair[1])
    row: Arithmetic = unit.row
    eps = row.bound(SHAPE[1], (pair[0].dtype.name, pair[1].dtype.name), "float32", unit.device)
    return eps + row.underflow(SHAPE, norms, "float32") / (norms[0] * norms[1])


def shown(bound: float) -> str:
    """Two digits, never below the bound; a dash where it says nothing."""
    return "–" if bound >= MEANINGLESS else _digits(bound, 2, ROUND_CEILING)


def _digits(value: float, count: int, rounding: str) -> str:
    exact = Context(prec=count, rounding=rounding).create_decimal(repr(value))
    return f"{float(exact):.{count - 1}e}".replace("e-0", "e-") if value else "0"


def data_of(pair: Pair, product: np.ndarray) -> Data:
    """What `tasks.sample` guesses from a part, of the whole."""
    a, b = (x.astype(np.float64) / frobenius(x) for x in pair)
    concentration = float(np.sqrt((np.square(a).sum(0) * np.square(b).sum(1)).sum()))
    peaks = (float((np.abs(x).max(1) / np.sqrt(np.square(x).mean(1))).max()) for x in (a, b.T))
    return Data(concentration, frobenius(product) / (frobenius(pair[0]) * frobenius(pair[1])), max(peaks))


if __name__ == "__main__":
    main()
