"""A ranking and its what-ifs as rows for people and as JSON for machines; keys are added, never renamed."""

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

from tasks.choice.estimate import Estimate
from tasks.choice.rank import Ranking
from tasks.choice.reasons import headline, reason, team
from tasks.choice.whatif import Point, Variation
from tasks.units import format_seconds, format_usd

if TYPE_CHECKING:
    from tasks.catalogue.price import Price
    from tasks.catalogue.span import Span

Cells = tuple[str, ...]

OPTIONS_HEAD: Cells = ("", "device", "arithmetic", "time", "80 % of runs", "cost", "why")
POINTS_HEAD: Cells = ("", "device", "arithmetic", "time", "80 % of runs", "cost")


def option_rows(ranking: Ranking, say: Callable[[Estimate, Ranking], str] = reason) -> list[Cells]:
    """One row an option, under OPTIONS_HEAD; the chosen one is marked, those on the Pareto front have a point."""
    return [(_mark(option, ranking), *_cells(option), say(option, ranking)) for option in ranking.options]


def front_rows(ranking: Ranking) -> list[Cells]:
    """The Pareto front, under POINTS_HEAD."""
    return [(_mark(option, ranking), *_cells(option)) for option in ranking.front]


def point_rows(variation: Variation) -> list[Cells]:
    """One row a value, under POINTS_HEAD and a column without a name: the choice there, or why there is none."""
    return [_point_row(point) for point in variation.points]


def ranking_json(ranking: Ranking) -> dict[str, object]:
    """What was asked for, the choice and every option."""
    aim = ranking.aim
    return {
        "by": aim.by,
        "deadline_seconds": None if aim.deadline == inf else aim.deadline,
        "budget_usd": None if aim.budget == inf else aim.budget,
        "most_devices": aim.most_devices,
        "headline": headline(ranking),
        "chosen": None if ranking.chosen is None else option_json(ranking.chosen, ranking),
        "options": [option_json(option, ranking) for option in ranking.options],
        "front": [option_json(option, ranking) for option in ranking.front],
    }


def variation_json(variation: Variation) -> dict[str, object]:
    """An axis and the choice at each of its values."""
    points = [
        {"value": point.value, "chosen": _chosen_json(point), "why_not": point.why_not or _none_chosen(point)} for point in variation.points
    ]
    return {"axis": variation.axis, "points": points}


def option_json(option: Estimate, ranking: Ranking) -> dict[str, object]:
    """One option; what is not known is null."""
    return {
        "device": option.device.name,
        "count": option.count,
        "feasible": option.feasible,
        "arithmetic": option.way.name if option.way else None,
        "precision": option.way.precision if option.way else None,
        "seconds": _expected(option.seconds),
        "seconds_interval": _interval(option.seconds),
        "known_from": option.seconds.how if option.seconds else None,
        "usd": _expected(option.usd),
        "usd_interval": _interval(option.usd),
        "devices_billed": option.bill.devices if option.bill else option.count,
        "price": _price_json(option.bill.price) if option.bill else None,
        "bottleneck": option.bottleneck or None,
        "lanes": {lane.name: lane.span.expected for lane in option.lanes},
        "reason": reason(option, ranking),
        "notes": list(option.notes),
    }


def notes_of(options: Sequence[Estimate]) -> list[str]:
    """What is assumed by any of them, each once."""
    return list(dict.fromkeys(note for option in options for note in option.notes))


def _mark(option: Estimate, ranking: Ranking) -> str:
    if option is ranking.chosen:
        return "→"
    return "·" if option in ranking.front else ""


def _cells(option: Estimate) -> Cells:
    cost = "" if not option.feasible else "no price" if option.usd is None else format_usd(option.usd.expected)
    return (
        team(option),
        option.way.name if option.way else "",
        format_seconds(option.seconds.expected) if option.seconds else "",
        between(option.seconds),
        cost,
    )


def between(span: "Span | None", show: Callable[[float], str] = format_seconds) -> str:
    """An interval for people; its end may be unknown."""
    return "" if span is None else f"{show(span.low)} to {'no limit' if span.high == inf else show(span.high)}"


def _point_row(point: Point) -> Cells:
    if point.ranking is None or point.ranking.chosen is None:
        return (point.value, "", "", "", "", "", point.why_not or _none_chosen(point))
    return (point.value, *_cells(point.ranking.chosen), "")


def _chosen_json(point: Point) -> dict[str, object] | None:
    if point.ranking is None or point.ranking.chosen is None:
        return None
    return option_json(point.ranking.chosen, point.ranking)


def _none_chosen(point: Point) -> str:
    return headline(point.ranking) if point.ranking is not None and point.ranking.chosen is None else ""


def _price_json(price: "Price") -> dict[str, object]:
    return {
        "usd_per_device_hour": price.usd_per_hour,
        "devices_per_instance": price.devices_per_instance,
        "instance": price.instance,
        "provider": price.provider,
        "region": price.region,
        "date": price.date or None,
    }


def _expected(span: "Span | None") -> float | None:
    return None if span is None else span.expected


def _interval(span: "Span | None") -> list[float | None] | None:
    return None if span is None else [span.low, None if span.high == inf else span.high]
