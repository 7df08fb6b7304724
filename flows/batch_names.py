"""Names over dates, for jobs that run every night:

    out: 'scores-{scheduled:%Y-%m-%d}.zarr'   =>   scores-2026-01-31.zarr

`scheduled` is the only name, and it needs a form; what is unknown is a problem, never a part of a file's name. Braces that belong to
a name are doubled: {{ and }}.
"""

import re
from datetime import UTC, datetime
from string import Formatter
from zoneinfo import ZoneInfo

from tasks.errors import BadInput

SCHEDULED = "scheduled"

DIRECTIVES = frozenset("aAbBcdfGHIjmMpSuUVwWxXyYzZ%")
"""Letters that may follow a percent sign: those that Python documents for every system."""

EXAMPLE = "{scheduled:%Y-%m-%d}"


def fill(text: str, scheduled: datetime) -> tuple[str, tuple[str, ...]]:
    """The text with its dates filled in, and what is wrong with it, one line each."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        return text, (f"{text!r}: {str(error).lower()}: double the braces that are no dates, {{{{ and }}}}",)
    problems = tuple(problem for _, name, form, conversion in parts if name is not None for problem in _problems(name, form, conversion))
    if problems:
        return text, problems
    return "".join(literal + (scheduled.strftime(form) if name and form else "") for literal, name, form, _ in parts), ()


def parse_time(text: str) -> datetime:
    """The time that a person wrote, such as 2026-01-31T03:00. Raises ValueError."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"scheduled is {text!r}: give a time such as 2026-01-31T03:00") from None


def in_zone(scheduled: datetime | None, zone: str) -> datetime:
    """The time in a time zone: now where none is given; a time without a zone is meant in this one. Raises BadInput beyond the calendar.

    >>> in_zone(datetime(2026, 1, 31, 23, 30, tzinfo=UTC), "Europe/Berlin").isoformat()
    '2026-02-01T00:30:00+01:00'
    >>> in_zone(datetime(2026, 1, 31, 3), "Europe/Berlin").isoformat()
    '2026-01-31T03:00:00+01:00'
    """
    place = ZoneInfo(zone)
    if scheduled is None:
        return datetime.now(UTC).astimezone(place)
    try:
        return scheduled.replace(tzinfo=place) if scheduled.tzinfo is None else scheduled.astimezone(place)
    except OverflowError:
        raise BadInput(f"scheduled is {scheduled.isoformat()}, which has no date in {zone}: give a time such as 2026-01-31T03:00") from None


def _problems(name: str, form: str | None, conversion: str | None) -> tuple[str, ...]:
    whole = name + (f"!{conversion}" if conversion else "")
    if whole != SCHEDULED:
        return (f"{{{whole}}} is no name: write {EXAMPLE}",)
    if not form:
        return (f"{{{SCHEDULED}}} needs a form: write {EXAMPLE}",)
    unknown = [found for found in re.findall("%(.?)", form.replace("%%", "")) if found not in DIRECTIVES or not found]
    if "{" in form or "}" in form or "%" not in form:
        return (f"{{{SCHEDULED}:{form}}} is no form of a date: write {EXAMPLE}",)
    return tuple(f"{{{SCHEDULED}:{form}}} has %{letter}, which is no part of a date: write {EXAMPLE}" for letter in unknown)
