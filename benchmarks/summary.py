"""Medians, spreads and ratios of a record: as rows for tables and as points for plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.record import Line, Record
from tasks.tables import aligned
from tasks.units import format_bytes

OURS = "gemmflow"
IN_MEMORY = "in memory"
"""What the names of contenders end with that neither read nor write."""


@dataclass(frozen=True)
class Spread:
    """Of the same figure in all rounds."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        """Three digits, and the range where it is not a point."""
        return f"{self.middle:.3g}" if self.low == self.high else f"{self.middle:.3g} ({self.low:.3g} – {self.high:.3g})"


def spread(values: Sequence[float]) -> Spread:
    """Median, least and most.

    >>> str(spread([2.0, 1.0, 4.0])), str(spread([0.5]))
    ('2 (1 – 4)', '0.5')
    """
    return Spread(median(values), min(values), max(values))


def over(line: Line, other: Line) -> Spread:
    """How many times the other's seconds it takes, round by round."""
    return spread([ours / theirs for ours, theirs in zip(line.seconds, other.seconds, strict=True)])


def floors(record: Record) -> list[Line]:
    """Lines that only multiply, in memory, the fastest first."""
    found = [line for line in record.measured if line.contender.endswith(IN_MEMORY)]
    return sorted(found, key=lambda line: median(line.seconds))


def comparison_rows(record: Record) -> list[tuple[str, ...]]:
    """Head and body: one line a contender, ratios to each one in memory, the fastest first, and to gemmflow."""
    others = [*floors(record), *(line for line in record.measured if line.series == OURS)]
    head = ("", "seconds", *(f"/ {line.series}" for line in others), "with start, s", "peak memory")
    return [head, *(_row(line, others) for line in record.measured)]


def curve_rows(record: Record) -> list[tuple[str, ...]]:
    """Head and body: one line a point of the axis, one column a series."""
    series = list(dict.fromkeys(line.series for line in record.measured))
    cells = {(line.at, line.series): str(spread(line.seconds)) for line in record.measured}
    places = sorted({at for at, _ in cells})
    body = [(where(record, at), *(cells.get((at, name), "–") for name in series)) for at in places]
    return [(str(record.axis), *series), *body]


def rows(record: Record) -> list[tuple[str, ...]]:
    """The table of its kind; only a head where nothing was measured."""
    if not record.measured:
        return [("nothing was measured",)]
    return curve_rows(record) if record.axis else comparison_rows(record)


def where(record: Record, at: float) -> str:
    """A place on the axis, for people."""
    return format_bytes(at) if record.axis == "budget" else f"{at:g}"


def left_out(record: Record) -> list[str]:
    """One line for each entry without runs: which, and why."""
    return [f"{line.series}{f' at {where(record, line.at)}' if line.at else ''}: {line.left_out}" for line in record.lines if line.left_out]


def decisions(record: Record) -> list[str]:
    """What contenders said of how they did it, in the last round."""
    return [
        f"{line.series}{f' at {where(record, line.at)}' if line.at else ''}: {line.runs[-1].taken.how}"
        for line in record.measured
        if line.runs[-1].taken.how
    ]


def text(record: Record) -> str:
    """For the terminal."""
    parts = [record.title, *aligned(rows(record)), *(f"left out: {line}" for line in left_out(record)), *decisions(record)]
    return "\n".join(parts) + "\n"


def _row(line: Line, others: Sequence[Line]) -> tuple[str, ...]:
    ratios = (str(over(line, other)) if other is not line else "1" for other in others)
    start = spread([run.process_seconds for run in line.runs])
    peak = max(run.taken.peak_bytes for run in line.runs)
    return line.series, str(spread(line.seconds)), *ratios, f"{start.middle:.3g}", format_bytes(peak)
