"""Predicted against measured seconds of jobs that were never run before: `python -m benchmarks.prediction`.

Jobs are drawn by seed over shape, type, codec and budget, and run one after the other with the history off, on calibrated rates.
The error of a job is |measured / predicted - 1|.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from math import exp, log, prod
from pathlib import Path

import numpy as np
import zarr

from benchmarks.saved import save_as
from storage import resolve_codec

EXTENTS = (500, 12_000)
FLOPS = (2e10, 1.2e12)
MOST_BYTES = 1.5e9
CODECS = ("none", "blosc-lz4-shuffle", "blosc-zstd", "zstd")
BUDGETS = ("1GiB", "2GiB", "4GiB")
CHUNKS = (500, 1000, 1024, 2048)


@dataclass(frozen=True)
class Drawn:
    """A job."""

    shape: tuple[int, int, int]
    dtype: str
    chunk: int
    stored: str
    codec: str
    memory: str
    durability: str


@dataclass(frozen=True)
class Row:
    """A job, and what became of the prediction."""

    job: Drawn
    predicted: float
    """Seconds."""
    interval: tuple[float, float]
    """Of the prediction, 80 %."""
    measured: float
    """Seconds."""
    lanes_predicted: dict[str, float]
    lanes_measured: dict[str, float]

    @property
    def error(self) -> float:
        """Share of what was predicted."""
        return abs(self.measured / self.predicted - 1)

    @property
    def is_inside(self) -> bool:
        """Whether it took what the interval says."""
        return self.interval[0] <= self.measured <= self.interval[1]

    def __str__(self) -> str:
        """For people: the job, seconds, and predicted / measured by lane."""
        lanes = ", ".join(f"{lane} {self.lanes_predicted[lane]:.2f}/{seconds:.2f}" for lane, seconds in self.lanes_measured.items())
        change = self.measured / self.predicted - 1
        return f"{self.job}\n    predicted {self.predicted:.2f} measured {self.measured:.2f} ({change:+.0%}); {lanes}"

    def to_json(self) -> dict[str, object]:
        """Everything, for machines."""
        return asdict(self.job) | {
            "flops": 2 * prod(self.job.shape),
            "predicted": self.predicted,
            "measured": self.measured,
            "error": self.error,
            "inside": self.is_inside,
            "lanes_predicted": self.lanes_predicted,
            "lanes_measured": self.lanes_measured,
        }


def main() -> None:
    """Run all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        rows = [_run(Path(folder), drawn) for drawn in islice(draws(options.seed), options.count)]
    errors = sorted(row.error for row in rows)
    inside = sum(row.is_inside for row in rows)
    print(f"median error {statistics.median(errors):.1%}, 90th percentile {errors[int(0.9 * len(errors))]:.1%}; {inside} in the interval")
    if options.save:
        save_as("prediction", {"seed": options.seed, "results": {"jobs": [row.to_json() for row in rows]}})


def draws(seed: int) -> Iterator[Drawn]:
    """Jobs, the same for a seed."""
    rng = np.random.default_rng(seed)
    while True:
        m, k, n = (int(exp(rng.uniform(*map(log, EXTENTS)))) for _ in range(3))
        dtype, chunk = str(rng.choice(["float32", "float32", "float64"])), int(rng.choice(CHUNKS))
        words = str(rng.choice(CODECS)), str(rng.choice(CODECS)), str(rng.choice(BUDGETS)), str(rng.choice(["power", "process"]))
        nbytes = (m * k + k * n + m * n) * np.dtype(dtype).itemsize
        if FLOPS[0] < 2 * m * k * n < FLOPS[1] and nbytes < MOST_BYTES:
            yield Drawn((m, k, n), dtype, chunk, *words)


def _run(folder: Path, drawn: Drawn) -> Row:
    m, k, n = drawn.shape
    for name, shape, seed in (("A", (m, k), 0), ("B", (k, n), 1)):
        _store(folder / name, shape, drawn, seed)
    os.sync()
    line = ["--codec", drawn.codec, "--memory", drawn.memory, "--durability", drawn.durability, "--direct", "--quiet", "--json", "-"]
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "multiply", str(folder / "A"), str(folder / "B"), str(folder / "C"), *line],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"GEMMFLOW_HISTORY": "off"},
    )
    report = json.loads(done.stdout)
    for name in "ABC":
        shutil.rmtree(folder / name)
    told, measured = report["plan"]["predicted"], report["measured"]
    row = Row(drawn, told["seconds"], tuple(told["seconds_interval"]), measured["seconds"], told["lanes"], measured["lanes"])
    print(row, flush=True)
    return row


def _store(path: Path, shape: tuple[int, int], drawn: Drawn, seed: int) -> None:
    rng, chunks = np.random.default_rng(seed), (min(drawn.chunk, shape[0]), min(drawn.chunk, shape[1]))
    codecs = resolve_codec(drawn.stored).bytes_codecs(np.dtype(drawn.dtype).itemsize)
    array = zarr.create_array(path, shape=shape, chunks=chunks, dtype=drawn.dtype, compressors=codecs)
    for start in range(0, shape[0], chunks[0]):
        rows = min(chunks[0], shape[0] - start)
        array[start : start + rows] = rng.standard_normal((rows, shape[1]), dtype=drawn.dtype)


if __name__ == "__main__":
    main()
