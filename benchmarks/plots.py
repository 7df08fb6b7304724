"""Pictures of records for docs/performance.md: SVG files that stand alone, in the reports' light colours on white.

Each carries its figures as text (`<desc>`), for those who do not see it, and so that a test can tell whether it is the one
that the records give, whatever the version of matplotlib that drew it.
"""

import re
from collections.abc import Callable
from html import escape
from math import log

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from benchmarks.record import Line, Record
from benchmarks.summary import OURS, floors, over, rows, spread, where
from tasks.figures import INK, NAME, VALUE, Box, Canvas, Style, bare, draw, fill_boxes, say

LIGHT = {
    "text": "#191d23",
    "muted": "#656d78",
    "line": "#e2e3de",
    "card": "#ffffff",
    "accent": "#2f5bd0",
    "good": "#14794b",
    "bad": "#b3261e",
    "read": "#1f9e96",
    "multiply": "#2f5bd0",
    "verify": "#e0a816",
    "encode": "#c2478a",
    "write": "#7c8896",
}
PEERS = ("muted", "read", "encode", "verify", "good", "bad")
"""Inks of the series of a curve, in turn; gemmflow has the accent."""
WIDTH = 760.0
BETWEEN_NAMES = 0.065
"""Least distance, as a share of the axis."""
STEEP = ("n", "k")
"""Axes along which seconds grow by orders of magnitude: they are shown on a logarithmic scale."""
LABELS = {"n": "n", "k": "k", "budget": "memory budget", "workers": "workers, each on a core of its own"}


def plot(record: Record) -> str:
    """The SVG of a record with at least one line that was measured."""
    canvas, paint = (_curve if record.axis else _bars)(record)
    return _alone(draw(record.case, canvas, paint, f"Seconds, {record.title}"), canvas, described(record))


def described(record: Record) -> str:
    """All figures of the picture, as text."""
    return "; ".join(" | ".join(row) for row in rows(record))


def description(svg: str) -> str:
    """What `described` put into it, as it stands there."""
    found = re.search(r"<desc>(.*?)</desc>", svg, re.DOTALL)
    return found[1] if found else ""


def _bars(record: Record) -> tuple[Canvas, Callable[[Axes], None]]:
    lines = list(reversed(record.measured))
    spreads = [spread(line.seconds) for line in lines]
    most = max(one.high for one in spreads)
    floor = (floors(record) or record.measured)[0]

    def paint(axes: Axes) -> None:
        for place, (line, one) in enumerate(zip(lines, spreads, strict=True)):
            fill_boxes(axes, [Box(0, place - 0.3, one.middle, 0.6)], "accent" if line.contender.startswith(OURS) else "muted", opacity=0.85)
            axes.plot([one.low, one.high], [place, place], color=INK["text"], linewidth=1.4)
            say(axes, line.series, (0, place), NAME)
            say(axes, f"{one.middle:.3g} s   × {over(line, floor).middle:.2f}", (max(one.high, one.middle), place), VALUE)
        axes.set_xlim(0, most)
        axes.set_ylim(-0.6, len(lines) - 0.4)
        axes.set_xticks([])
        axes.set_yticks([])
        bare(axes, "bottom", "left")

    return Canvas(WIDTH, 28.0 * len(lines) + 12, left=190, right=130, top=6, bottom=6), paint


def _curve(record: Record) -> tuple[Canvas, Callable[[Axes], None]]:
    names = list(dict.fromkeys(line.series for line in record.measured))
    groups = {name: sorted((line for line in record.measured if line.series == name), key=lambda line: line.at) for name in names}
    peers = iter(PEERS * len(names))
    inks = {name: "accent" if name == OURS else next(peers) for name in names}
    ends = _apart({name: spread(lines[-1].seconds).middle for name, lines in groups.items()}, record)

    def paint(axes: Axes) -> None:
        axes.set_xscale("log", base=2)
        axes.set_yscale("log" if record.axis in STEEP else "linear")
        axes.set_ylim(*_span(record))
        for name, lines in groups.items():
            _series(axes, lines, inks[name])
            end = (lines[-1].at, spread(lines[-1].seconds).middle)
            words = {"xytext": (1.02, ends[name]), "textcoords": "axes fraction", "va": "center", "annotation_clip": False}
            axes.annotate(name, end, color=INK[inks[name]], **words)
        _scales(axes, record)

    return Canvas(WIDTH, 340, left=56, right=170, top=26, bottom=46), paint


def _series(axes: Axes, lines: list[Line], ink: str) -> None:
    spreads = [spread(line.seconds) for line in lines]
    places = [line.at for line in lines]
    axes.plot(places, [one.middle for one in spreads], "-o", color=INK[ink], linewidth=1.6, markersize=4.5)
    axes.vlines(places, [one.low for one in spreads], [one.high for one in spreads], color=INK[ink], linewidth=1.2)


def _scales(axes: Axes, record: Record) -> None:
    places = sorted({line.at for line in record.measured})
    axes.set_xticks(places, [where(record, at) for at in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(LABELS[str(record.axis)])
    if record.axis in STEEP:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.grid(axis="y")
    say(axes, "seconds", (axes.get_xlim()[0], _span(record)[1]), Style("left", (0, 14), "muted"))


def _span(record: Record) -> tuple[float, float]:
    """The seconds that the axis shows: from zero where it is not logarithmic."""
    seconds = [value for line in record.measured for value in line.seconds]
    return (min(seconds) / 1.4, max(seconds) * 1.4) if record.axis in STEEP else (0.0, max(seconds) * 1.1)


def _apart(ends: dict[str, float], record: Record) -> dict[str, float]:
    """Heights of the names at the right, as shares of the axis: where their curves end, but never on one another."""
    low, high = _span(record)
    names = sorted(ends, key=lambda name: ends[name])
    steep = record.axis in STEEP
    heights = [log(ends[name] / low) / log(high / low) if steep else (ends[name] - low) / (high - low) for name in names]
    for place in range(1, len(heights)):
        heights[place] = max(heights[place], heights[place - 1] + BETWEEN_NAMES)
    ceiling = 1.0
    for place in reversed(range(len(heights))):
        heights[place] = min(heights[place], ceiling)
        ceiling = heights[place] - BETWEEN_NAMES
    return dict(zip(names, heights, strict=True))


def _alone(svg: str, canvas: Canvas, words: str) -> str:
    """A themed SVG as a file of its own: its name space, size, font and colours."""
    for ink, colour in LIGHT.items():
        svg = svg.replace(f"var(--{ink})", colour)
    size = f'width="{canvas.width:g}" height="{canvas.height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" '
    svg = svg.replace("<svg ", head, 1)
    card = f'<rect width="100%" height="100%" fill="{LIGHT["card"]}"/>'
    return svg.replace(">", f"><desc>{escape(words)}</desc>{card}", 1) + "\n"
