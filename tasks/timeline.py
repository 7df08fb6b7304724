"""Lanes over time: one line per worker, each tile a bar at its true start and end, split by what the worker did.

Within a tile reading and multiplying alternate slab by slab; the bar shows the seconds of each lane in the order of the work.
Where a tile would be thinner than a few units, bars give way to the share of each lane in short spans of time.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from tasks.figures import INK, NAME, VALUE, Box, Canvas, Chart, Key, bare, draw, fill_boxes, say
from tasks.measured import WorkerRecord, by_worker
from tasks.outcome import Measurement
from tasks.plan import LANES
from tasks.report import Report
from tasks.units import format_seconds
from tasks.wording import plural

MOST_LINES = 24
THINNEST_TILE = 7.0
"""Units; below it, shares of time replace bars."""
MOST_BARS = 800
SPANS = 90
BAR = 0.74
_BELOW_A_MINUTE = tuple(float(f"{digit}e{power}") for power in (-3, -2, -1, 0) for digit in (1, 2, 5))
NICE_STEPS = (*_BELOW_A_MINUTE, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000, 72000)
"""Seconds between the marks of the time axis."""


def timeline(report: Report) -> Chart:
    """The chart over all workers, or over those spread evenly from the first to finish to the last where they are many."""
    records = _shown(report.measured.workers)
    lines = {record.address: tiles for record, tiles in _lines(report, records)}
    canvases = _canvases(len(records))
    drawn = [draw(f"timeline-{kind}", canvas, _painter(records, lines, canvas), _label(report)) for kind, canvas in canvases]
    note = _note(report, len(records), _fit(lines, canvases[0][1]))
    busy = report.measured.lanes
    total = sum(busy.values()) or 1.0
    legend = tuple(Key(lane, lane, f"{100 * busy[lane] / total:.0f} %") for lane in LANES)
    return Chart("timeline", "Every worker, every tile", note, drawn[0], drawn[1], legend)


def segments(tile: Measurement) -> list[tuple[str, float, float]]:
    """Lane, start and seconds (relative to the tile's start); lanes that overlapped are scaled into the tile's duration."""
    duration = tile.finished - tile.started
    seconds = [tile.lanes.get(lane, 0.0) for lane in LANES]
    scale = min(1.0, duration / sum(seconds)) if sum(seconds) > 0 else 0.0
    starts = accumulate((scale * value for value in seconds[:-1]), initial=0.0)
    return [(lane, start, scale * value) for lane, start, value in zip(LANES, starts, seconds, strict=True)]


def shares(tiles: Sequence[Measurement], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each span of time (between `edges`) that went to each lane: an array of lanes x spans, columns sum to 1 at most."""
    busy = np.zeros((len(LANES), len(edges) - 1))
    for tile in tiles:
        inside = np.clip(np.minimum(edges[1:], tile.finished) - np.maximum(edges[:-1], tile.started), 0, None)
        duration = max(tile.finished - tile.started, 1e-9)
        for place, (_, _, seconds) in enumerate(segments(tile)):
            busy[place] += inside * (seconds / duration)
    return busy / np.diff(edges)


def _shown(records: Sequence[WorkerRecord]) -> list[WorkerRecord]:
    if len(records) <= MOST_LINES:
        return list(records)
    by_end = sorted(records, key=lambda record: record.finished)
    places = np.linspace(0, len(by_end) - 1, MOST_LINES).round().astype(int)
    return [by_end[place] for place in places]


def _lines(report: Report, records: Sequence[WorkerRecord]) -> list[tuple[WorkerRecord, list[Measurement]]]:
    groups = by_worker(report.computed)
    return [(record, groups[record.address]) for record in records]


def _canvases(lines: int) -> list[tuple[str, Canvas]]:
    height = 42 + lines * (36 if lines <= 4 else 28 if lines <= 8 else 20)
    return [("wide", Canvas(940, height, left=72, right=64, top=4)), ("narrow", Canvas(360, height, left=30, right=38, top=4))]


def _painter(records: Sequence[WorkerRecord], lines: dict[str, list[Measurement]], canvas: Canvas) -> Callable[[Axes], None]:
    zero = min((tiles[0].started for tiles in lines.values()), default=0.0)
    end = max((record.finished for record in records), default=1.0) - zero
    paint_line = _paint_bars if _fit(lines, canvas) else _paint_shares
    word = "worker " if canvas.width > 500 else "w"

    def paint(axes: Axes) -> None:
        for line, record in enumerate(records):
            place = len(records) - 1 - line
            paint_line(axes, lines[record.address], zero, place)
            say(axes, f"{word}{line + 1}", (0, place), NAME)
            say(axes, f"{100 * record.utilisation:.0f} %", (end, place), VALUE)
        axes.set_xlim(0, end or 1.0)
        axes.set_ylim(-0.6, max(len(records), 1) - 0.4)
        axes.set_yticks([])
        axes.xaxis.grid(True)
        axes.set_xticks(*_moments(end, 9 if canvas.width > 500 else 4))
        bare(axes, "left", "bottom")

    return paint


def _fit(lines: dict[str, list[Measurement]], canvas: Canvas) -> bool:
    counts = [len(tiles) for tiles in lines.values()]
    room = canvas.width - canvas.left - canvas.right
    return room >= THINNEST_TILE * max(counts, default=0) and sum(counts) <= MOST_BARS


def _paint_bars(axes: Axes, tiles: Sequence[Measurement], zero: float, place: int) -> None:
    bottom = place - BAR / 2
    whole = [Box(tile.started - zero, bottom, tile.finished - tile.started, BAR) for tile in tiles]
    fill_boxes(axes, whole, "line")
    parts = [(tile.started - zero, segments(tile)) for tile in tiles]
    for index, lane in enumerate(LANES):
        fill_boxes(axes, [Box(start + part[index][1], bottom, part[index][2], BAR) for start, part in parts if part[index][2] > 0], lane)
    fill_boxes(axes, whole, "card", edge=1.2, opacity=0.0)


def _paint_shares(axes: Axes, tiles: Sequence[Measurement], zero: float, place: int) -> None:
    edges = np.linspace(tiles[0].started, tiles[-1].finished, SPANS + 1) - zero
    middles = (edges[1:] + edges[:-1]) / 2
    middles[0], middles[-1] = edges[0], edges[-1]
    stacked = np.vstack([np.zeros(SPANS), np.cumsum(shares(tiles, edges + zero), axis=0)]) * BAR + (place - BAR / 2)
    fill_boxes(axes, [Box(edges[0], place - BAR / 2, edges[-1] - edges[0], BAR)], "line", opacity=0.6)
    for index, lane in enumerate(LANES):
        axes.fill_between(middles, stacked[index], stacked[index + 1], color=INK[lane], linewidth=0)


def _moments(end: float, most: int) -> tuple[list[float], list[str]]:
    step = next((step for step in NICE_STEPS if end / step <= most), end / most)
    unit, size = next((unit, size) for unit, size in (("h", 3600), ("min", 60), ("s", 1)) if step >= size or unit == "s")
    ticks = [step * count for count in range(int(end / step) + 1)]
    return ticks, [f"{tick / size:g} {unit}" if tick else "0" for tick in ticks]


def _note(report: Report, lines: int, bars: bool) -> str:
    workers = len(report.measured.workers)
    some = f" Shown are {lines} of {workers} workers, from the first to finish to the last." if lines < workers else ""
    mean = sum(record.utilisation for record in report.measured.workers) / max(1, workers)
    tiles, length = _tiles(report), format_seconds(report.outcome.seconds)
    how = "Within a tile, lanes stand in the order of the work" if bars else "Heights are the share of each lane in a short span of time"
    busy = f"workers were busy {100 * mean:.0f} % of the time"
    return f"{tiles} in {length}; {busy}. {how}.{some}"


def _label(report: Report) -> str:
    return f"Timeline of {_tiles(report)} on {plural(len(report.measured.workers), 'worker')}"


def _tiles(report: Report) -> str:
    """How many, and how often they were computed beyond that."""
    again = len(report.computed) - len(report.tiles)
    return plural(len(report.tiles), "tile") + (f" and {plural(again, 'repetition')}" if again else "")
