"""The whole answer to a question about needs: what the job is, what it needs, where it should run; as text and as JSON.

Schema 1: keys are added, never renamed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from tasks.catalogue.price import STALE_DAYS
from tasks.choice.errand import Errand
from tasks.choice.rank import Ranking
from tasks.choice.reasons import headline, short_reason, team
from tasks.choice.shown import (
    OPTIONS_HEAD,
    POINTS_HEAD,
    Cells,
    front_rows,
    notes_of,
    option_rows,
    point_rows,
    ranking_json,
    variation_json,
)
from tasks.choice.whatif import Variation
from tasks.tables import aligned, wrapped
from tasks.units import format_seconds, format_usd
from tasks.wording import plural

SCHEMA = 1

LEFT_OUT = ("starting, renting, and bringing the data there are left out",)
"""Of every time."""

SHOWN = 12
"""Options in a terminal."""


@dataclass(frozen=True)
class Table:
    """Part of what a job needs."""

    title: str
    head: Cells
    rows: tuple[Cells, ...]
    note: str = ""


@dataclass(frozen=True)
class Answer:
    """What was found out about one job."""

    kind: Literal["matrix", "model"]
    title: str
    needs: dict[str, object]
    """For machines: operations, bytes and what else this kind of job has."""
    facts: tuple[tuple[str, str], ...]
    """The same for people, name and value."""
    ranking: Ranking
    tables: tuple[Table, ...] = ()
    variations: tuple[Variation, ...] = ()
    errand: Errand | None = None
    """How to run what was chosen; None for jobs that gemmflow does not run."""
    warnings: tuple[str, ...] = field(default=())
    pressing: tuple[str, ...] = ()
    """Of these, what is said even where one line is enough."""

    @property
    def assumptions(self) -> list[str]:
        """What the chosen options rest on."""
        chosen = self.ranking.chosen
        return notes_of([chosen] if chosen is not None else [option for option in self.ranking.options if option.feasible][:1])

    def to_text(self) -> str:
        """For the terminal."""
        lines = [self.title, "", *aligned(wrapped(self.facts), left=2)]
        for table in self.tables:
            lines += ["", table.title, *_indented([*aligned([table.head, *table.rows]), *([table.note] if table.note else [])])]
        return "\n".join([*lines, "", self.choice_text()])

    def line(self) -> str:
        """The choice in one line, below the plan of somebody who did not ask about other devices; and what is pressing."""
        return "\n".join([self._elsewhere(), *(f"note: {problem}" for problem in self.pressing)])

    def _elsewhere(self) -> str:
        chosen = self.ranking.chosen
        if chosen is None or chosen.seconds is None:
            return f"elsewhere  {headline(self.ranking)}"
        cost = "" if chosen.usd is None else f", {format_usd(chosen.usd.expected)}"
        took = f"{team(chosen)} would take {format_seconds(chosen.seconds.expected)}{cost}, once the data are there"
        return f"elsewhere  {took}: --by time, --deadline, --devices or --html compare devices"

    def choice_text(self) -> str:
        """The choice alone, for what is shown below a plan."""
        lines = [headline(self.ranking), *_indented(_explained([OPTIONS_HEAD, *option_rows(self.ranking, short_reason)[:SHOWN]]))]
        if len(self.ranking.options) > SHOWN:
            lines.append(f"  and {len(self.ranking.options) - SHOWN} more: --json or --html shows them all")
        if self.ranking.front:
            front = aligned([POINTS_HEAD, *front_rows(self.ranking)], left=3)
            lines += ["", "nothing is both faster and cheaper than", *_indented(front)]
        for variation in self.variations:
            rows = _explained([(variation.axis, *POINTS_HEAD[1:], ""), *point_rows(variation)])
            lines += ["", f"with other values of {variation.axis}", *_indented(rows)]
        if self.errand is not None:
            lines += ["", "to run it", *_indented(self.errand.steps)]
        lines += [f"note: {note}" for note in (*self.assumptions, *self.warnings)]
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """Schema 1."""
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "title": self.title,
            "needs": self.needs,
            "choice": ranking_json(self.ranking),
            "what_if": [variation_json(variation) for variation in self.variations],
            "run": None if self.errand is None else {"steps": list(self.errand.steps), "cluster_file": self.errand.cluster_file},
            "warnings": [*self.assumptions, *self.warnings],
        }


def price_warnings(ranking: Ranking, today: date) -> list[str]:
    """Prices that are old or unknown, of the choice and of all that can do the job."""
    feasible = [option for option in ranking.options if option.feasible]
    prices = {one.device.name: one.bill.price for one in feasible if one.bill is not None and one.device.kind != "this machine"}
    chosen = None if ranking.chosen is None else prices.get(ranking.chosen.device.name)
    doubts = [f"of the choice, {doubt}"] if chosen is not None and (doubt := chosen.doubts(today)) else []
    old = sorted(days for price in prices.values() if (days := price.age(today)) is not None and days > STALE_DAYS)
    undated = [name for name, price in prices.items() if price.age(today) is None]
    unknown = [option.device.name for option in feasible if option.bill is None]
    ages = [f"{plural(len(old), 'price')} of {_between(old)} days ago: look up today's, and give them with --catalogue"] if old else []
    found = [*doubts, *ages]
    if undated:
        found.append(f"nobody said of when the price of {', '.join(undated[:4])} is")
    if unknown:
        found.append(f"no price is known for {', '.join(unknown[:4])}{' and others' if len(unknown) > 4 else ''}: time without cost")
    return found


def _between(days: Sequence[int]) -> str:
    return f"{days[0]} to {days[-1]}" if days[0] < days[-1] else str(days[0])


def _explained(rows: Sequence[Cells]) -> list[str]:
    """Columns of equal width, and after them the last cell as it is."""
    columns = aligned([row[:-1] for row in rows], left=3)
    return [f"{line.ljust(max(map(len, columns)))}  {row[-1]}".rstrip() for line, row in zip(columns, rows, strict=True)]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
