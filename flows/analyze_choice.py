"""From a question to its answer: demands, devices, what is wanted, and the ranking; for one question or along an axis."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Generic, TypeVar

from flows.analyze_question import Wanted
from storage import expanded
from tasks.catalogue import NOTHING_MEASURED, Device, catalogue, find
from tasks.choice.demand import Demand
from tasks.choice.estimate import Estimate
from tasks.choice.rank import Aim, Ranking, rank
from tasks.choice.site import Site
from tasks.choice.whatif import Variation, parse, vary
from tasks.errors import BadInput
from tasks.units import parse_count, parse_seconds

D = TypeVar("D", bound=Demand)

HERE, MACHINE = "here", "this machine"
"""Names of this machine among devices: as people ask for it, and as it is shown."""


@dataclass(frozen=True)
class Question(Generic[D]):
    """One job, what it could run on, and what is wanted of the choice."""

    demand: D
    devices: tuple[Device, ...]
    aim: Aim
    site: Site
    ready: tuple[Estimate, ...] = ()
    """Options that somebody knows better."""
    known: tuple[Device, ...] = ()
    """All that a what-if may name, whichever the question is about; this machine among them."""
    planned: tuple[Estimate, ...] = ()
    """This machine's plan, whether or not the question is about this machine."""

    def about(self, demand: D) -> "Question[D]":
        """The same about another job: nobody planned that one, so this machine is an estimate as others are."""
        mine = tuple(option.device for option in self.ready)
        return replace(self, demand=demand, devices=(*mine, *self.devices), ready=(), planned=())

    def ranking(self) -> Ranking:
        """All options."""
        return rank(self.demand, self.devices, self.aim, self.site, self.ready)


Change = Callable[[Question[D], str], Question[D]]
"""The question with another value of one axis; raises BadInput or ValueError where the value is none."""


def _aim(field: str, read: Callable[[str], object], question: Question[D], value: str) -> Question[D]:
    return replace(question, aim=replace(question.aim, **{field: read(value)}))


def _device(question: Question[D], value: str) -> Question[D]:
    if value not in (HERE, MACHINE):
        return replace(question, devices=(find(value, question.known),), ready=())
    mine = tuple(device for device in question.known if device.kind == MACHINE)
    if not mine:
        raise BadInput(NOTHING_MEASURED)
    return replace(question, devices=() if question.planned else mine, ready=question.planned)


def _count(value: str) -> int:
    count = parse_count(value)
    assert isinstance(count, int)
    return count


def _usd(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise BadInput(f"{value!r} is no amount of US dollars: write a number such as 50") from None


def pose(demand: D, wanted: Wanted, here: Device | None, ready: Sequence[Estimate] = ()) -> Question[D]:
    """The question that the options ask; raises BadInput where a device, the catalogue or a limit makes no sense."""
    known = catalogue(expanded(wanted.catalogue) if wanted.catalogue else None)
    aim = Aim(
        wanted.by,
        inf if wanted.deadline is None else wanted.deadline,
        inf if wanted.budget is None else wanted.budget,
        wanted.most_devices,
        wanted.count,
    )
    site = Site() if wanted.storage is None else Site(wanted.storage, wanted.storage, assumed=False)
    if wanted.devices == []:
        raise BadInput("--devices names none: name some, or leave it out")
    asked, machine = wanted.devices, () if here is None else (here,)
    wants_here = asked is None or not {HERE, MACHINE}.isdisjoint(asked)
    if asked is not None and wants_here and not (machine or ready):
        raise BadInput(NOTHING_MEASURED)
    others = known if asked is None else _found(asked, known)
    mine = machine if wants_here and not ready else ()
    return Question(demand, (*mine, *others), aim, site, tuple(ready) if wants_here else (), (*machine, *known), tuple(ready))


def _found(names: Sequence[str], known: Sequence[Device]) -> tuple[Device, ...]:
    """Each once, however often and by which names it was asked for."""
    found = [find(name, known) for name in names if name not in (HERE, MACHINE)]
    return tuple({device.name: device for device in found}.values())


def variations(question: Question[D], asked: Sequence[str] | None, axes: Mapping[str, Change[D]]) -> tuple[Variation, ...]:
    """The same question along each axis that was asked for, `axes` being those of this kind of job.

    Raises BadInput where one is no axis of this job.
    """
    common: Mapping[str, Change[D]] = {
        "workers": partial(_aim, "count", _count),
        "deadline": partial(_aim, "deadline", parse_seconds),
        "budget": partial(_aim, "budget", _usd),
        "device": _device,
    }
    every = {**axes, **common}
    asks = {name: partial(_changed, question, change, name) for name, change in every.items()}
    return vary(parse(asked or (), asks), asks)


def _changed(question: Question[D], change: Change[D], axis: str, value: str) -> Ranking:
    try:
        return change(question, value).ranking()
    except ValueError as error:
        raise BadInput(f"{axis}={value}: {error}") from None
