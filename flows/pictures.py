"""A picture for a Markdown page of Prefect: an SVG inside the text, since its pages fetch nothing from a disk.

Drawn without matplotlib, whose import would take longer than many a run.
"""

from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

from tasks.plan import LANES
from tasks.units import format_seconds
from tasks.wording import change

if TYPE_CHECKING:
    from tasks.report import Report

WIDTH, LINE, LEFT, BARS = 640, 40, 84, 330
"""Units: of the picture, of a lane's height, of the room for names, of the longest bar."""
COLOURS = {"read": "#2f6fb5", "multiply": "#3a9a5c", "verify": "#8a63b8", "encode": "#c98a1b", "write": "#b5523b"}
PREDICTED = "#c3c8d0"


def picture_of_lanes(report: "Report") -> str:
    """Predicted and measured seconds of one worker, lane by lane, as an image in Markdown."""
    words = "Seconds of one worker by lane: predicted (grey) and measured"
    return f"![{words}](data:image/svg+xml;base64,{b64encode(lanes_svg(report, words).encode()).decode()})"


def lanes_svg(report: "Report", words: str) -> str:
    """The drawing; readable on light and on dark pages, since it brings its own paper."""
    predicted, measured = report.run.plan.predicted.lanes, report.measured.lanes
    pairs = [(lane, predicted.get(lane, 0.0), measured.get(lane, 0.0)) for lane in LANES]
    longest = max(max(pair[1:]) for pair in pairs) or 1.0
    height = LINE * len(pairs) + 44
    parts = [_text(16, 24, words, "start"), *(_lane(54 + LINE * place, pair, longest) for place, pair in enumerate(pairs))]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13">'
    return f'{head}<rect width="{WIDTH}" height="{height}" rx="6" fill="#fbfbfd"/>{"".join(parts)}</svg>'


def _lane(top: int, pair: tuple[str, float, float], longest: float) -> str:
    lane, expected, taken = pair
    value = "  ".join(filter(None, (format_seconds(taken), change(expected, taken))))
    end = LEFT + BARS * max(expected, taken) / longest
    bars = _bar(top - 10, expected / longest, PREDICTED) + _bar(top + 1, taken / longest, COLOURS[lane])
    return bars + _text(LEFT - 8, top + 5, lane, "end") + _text(end + 8, top + 5, value, "start")


def _bar(top: int, share: float, colour: str) -> str:
    return f'<rect x="{LEFT}" y="{top}" width="{BARS * share:.1f}" height="11" fill="{colour}"/>'


def _text(left: float, top: float, words: str, anchor: str) -> str:
    return f'<text x="{left:.1f}" y="{top}" text-anchor="{anchor}" fill="#23272e">{escape(words)}</text>'
