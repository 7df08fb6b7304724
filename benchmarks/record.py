"""A measured case as a file: every run of every entry, and where, when and with what. Medians and ratios are made by those who read it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from benchmarks.case import Axis, Setting
from benchmarks.contenders import Launched

Schema = Literal["gemmflow-bench-1"]
SCHEMA: Schema = "gemmflow-bench-1"


@dataclass(frozen=True)
class Machine:
    """Where it was measured."""

    processor: str
    flags: tuple[str, ...]
    """Instructions that decide how fast it multiplies."""
    cores: int
    memory_bytes: int
    system: str
    python: str

    @property
    def slug(self) -> str:
        """Its name in file names: processor, its newest instructions for matrices, cores."""
        words = f"{self.processor} {self.flags[-1] if self.flags else ''} {self.cores}"
        return "-".join(re.findall("[a-z0-9_]+", words.lower()))


@dataclass(frozen=True)
class Line:
    """An entry and its runs, one a round."""

    series: str
    contender: str
    at: float
    setting: Setting
    runs: tuple[Launched, ...]
    """Empty where the contender was left out."""
    spot_error: float | None
    """Normwise error of some rows of its product; None: it leaves none."""
    left_out: str = ""
    """Why it has no runs."""

    @property
    def seconds(self) -> list[float]:
        """Those that count, round by round."""
        return [run.taken.seconds for run in self.runs]


@dataclass(frozen=True)
class Record:
    """One case, as measured."""

    case: str
    title: str
    axis: Axis | None
    rounds: int
    date: str
    """Day and hour of its start, local time."""
    machine: Machine
    versions: dict[str, str]
    environment: dict[str, str]
    """Variables that were set and tune libraries."""
    commit: str
    """Of this repository; `+`: with changes."""
    load_before: tuple[float, ...]
    """Load averages of 1, 5 and 15 minutes when it started."""
    lines: tuple[Line, ...]
    schema: Schema = field(default=SCHEMA)

    @property
    def measured(self) -> tuple[Line, ...]:
        """Lines that have runs."""
        return tuple(line for line in self.lines if line.runs)

    @property
    def filename(self) -> str:
        """One a day and case."""
        return f"{self.date[:10]}-bench-{self.case}.json"


_RECORD = TypeAdapter(Record)


def save(record: Record, folder: Path) -> Path:
    """Write it; returns where."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / record.filename
    path.write_bytes(_RECORD.dump_json(record, indent=1) + b"\n")
    return path


def load(folder: Path) -> tuple[Record, ...]:
    """All records of a folder, the oldest first; files of other measurements lie there, too, under other names."""
    records = [_RECORD.validate_json(path.read_bytes()) for path in folder.glob("*-bench-*.json")]
    return tuple(sorted(records, key=lambda record: record.date))


def newest(records: Iterable[Record]) -> dict[str, dict[str, Record]]:
    """The last record of each case, by the machine's slug and the case's name."""
    found: dict[str, dict[str, Record]] = {}
    for record in sorted(records, key=lambda record: record.date):
        found.setdefault(record.machine.slug, {})[record.case] = record
    return found
