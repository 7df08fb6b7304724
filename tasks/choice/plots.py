"""Pictures of a choice: time against cost, where the time goes, and what other numbers would do."""

from collections.abc import Callable, Sequence
from math import floor, inf, log10, sqrt

from matplotlib.axes import Axes

from tasks.choice.estimate import Estimate, Lane
from tasks.choice.rank import Ranking
from tasks.choice.reasons import WAITS_FOR, team
from tasks.choice.whatif import Point, Variation
from tasks.figures import INK, NAME, VALUE, Box, Canvas, Chart, Key, Style, bare, draw, fill_boxes, say
from tasks.units import format_seconds, format_usd

_TICKS = {
    **{10.0**place: f"{10.0**place:g} s" for place in range(-6, 2)},
    5.0: "5 s",
    30.0: "30 s",
    60.0: "1 min",
    300.0: "5 min",
    1200.0: "20 min",
    3600.0: "1 h",
    4 * 3600.0: "4 h",
    12 * 3600.0: "12 h",
    86_400.0: "1 d",
    3 * 86_400.0: "3 d",
    10 * 86_400.0: "10 d",
    50 * 86_400.0: "50 d",
    **{365.25 * 86_400.0 * 10**place: f"{10**place:,} years" for place in range(10)},
}
"""Seconds that people think in, and how they say them."""

_LANE_INK = {"compute": "multiply", "memory": "verify", "link": "encode", "storage": "read", "output": "write"}


def charts(ranking: Ranking, variations: Sequence[Variation]) -> list[Chart]:
    """All that there is something to show of."""
    priced = [option for option in (*ranking.options, *ranking.front) if option.seconds and option.usd]
    found = [market(ranking, priced)] if priced else []
    if ranking.chosen is not None:
        found.append(lanes(ranking.chosen))
    drawn = [variation for variation in variations if sum(_chosen(point) is not None for point in variation.points) > 1]
    return found + [what_if(variation) for variation in drawn]


def market(ranking: Ranking, priced: Sequence[Estimate]) -> Chart:
    """Every option by time and cost; the front is joined."""
    front = [_place(option) for option in ranking.front]
    places = [_place(option) for option in priced]

    def paint(axes: Axes) -> None:
        _logarithmic(axes, [x for x, _ in places], [y for _, y in places])
        axes.plot(*zip(*front, strict=True), color=INK["accent"], linewidth=1.5)
        axes.plot(*zip(*places, strict=True), "o", color=INK["muted"], markersize=6, alpha=0.5, markeredgewidth=0)
        axes.plot(*zip(*front, strict=True), "o", color=INK["accent"], markersize=8, markeredgecolor=INK["card"])
        if ranking.chosen is not None and ranking.chosen.usd is not None:
            axes.plot(*_place(ranking.chosen), "o", color=INK["good"], markersize=11, markeredgecolor=INK["card"])
        for place, option in enumerate(_spread(ranking.front)):
            say(axes, team(option), _place(option), Style("left", (8, -9 if place % 2 else 8)))
        _times(axes)
        _amounts(axes)
        axes.set_xlabel("time")
        axes.set_ylabel("cost")

    svg = draw("market", Canvas(620, 330, left=72, right=110, bottom=44), paint, "Options by time and cost")
    note = (
        "One point for each device at its best number, and the line of those that nothing beats in both time and cost. "
        "Both axes are logarithmic."
    )
    legend = (Key("nothing is both faster and cheaper", "accent"), Key("chosen", "good"), Key("other devices", "muted", opacity=0.5))
    return Chart("market", "Time and cost", note, svg, legend=legend)


def lanes(option: Estimate) -> Chart:
    """What each lane takes alone; the longest is what the job waits for."""
    rows: tuple[Lane, ...] = option.lanes
    longest = max(lane.span.expected for lane in rows)

    def paint(axes: Axes) -> None:
        axes.set_xlim(0, longest)
        axes.set_ylim(len(rows), 0)
        for place, lane in enumerate(rows):
            fill_boxes(axes, [Box(0, place + 0.2, lane.span.expected, 0.6)], _LANE_INK[lane.name])
            say(axes, lane.name, (0, place + 0.5), NAME)
            say(axes, format_seconds(lane.span.expected), (lane.span.expected, place + 0.5), VALUE)
        axes.set_xticks([])
        axes.set_yticks([])
        bare(axes, "left", "bottom")

    svg = draw("lanes", Canvas(400, 30 + 34 * len(rows), left=72, right=96, bottom=8), paint, "Seconds of each lane")
    note = (
        f"On {team(option)}. Lanes overlap but for compute and memory, which take turns: the job waits for {WAITS_FOR[option.bottleneck]}."
    )
    return Chart("lanes", "Where the time goes", note, svg)


def what_if(variation: Variation) -> Chart:
    """Time, and cost where it is known, of the choice at each value."""
    chosen = [(point.value, option) for point in variation.points if (option := _chosen(point)) is not None]
    values = [value for value, _ in chosen]
    seconds = [option.seconds.expected for _, option in chosen if option.seconds]
    low = [option.seconds.low for _, option in chosen if option.seconds]
    high = [min(option.seconds.high, 1e3 * option.seconds.expected) for _, option in chosen if option.seconds]

    def paint(axes: Axes) -> None:
        places = list(range(len(values)))
        axes.set_yscale("log")
        axes.fill_between(places, low, high, color=INK["multiply"], alpha=0.15, linewidth=0)
        axes.plot(places, seconds, "o-", color=INK["multiply"], linewidth=2, markersize=7, markeredgecolor=INK["card"])
        for place, (_, option) in enumerate(chosen):
            cost = "" if option.usd is None else format_usd(option.usd.expected)
            say(axes, cost, (place, seconds[place]), Style("center", (0, 12), "muted", 10.5))
        axes.set_xticks(places, values)
        axes.set_xlim(-0.4, len(values) - 0.6)
        axes.set_ylim(min(low) / 2, max(high) * 3)
        axes.minorticks_off()
        _marks(axes.yaxis.set_ticks, min(low) / 2, max(high) * 3)
        axes.grid(True, axis="y", alpha=0.6)
        axes.set_xlabel(variation.axis)

    svg = draw(f"vary-{variation.axis}", Canvas(400, 260, left=76, bottom=44), paint, f"Time by {variation.axis}")
    note = (
        "Time of what would be chosen, the band that four runs of five fall into, and above each point its cost, "
        f"as {variation.axis} changes alone."
    )
    return Chart(f"vary-{variation.axis}", f"If {variation.axis} were different", note, svg)


def _chosen(point: Point) -> Estimate | None:
    return None if point.ranking is None else point.ranking.chosen


def _place(option: Estimate) -> tuple[float, float]:
    """Seconds and dollars; what costs nothing is drawn at a thousandth of a cent."""
    seconds = option.seconds.expected if option.seconds else inf
    return seconds, max(option.usd.expected if option.usd else inf, 1e-5)


def _spread(front: Sequence[Estimate]) -> list[Estimate]:
    """Those whose labels do not lie over each other: no two within a factor of 1.5 in time and 1.3 in cost."""
    kept: list[Estimate] = []
    for option in front:
        x, y = _place(option)
        if all(max(x / a, a / x) > 1.5 or max(y / b, b / y) > 1.3 for a, b in map(_place, kept)):
            kept.append(option)
    return kept


def _logarithmic(axes: Axes, across: Sequence[float], up: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(min(across) / 1.6, max(across) * 1.6)
    axes.set_ylim(min(up) / 1.6, max(up) * 1.6)
    axes.minorticks_off()
    axes.grid(True, alpha=0.6)


def _times(axes: Axes) -> None:
    _marks(axes.xaxis.set_ticks, *axes.get_xlim())


def _marks(set_ticks: Callable[[list[float], list[str]], object], low: float, high: float) -> None:
    """Marks at times that people think in, at most about seven."""
    marks = sorted(mark for mark in _TICKS if low <= mark <= high)
    few = marks[:: 1 + len(marks) // 8] or [sqrt(low * high)]
    set_ticks(few, [_TICKS.get(mark, format_seconds(mark)) for mark in few])


def _amounts(axes: Axes) -> None:
    """Marks at 1, 2 and 5 dollars, tens of them and so on; at least one."""
    low, high = axes.get_ylim()
    decades = range(floor(log10(low)), floor(log10(high)) + 1)
    marks = [mark for place in decades for mark in (10.0**place, 2 * 10.0**place, 5 * 10.0**place) if low <= mark <= high]
    few = marks[:: 1 + len(marks) // 10] or [sqrt(low * high)]
    axes.yaxis.set_ticks(few, [format_usd(mark) for mark in few])
