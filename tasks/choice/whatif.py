"""The same question with other numbers: one axis at a time, all else as asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tasks.choice.rank import Ranking
from tasks.errors import BadInput, Refused

MOST_VALUES = 50
"""Of one axis."""


@dataclass(frozen=True)
class Point:
    """One value of an axis and what it comes to."""

    value: str
    """As it was asked for."""
    ranking: Ranking | None
    """None where the question makes no sense there."""
    why_not: str = ""
    """Why it makes none."""


@dataclass(frozen=True)
class Variation:
    """One axis."""

    axis: str
    points: tuple[Point, ...]


Ask = Callable[[str], Ranking]
"""Answers the question with one value of an axis; raises BadInput or Refused where it makes no sense."""


def parse(texts: Sequence[str], axes: Mapping[str, Ask]) -> dict[str, tuple[str, ...]]:
    """Axes and values from texts such as ``n=1000,2000``; raises BadInput where one is no axis of this job, or has no values."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, separator, rest = text.partition("=")
        name = name.strip()
        values = tuple(value.strip() for value in rest.split(",") if value.strip())
        if name not in axes:
            raise BadInput(f"--vary {text}: {name!r} cannot be varied here: name one of {', '.join(axes)}")
        if not separator or not values:
            raise BadInput(f"--vary {text}: no values: write for example {name}=1000,2000,4000")
        if len(values) > MOST_VALUES:
            raise BadInput(f"--vary {name}: {len(values)} values, at most {MOST_VALUES}: leave some out")
        if name in found:
            raise BadInput(f"--vary {name} is given twice: name all its values at once")
        found[name] = values
    return found


def vary(wanted: Mapping[str, Sequence[str]], axes: Mapping[str, Ask]) -> tuple[Variation, ...]:
    """The answers, in the order of the values."""
    return tuple(Variation(name, tuple(_point(value, axes[name]) for value in values)) for name, values in wanted.items())


def _point(value: str, ask: Ask) -> Point:
    try:
        return Point(value, ask(value))
    except (BadInput, Refused) as error:
        return Point(value, None, str(error))
