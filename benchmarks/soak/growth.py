"""Does a process hold ever more? Two figures of its resident bytes after each trial, which no single large job moves.

    warm-up | first third | middle third | last third          ratio: median of the last third over that of the first
            |------------- every pair ---------------|         slope: median of the slopes of all pairs (Theil and Sen), bytes a trial

The ratio says whether it is flat. The slope says what a day would bring: a ratio that is small because few jobs ran does not hide it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

AGED = 10
"""Trials in the life of a process that do not count: its caches still fill."""

LEAST = 5
"""Trials of a third; a process that lived for fewer is not judged."""

MOST = 1.05
"""Ratio up to which memory is flat: the size of the jobs at either end makes so much."""


@dataclass(frozen=True)
class Growth:
    """Of one process."""

    trials: int
    """That it lived for, the warm-up included."""
    early_bytes: float
    """Median of the first third after the warm-up."""
    late_bytes: float
    """Of the last third."""
    ratio: float
    slope_bytes: float
    """A trial, after the warm-up."""
    flat: bool


def growth(memory: Sequence[dict[str, int]]) -> dict[str, Growth]:
    """Of each process that lived long, by name; `memory` are resident bytes by name, a trial each."""
    names = dict.fromkeys(name for sample in memory for name in sample)
    series = {name: [sample[name] for sample in memory if name in sample] for name in names}
    return {name: _judged(values) for name, values in series.items() if len(values) >= AGED + 3 * LEAST}


def _judged(series: list[int]) -> Growth:
    counted = series[AGED:]
    third = len(counted) // 3
    early, late = median(counted[:third]), median(counted[-third:])
    ratio = round(late / early, 3)
    return Growth(len(series), early, late, ratio, round(slope(counted)), ratio <= MOST)


def slope(values: Sequence[float]) -> float:
    """Median of the slopes of all pairs.

    >>> slope([1, 3, 5, 1000, 9])
    2.0
    """
    return median((after - before) / (later - sooner) for (sooner, before), (later, after) in combinations(enumerate(values), 2))
