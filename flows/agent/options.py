"""Devices that could do a job, as an agent sees them: how long, at what price, why; the best first, and never a long list."""

import re
from datetime import date
from math import inf
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from tasks.choice.reasons import headline, reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.catalogue import Price
    from tasks.catalogue.span import Span
    from tasks.choice.estimate import Estimate
    from tasks.choice.rank import Ranking
    from tasks.choice.whatif import Variation

_VALUE = ConfigDict(frozen=True, use_attribute_docstrings=True)

MOST_OPTIONS = 10
MOST_ELSEWHERE = 5

MOST_PRODUCTS = 16
"""Matrix products of a model that are listed: those with most operations."""

ARGUMENTS = {
    "storage": "storage_bytes_per_second",
    "deadline": "deadline_seconds",
    "budget": "budget_usd",
    "price-here": "usd_per_hour",
    "model": "config",
    "shape": "m, k, n",
    "catalogue": "the operator's --catalogue",
}
"""By option of `gemmflow analyze`, where the names differ."""

Interval = tuple[float, float | None]
"""Four of five fall into it; no upper end where only a lower bound is known."""


class Offer(BaseModel):
    """A price."""

    model_config = _VALUE

    usd_per_hour: float
    """Of one device."""
    devices_per_instance: int
    """Rented together or not at all."""
    instance: str | None
    provider: str | None
    region: str | None
    date: str | None
    """When it was read; null where nobody said."""
    age_days: int | None
    """Since then. Prices older than 90 days are to be looked up again."""


class Option(BaseModel):
    """So many of one device for a job."""

    model_config = _VALUE

    device: str
    count: int
    feasible: bool
    arithmetic: str | None
    """The fastest that keeps the error; null where it is not feasible."""
    seconds: float | None
    """Expected, from the first read to the last write."""
    seconds_interval: Interval | None
    """Range that four runs of five fall into."""
    known_from: str | None
    """What the time rests on, the surest first: stated, measured, efficiency, prior, assumed, peak."""
    usd: float | None
    """What that costs; null where no price is known."""
    usd_interval: Interval | None
    price: Offer | None
    bottleneck: str | None
    """compute, memory, link, storage or output."""
    reason: str
    """Why it stands here, or why it cannot do the job."""
    notes: list[str]
    """What is assumed."""


class Point(BaseModel):
    """What is to be taken at another value."""

    model_config = _VALUE

    axis: str
    """What differs."""
    value: str
    device: str | None
    """Null where nothing is within deadline and budget, or the question makes no sense there."""
    count: int | None
    arithmetic: str | None
    seconds: float | None
    usd: float | None
    why_not: str | None
    """Why there is none."""


class Advice(BaseModel):
    """The answer of analyze_shape and analyze_model. There is no plan_id: nothing of it can be submitted."""

    model_config = _VALUE

    title: str
    """What was asked about."""
    headline: str
    """The choice in words, or why there is none."""
    needs: dict[str, object]
    """Operations and bytes; of a model its parameters and largest products, too."""
    chosen: Option | None
    """What to take; null where nothing is within the deadline and the budget."""
    options: list[Option]
    """Ranked, at most 10: those within deadline and budget, the other feasible ones, the infeasible ones."""
    options_left_out: int
    """Devices after the tenth."""
    what_if: list[Point]
    """The choice at each of the values that vary names."""
    warnings: list[str]
    """Assumptions, prices that are old or missing, a product that is too large."""
    next: str
    """What to do now."""


def option_of(found: "Estimate", ranking: "Ranking", today: date) -> Option:
    """One row of a ranking."""
    return Option(
        device=found.device.name,
        count=found.count,
        feasible=found.feasible,
        arithmetic=found.way.name if found.way else None,
        seconds=found.seconds.expected if found.seconds else None,
        seconds_interval=_ends(found.seconds),
        known_from=found.seconds.how if found.seconds else None,
        usd=found.usd.expected if found.usd else None,
        usd_interval=_ends(found.usd),
        price=offer_of(found.bill.price, today) if found.bill else None,
        bottleneck=found.bottleneck or None,
        reason=reason(found, ranking),
        notes=[as_arguments(note) for note in found.notes],
    )


def points_of(variation: "Variation") -> "Iterator[Point]":
    """The choice at each value of an axis."""
    for point in variation.points:
        chosen = point.ranking.chosen if point.ranking is not None else None
        nothing = point.why_not or (headline(point.ranking) if point.ranking is not None and chosen is None else "")
        yield Point(
            axis=variation.axis,
            value=point.value,
            device=chosen.device.name if chosen else None,
            count=chosen.count if chosen else None,
            arithmetic=chosen.way.name if chosen and chosen.way else None,
            seconds=chosen.seconds.expected if chosen and chosen.seconds else None,
            usd=chosen.usd.expected if chosen and chosen.usd else None,
            why_not=as_arguments(nothing) or None,
        )


def elsewhere(ranking: "Ranking", today: date) -> list[Option]:
    """The best of other devices than this machine."""
    others = [one for one in ranking.options if one.feasible and one.device.kind != "this machine"]
    return [option_of(one, ranking, today) for one in others[:MOST_ELSEWHERE]]


def offer_of(price: "Price", today: date) -> Offer:
    """A price with its age."""
    return Offer(
        usd_per_hour=price.usd_per_hour,
        devices_per_instance=price.devices_per_instance,
        instance=price.instance or None,
        provider=price.provider or None,
        region=price.region or None,
        date=price.date or None,
        age_days=price.age(today),
    )


def as_arguments(text: str) -> str:
    """Words that name options of the command line, with the arguments of the tools that they are.

    >>> as_arguments("say what yours does with --storage, or --keep top:100")
    'say what yours does with storage_bytes_per_second, or keep top:100'
    """
    return re.sub(r"--([a-z][a-z-]*)", lambda found: ARGUMENTS.get(found[1], found[1].replace("-", "_")), text)


def _ends(span: "Span | None") -> Interval | None:
    return None if span is None else (span.low, None if span.high == inf else span.high)
