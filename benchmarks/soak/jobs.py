"""What a soak runs: one row a kind of job, its options drawn anew each time."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import zarr

Options = Callable[[Random], list[str]]

INPUTS = {
    "A": ((6000, 5000), "float32"),
    "B": ((5000, 5600), "float32"),
    "L": ((9000, 64), "float32"),
    "I": ((4000, 3000), "int8"),
    "J": ((3000, 4000), "int8"),
}
"""Shape and type of each, in chunks of 1000 x 700."""

_CHUNKS = (1000, 700)

KEY = "GEMMFLOW_KEY_SOAK"
"""Environment variable of the key for sealed products."""


@dataclass(frozen=True)
class Kind:
    """A kind of job: the command, its inputs, and options to draw from."""

    command: str
    inputs: tuple[str, ...]
    options: tuple[tuple[str, ...], ...] = ((),)
    """One of them is drawn."""


KINDS = {
    "product": Kind("multiply", ("A", "B"), ((), ("--chunk", "256,256"), ("--codec", "blosc-lz4", "--chunk", "700,300"))),
    "loose": Kind("multiply", ("A", "B"), (("--max-error", "2e-2"), ("--max-error", "1e-3", "--guarantee", "measured"))),
    "double": Kind("multiply", ("A", "B"), (("--precision", "float64"), ("--precision", "float64", "--workers", "1"))),
    "outer": Kind("multiply", ("L", "L"), (("--transpose-b",), ("--transpose-b", "--codec", "none"))),
    "gram": Kind("gram", ("A",), ((), ("--store", "triangle"))),
    "integers": Kind("multiply", ("I", "J")),
    "sealed": Kind("multiply", ("A", "B"), (("--seal", "soak"), ("--seal", "soak", "--chunk", "500,500"))),
}

ALWAYS: tuple[tuple[str, ...], ...] = (
    ("--direct", "--memory", "900MiB"),
    ("--direct", "--memory", "900MiB", "--durability", "power"),
    ("--memory", "2GiB", "--durability", "process"),
)
"""For every kind, one of them is drawn: without Prefect and with it."""


def prepare(folder: Path) -> dict[str, str]:
    """Write the inputs; returns the environment that the jobs need."""
    rng = np.random.default_rng(0)
    for name, (shape, dtype) in INPUTS.items():
        array = zarr.create_array(folder / name, shape=shape, chunks=_CHUNKS, dtype=dtype)
        array[:] = (16 * rng.standard_normal(shape, dtype="float32")).astype(dtype)
    return {KEY: secrets.token_hex(32)}


def line(kind: Kind, folder: Path, out: Path, draw: Random) -> list[str]:
    """The arguments of one job."""
    inputs = [str(folder / name) for name in kind.inputs]
    return [kind.command, *inputs, str(out), *draw.choice(kind.options), *draw.choice(ALWAYS), "--quiet"]
