"""The answer of `gemmflow analyze` as one HTML file that needs nothing else, with its plots."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata

from tasks.choice.answer import Answer, Table
from tasks.choice.plots import charts
from tasks.choice.reasons import WAITS_FOR, headline
from tasks.choice.shown import OPTIONS_HEAD, between, option_rows, point_rows
from tasks.choice.whatif import Variation
from tasks.pages import Figure, page
from tasks.units import format_seconds, format_usd


def render_page(answer: Answer) -> str:
    """The page."""
    ranking = answer.ranking
    good = ranking.chosen is not None
    return page("choice.html").render(
        title=answer.title,
        tone="good" if good else "bad",
        verdict="feasible" if good else "nothing fits",
        version=metadata.version("gemmflow"),
        made=datetime.now(UTC),
        headline=headline(ranking),
        figures=_figures(answer),
        warnings=[*answer.assumptions, *answer.warnings],
        charts=charts(ranking, answer.variations),
        facts=answer.facts,
        errand=answer.errand,
        tables=(*answer.tables, *_unanswered(answer.variations)),
        head=OPTIONS_HEAD,
        options=option_rows(ranking),
        data=json.dumps(answer.to_json(), indent=1, ensure_ascii=False),
    )


def _unanswered(variations: Sequence[Variation]) -> tuple[Table, ...]:
    """Values that the pictures leave out, since nothing is chosen there."""
    rows = [(axis.axis, *row) for axis in variations for row in point_rows(axis)]
    missing = tuple((axis, value, why) for axis, value, *_, why in rows if why)
    return (Table("no choice with", ("", "value", "why"), missing),) if missing else ()


def _figures(answer: Answer) -> list[Figure]:
    chosen = answer.ranking.chosen
    if chosen is None or chosen.seconds is None:
        return [Figure("devices", "none", "", "see why below")]
    cost = "unknown" if chosen.usd is None else format_usd(chosen.usd.expected)
    usd = "no price is known" if chosen.usd is None else between(chosen.usd, format_usd)
    return [
        Figure("time", format_seconds(chosen.seconds.expected), "", f"{between(chosen.seconds)}, four runs of five"),
        Figure("cost", cost, "", usd),
        Figure("devices", str(chosen.count), "", chosen.device.name),
        Figure("waits for", chosen.bottleneck, "", WAITS_FOR[chosen.bottleneck]),
    ]
