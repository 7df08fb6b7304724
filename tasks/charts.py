"""The charts of a report: time by lane, roofline, memory, error and the map of tiles (the timeline has its own file).

Each is a function of the report; `charts` makes all that the report has numbers for, in the order of the page.
"""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from tasks.figures import INK, NAME, VALUE, Box, Canvas, Chart, Key, Style, bare, draw, fill_boxes, say
from tasks.measured import WorkerRecord
from tasks.number_types import UNIT_ROUNDOFF
from tasks.outcome import Certificate
from tasks.plan import LANES
from tasks.report import Report
from tasks.roofline import roofline
from tasks.tilemap import tile_map
from tasks.timeline import timeline
from tasks.units import format_bytes, format_seconds
from tasks.wording import asked, bound, change, confidence, power_of_ten

MOST_WORKER_BARS = 8
_PRINTED = {"||": "‖", "_F": "", "C^": "Ĉ", " - ": " − ", "op(A)": "A", "op(B)": "B", "alpha": "α", "beta": "β", "C0": "C₀"}


def charts(report: Report) -> list[Chart]:
    """All charts, the widest first."""
    return [timeline(report), lanes(report), roofline(report), memory(report), error(report), tile_map(report)]


def lanes(report: Report) -> Chart:
    """Predicted and measured seconds of one worker, lane by lane."""
    predicted, measured = report.run.plan.predicted.lanes, report.measured.lanes
    pairs = [(lane, predicted.get(lane, 0.0), measured[lane]) for lane in LANES]
    most = max(max(pair[1:]) for pair in pairs) or 1.0

    def paint(axes: Axes) -> None:
        for place, (lane, expected, taken) in enumerate(reversed(pairs)):
            fill_boxes(axes, [Box(0, place + 0.04, expected, 0.24)], "muted", opacity=0.45)
            fill_boxes(axes, [Box(0, place - 0.30, taken, 0.30)], lane)
            say(axes, lane, (0, place), NAME)
            words = "  ".join(filter(None, (format_seconds(taken), change(expected, taken))))
            say(axes, words, (max(expected, taken), place), VALUE)
        axes.set_xlim(0, most)
        axes.set_ylim(-0.5, len(pairs) - 0.4)
        axes.set_xticks([])
        axes.set_yticks([])
        bare(axes, "bottom", "left")

    busiest = max(pairs, key=lambda pair: pair[2])[0]
    note = f"Seconds of one worker, the mean over all. Most of the time went to {busiest}."
    svg = draw("lanes", Canvas(400, 250, left=64, right=112, top=0, bottom=0), paint, "Predicted and measured seconds by lane")
    legend = (Key("predicted", "muted", opacity=0.45), Key("measured", "multiply"))
    return Chart("lanes", "Prediction against measurement", note, svg, legend=legend)


def memory(report: Report) -> Chart:
    """Budget, predicted items and measured peak of one worker."""
    plan = report.run.plan
    items = [(name, count) for name, count in plan.predicted.memory_items.items() if count > 0]
    budget = plan.memory_limit / plan.workers
    bars = worker_bars(report.measured.workers)
    total = sum(count for _, count in items)
    highest = max([budget, total, *(peak for _, peak in bars)])
    fade = fades(len(items))

    def paint(axes: Axes) -> None:
        top, start = len(bars), 0.0
        for (_, count), opacity in zip(items, fade, strict=True):
            fill_boxes(axes, [Box(start, top - 0.36, count, 0.72)], "accent", edge=1.0, opacity=opacity)
            start += count
        _bar_words(axes, "predicted", total, (highest, top))
        for line, (name, peak) in enumerate(bars):
            place = len(bars) - 1 - line
            fill_boxes(axes, [Box(0, place - 0.28, peak, 0.56)], "bad" if peak > budget else "muted", opacity=0.6)
            _bar_words(axes, name, peak, (highest, place))
        axes.axvline(budget, color=INK["text"], linewidth=1.2, dashes=(4, 3))
        say(axes, f"budget {format_bytes(budget)}", (budget, top + 0.72), Style("right", (-6, 0)))
        axes.set_xlim(0, highest)
        axes.set_ylim(-0.5, top + 1.05)
        axes.set_xticks([])
        axes.set_yticks([])
        bare(axes, "bottom", "left")

    height = 46 + 28 * (len(bars) + 1)
    canvas = Canvas(400, height, left=72, right=74, top=2, bottom=4)
    svg = draw("memory", canvas, paint, "Budget, predicted and measured memory of a worker")
    legend = tuple(Key(name, "accent", format_bytes(count), opacity) for (name, count), opacity in zip(items, fade, strict=True))
    return Chart("memory", "Memory of a worker", _memory_note(report), svg, legend=legend)


def error(report: Report) -> Chart:
    """Error asked, promised and measured on a logarithmic axis, with the unit roundoffs for scale."""
    certificate = report.certificate
    exact = certificate.exact or certificate.measured == 0
    seen = _error_marks(certificate)
    low = min([value for _, value, _ in seen] + [1e-8]) / 12
    high = max([value for _, value, _ in seen] + [1e-2]) * 12

    def paint(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(-0.6, 3.1)
        _unit_roundoffs(axes, low, high)
        axes.axvspan(low, certificate.asked, ymax=0.86, color=INK["good"], alpha=0.09, linewidth=0)
        for place, (name, value, ink) in zip((2, 1, 0), seen, strict=False):
            axes.plot([low, value], [place, place], color=INK[ink], linewidth=1.4, alpha=0.55)
            axes.plot(value, place, "o", color=INK[ink], markersize=8, markeredgecolor=INK["card"])
            after = math.log(value / low) < 0.62 * math.log(high / low)
            words = f"{name} {power_of_ten((asked if name == 'asked' else bound)(value))}"
            say(axes, words, (value, place), Style("left", (9, 9)) if after else Style("right", (-9, 9)))
        if exact:
            say(axes, "measured: exact", (low, 0), Style("left", (6, 0), "good"))
        axes.set_yticks([])
        axes.minorticks_off()
        axes.locator_params(axis="x", numticks=7)
        bare(axes, "left")

    svg = draw("error", Canvas(400, 214, left=14, right=14, top=2, bottom=28), paint, "Error asked, promised and measured")
    return Chart("error", "Error", _error_note(report), svg)


def worker_bars(records: Sequence[WorkerRecord]) -> list[tuple[str, float]]:
    """Name and peak of every worker, or of the highest, the middle and the lowest where they are many."""
    if len(records) <= MOST_WORKER_BARS:
        return [(f"worker {number}", float(record.peak_bytes)) for number, record in enumerate(records, 1)]
    peaks = sorted(record.peak_bytes for record in records)
    return [("highest", float(peaks[-1])), ("median", float(peaks[len(peaks) // 2])), ("lowest", float(peaks[0]))]


def fades(count: int) -> list[float]:
    """Opacities from full to faint, so that neighbours in a stack differ."""
    return [1.0 - 0.78 * place / max(1, count - 1) for place in range(count)]


def _error_marks(certificate: Certificate) -> list[tuple[str, float, str]]:
    measured = 0.0 if certificate.exact else certificate.measured
    tone = "good" if certificate.kept else "bad"
    marks = [("asked", certificate.asked, "text"), ("promised", certificate.promised, "accent"), ("measured", measured, tone)]
    return [mark for mark in marks if 0 < mark[1] < math.inf]


def _unit_roundoffs(axes: Axes, low: float, high: float) -> None:
    for name in ("bfloat16", "float32", "float64"):
        if low < UNIT_ROUNDOFF[name] < high:
            axes.axvline(UNIT_ROUNDOFF[name], color=INK["line"], linewidth=1.0, dashes=(2, 3), ymax=0.86)
            say(axes, name, (UNIT_ROUNDOFF[name], 2.98), Style("center", ink="muted", size=10))


def _bar_words(axes: Axes, name: str, value: float, end: tuple[float, float]) -> None:
    say(axes, name, (0, end[1]), NAME)
    say(axes, format_bytes(value), end, Style("left", (10, 0), "muted"))


def _memory_note(report: Report) -> str:
    plan, measured = report.run.plan, report.measured
    share = 100 * measured.peak_memory_bytes / plan.memory_limit
    return (
        f"All workers together: {format_bytes(measured.peak_memory_bytes)} at their peaks, {share:.0f} % of the budget of "
        f"{format_bytes(plan.memory_limit)}; interpreter and libraries included."
    )


def _error_note(report: Report) -> str:
    certificate = report.certificate
    if certificate.exact:
        return "Integers whose every partial sum is exact: no rounding happened anywhere."
    return (
        f"{_in_print(certificate.norm)}, in Frobenius norms. Promised: holds for every input. "
        f"Measured: {certificate.probes} random probes, holds with {confidence(certificate.confidence)} confidence. "
        "The shaded range is what was accepted."
    )


def _in_print(norm: str) -> str:
    for plain, printed in _PRINTED.items():
        norm = norm.replace(plain, printed)
    return norm
