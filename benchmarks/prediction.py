"""Predicted against measured seconds, memory and stored bytes of jobs that were never run before: `python -m benchmarks.prediction`.

Jobs are drawn by seed over shape, type, codec and budget, and run one after the other with the history off, on calibrated rates.
Before each, `analyze --sample` predicts its compressed bytes. An error is measured / predicted - 1.
With `--data mixed` the values are drawn, too: what compresses differently from place to place is hard to predict from a sample.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

from benchmarks.drawn import TINY, USUAL, Drawn, draws, store
from benchmarks.saved import save_as
from tasks.tables import markdown
from tasks.units import format_bytes

MOST_BELOW = 0.25
"""Memory may stay so much below its prediction, and never be above it."""

BYTES_OFF = 0.1
"""Stored bytes may differ so much from the sample's prediction."""


@dataclass(frozen=True)
class Sizing:
    """Bytes, predicted and measured."""

    memory: tuple[int, int]
    """Peak of all workers."""
    stored: tuple[int, int]
    """Of the product's files; the prediction is the sample's."""
    interval: tuple[int, int] | None
    """Of that prediction."""
    share_sampled: float
    """Of the bytes of A and B."""
    codecs: tuple[str, str]
    """That the sample and the run took."""

    @property
    def memory_error(self) -> float:
        """Share of the prediction; below 0 where less was taken."""
        return self.memory[1] / self.memory[0] - 1

    @property
    def stored_error(self) -> float:
        """Share of the prediction."""
        return self.stored[1] / self.stored[0] - 1

    @property
    def keeps_memory(self) -> bool:
        """Whether it took no more than predicted, and not much less."""
        return -MOST_BELOW <= self.memory_error <= 0

    @property
    def keeps_stored(self) -> bool:
        """Whether as many bytes were stored as the sample told, nearly."""
        return abs(self.stored_error) <= BYTES_OFF

    @property
    def is_inside(self) -> bool:
        """Whether the sample's interval holds what was stored."""
        return self.interval is not None and self.interval[0] <= self.stored[1] <= self.interval[1]


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
    sizing: Sizing

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
        known: dict[str, object] = {
            "flops": 2 * prod(self.job.shape),
            "predicted": self.predicted,
            "measured": self.measured,
            "error": self.error,
            "inside": self.is_inside,
            "lanes_predicted": self.lanes_predicted,
            "lanes_measured": self.lanes_measured,
            "sizing": asdict(self.sizing),
        }
        return asdict(self.job) | known

    @property
    def cells(self) -> tuple[str, ...]:
        """One row of the table, under HEADER."""
        job, sizing = self.job, self.sizing
        return (
            f"{' x '.join(map(str, job.shape))} {job.dtype}, {job.data}",
            f"{job.codec}, {job.memory}",
            f"{self.predicted:.2f} / {self.measured:.2f} s ({self.measured / self.predicted - 1:+.0%})",
            f"{format_bytes(sizing.memory[0])} / {format_bytes(sizing.memory[1])} ({sizing.memory_error:+.0%})",
            f"{format_bytes(sizing.stored[0])} / {format_bytes(sizing.stored[1])} ({sizing.stored_error:+.1%})",
            f"{sizing.share_sampled:.0%}",
        )


HEADER = ("job", "codec, budget", "time: predicted / measured", "peak memory", "compressed", "sampled")


def main() -> None:
    """Run all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--data", choices=["normal", "mixed"], default="normal")
    parser.add_argument("--tiny", action="store_true", help="jobs of hundreds of rows: to try this benchmark")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    jobs = draws(options.seed, TINY if options.tiny else USUAL, options.data == "mixed")
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        rows = [_run(Path(folder), drawn) for drawn in islice(jobs, options.count)]
    print(markdown([HEADER, *(row.cells for row in rows)], left=2))
    print("\n".join(summary(rows)))
    if options.save:
        name = "prediction" if options.data == "normal" else "prediction-mixed"
        save_as(name, {"seed": options.seed, "results": {"jobs": [row.to_json() for row in rows]}})


def summary(rows: list[Row]) -> list[str]:
    """Time, memory and stored bytes, a line each."""
    errors, sizings, count = sorted(row.error for row in rows), [row.sizing for row in rows], len(rows)
    memory, stored = [one.memory_error for one in sizings], sorted(abs(one.stored_error) for one in sizings)
    inside, held = sum(row.is_inside for row in rows), sum(one.is_inside for one in sizings)
    kept = sum(one.keeps_memory for one in sizings), sum(one.keeps_stored for one in sizings)
    other = sum(one.codecs[0] != one.codecs[1] for one in sizings)
    return [
        f"median error {statistics.median(errors):.1%}, 90th percentile {errors[int(0.9 * count)]:.1%}; {inside} in the interval",
        f"peak memory {min(memory):+.1%} to {max(memory):+.1%} of the prediction; {kept[0]} of {count} at most 25 % below and none above",
        f"stored bytes: median error {statistics.median(stored):.1%}, largest {stored[-1]:.1%}; {kept[1]} of {count} within 10 %, "
        f"{held} in the interval, {other} with another codec than the sample's",
    ]


def _run(folder: Path, drawn: Drawn) -> Row:
    m, k, n = drawn.shape
    for name, shape, seed in (("A", (m, k), 0), ("B", (k, n), 1)):
        store(folder / name, shape, drawn, seed)
    os.sync()
    line = ["--codec", drawn.codec, "--memory", drawn.memory, "--durability", drawn.durability, "--quiet", "--json", "-"]
    a, b, out = (str(folder / name) for name in "ABC")
    sampled = _gemmflow("analyze", a, b, "--sample", *line)["plan"]["predicted"]["stored"]
    report = _gemmflow("multiply", a, b, out, "--direct", *line)
    for name in "ABC":
        shutil.rmtree(folder / name)
    told, measured, stored = report["plan"]["predicted"], report["measured"], report["storage"]
    interval = sampled["bytes_stored_interval"]
    sizing = Sizing(
        memory=(told["peak_memory_bytes"], measured["peak_memory_bytes"]),
        stored=(sampled["bytes_stored"], stored["bytes_stored"]),
        interval=tuple(interval) if interval else None,
        share_sampled=sampled["share_sampled"],
        codecs=(sampled["codec"], stored["codec"]),
    )
    row = Row(drawn, told["seconds"], tuple(told["seconds_interval"]), measured["seconds"], told["lanes"], measured["lanes"], sizing)
    print(row, flush=True)
    return row


def _gemmflow(*line: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "flows.cli", *line]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"GEMMFLOW_HISTORY": "off"})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
