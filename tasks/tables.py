"""Rows of asked, predicted and measured, and how rows become aligned text or Markdown."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One quantity of a report; an empty text where a column has nothing to say."""

    name: str
    asked: str = ""
    predicted: str = ""
    measured: str = ""
    change: str = ""
    """Measured against predicted."""
    detail: bool = False
    """Part of the row above it, such as one lane of the time."""

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as a table shows it."""
        return (("  " if self.detail else "") + self.name, self.asked, self.predicted, self.measured, self.change)


HEADER = ("", "asked", "predicted", "measured", "")


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Text lines with columns of equal width: the first `left` columns to the left, the rest to the right; empty columns go.

    >>> aligned([("time", "", "9 s"), ("memory", "", "12 MiB")])
    ['time       9 s', 'memory  12 MiB']
    """
    columns = [column for column in zip(*rows, strict=True) if any(column)]
    widths = [max(map(len, column)) for column in columns]
    lines: list[str] = []
    for row in zip(*columns, strict=True):
        sides = [str.ljust if place < left else str.rjust for place in range(len(row))]
        cells = [side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def markdown(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first row is its head."""
    head, *body = [[cell.strip().replace("|", "\\|") for cell in row] for row in rows]
    rule = [":--" if place < left else "--:" for place in range(len(head))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *body])


def wrapped(rows: Iterable[tuple[str, str]], width: int = 104) -> list[tuple[str, str]]:
    """Name and value, with long values continued on rows without a name.

    >>> wrapped([("plan", "one two three")], width=8)
    [('plan', 'one two'), ('', 'three')]
    """
    lines: list[tuple[str, str]] = []
    for name, value in rows:
        first, *rest = textwrap.wrap(value, width, break_long_words=False, break_on_hyphens=False) or [""]
        lines += [(name, first), *(("", line) for line in rest)]
    return lines
