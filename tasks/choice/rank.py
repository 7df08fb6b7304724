"""Which device, and how many of them: by time, by cost, by cost under a deadline or time under a budget; and the Pareto front.

For each device, the fewest that hold the job are tried, the power of two from there, and its doubles, up to a limit.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Literal, get_args

from tasks.choice.demand import Demand, Team
from tasks.choice.estimate import Estimate, estimate, fewest
from tasks.choice.site import Site
from tasks.errors import BadInput

if TYPE_CHECKING:
    from tasks.catalogue.device import Device

Goal = Literal["time", "cost"]

MOST_DEVICES = 8
"""Of one kind, where nobody says more: those of one usual host."""

MOST_COUNTED = 1_000_000


@dataclass(frozen=True)
class Aim:
    """What is wanted of a choice."""

    by: Goal = "cost"
    """What is made small."""
    deadline: float = inf
    """Seconds that it may take."""
    budget: float = inf
    """US dollars that it may cost."""
    most_devices: int = MOST_DEVICES
    """Of one kind."""
    count: int | None = None
    """Exactly so many devices; None for the number that serves best."""

    def __post_init__(self) -> None:
        if self.by not in get_args(Goal):
            raise BadInput(f"options are ranked by {' or '.join(get_args(Goal))}, not by {self.by!r}")
        if not self.deadline > 0:
            raise BadInput(f"a deadline of {self.deadline:g} s cannot be met: name seconds above 0")
        if not self.budget >= 0:
            raise BadInput(f"a budget of {self.budget:g} $ is none: name 0 or more")
        if self.most_devices < 1:
            raise BadInput(f"{self.most_devices} devices compute nothing: name 1 or more")
        if self.count is not None and not 1 <= self.count <= MOST_COUNTED:
            raise BadInput(f"{self.count} devices are not to be had: name 1 to {MOST_COUNTED:,}")

    def admits(self, option: Estimate) -> bool:
        """Whether it is feasible, expected in time, and known to be within the budget."""
        if option.seconds is None or option.seconds.expected > self.deadline:
            return False
        return self.budget == inf or (option.usd is not None and option.usd.expected <= self.budget)


@dataclass(frozen=True)
class Ranking:
    """Options in order: those that the aim admits, the other feasible ones, the infeasible ones. Of each, times without an upper end
    are last: nobody should rent by a number that nothing bounds while there is another."""

    aim: Aim
    options: tuple[Estimate, ...]
    """One a device: the number of devices that serves the aim best."""
    front: tuple[Estimate, ...]
    """Of all numbers of all devices: none is both faster and cheaper. Those without a price are left out."""

    @property
    def chosen(self) -> Estimate | None:
        """The first that the aim admits."""
        return next((option for option in self.options if self.aim.admits(option)), None)

    @property
    def fastest(self) -> Estimate | None:
        """Of all numbers of all devices, whatever the aim; None where none is feasible."""
        feasible = [option for option in (*self.front[:1], *self.options) if option.feasible]
        return min(feasible, key=lambda option: (_seconds(option), _usd(option), option.count), default=None)


def rank(demand: Demand, devices: Iterable["Device"], aim: Aim, site: Site, ready: Sequence[Estimate] = ()) -> Ranking:
    """All options for a job; `ready` are those that somebody knows better, such as the plan for this machine."""
    every = [*([_counted(option, aim)] for option in ready), *(_sizes(demand, device, aim, site) for device in devices)]
    options = sorted((_best(sizes, aim) for sizes in every), key=_order(aim))
    return Ranking(aim, tuple(options), pareto([option for sizes in every for option in sizes]))


def pareto(options: Iterable[Estimate]) -> tuple[Estimate, ...]:
    """Those than which no other is both at least as fast and at least as cheap, to three digits, fastest first; of equals the first."""
    front: list[Estimate] = []
    cheapest = inf
    for option in sorted((one for one in options if one.seconds and one.usd), key=lambda one: (_seconds(one), _usd(one))):
        if _usd(option) < cheapest:
            front.append(option)
            cheapest = _usd(option)
    return tuple(front)


def _sizes(demand: Demand, device: "Device", aim: Aim, site: Site) -> list[Estimate]:
    if aim.count is not None and device.kind == "this machine":
        return [_counted(estimate(demand, Team(device, 1), site), aim)]
    if aim.count is not None:
        return [estimate(demand, Team(device, aim.count), site)]
    first, most = fewest(demand, device), 1 if device.kind == "this machine" else aim.most_devices
    if first is None or first > most:
        return [estimate(demand, Team(device, most if first else 1), site)]
    return [estimate(demand, Team(device, count), site) for count in _doubles(first, most)]


def _counted(option: Estimate, aim: Aim) -> Estimate:
    """What runs on this machine, of which there is one."""
    if aim.count in (None, option.count):
        return option
    return Estimate(option.device, option.count, why_not=f"there is one of {option.device.name}, not {aim.count}")


def _doubles(first: int, most: int) -> list[int]:
    """First, the power of two from there, and its doubles.

    >>> _doubles(1, 8), _doubles(3, 16)
    ([1, 2, 4, 8], [3, 4, 8, 16])
    """
    counts = [first]
    power = 1 << (first - 1).bit_length() if first > 1 else 1
    while power <= most:
        counts.append(power)
        power *= 2
    return list(dict.fromkeys(counts))


def _best(sizes: Sequence[Estimate], aim: Aim) -> Estimate:
    return min(sizes, key=_order(aim))


def _order(aim: Aim) -> Callable[[Estimate], tuple[bool, bool, bool, float, float, int]]:
    first, second = (_seconds, _usd) if aim.by == "time" else (_usd, _seconds)
    return lambda option: (not aim.admits(option), not option.feasible, _is_open(option), first(option), second(option), option.count)


def _is_open(option: Estimate) -> bool:
    return option.seconds is not None and option.seconds.high == inf


def _seconds(option: Estimate) -> float:
    return inf if option.seconds is None else _three_digits(option.seconds.expected)


def _usd(option: Estimate) -> float:
    return inf if option.usd is None else _three_digits(option.usd.expected)


def _three_digits(value: float) -> float:
    """So that nobody waits for hours to save a millionth of the cost.

    >>> _three_digits(0.22659638), _three_digits(0.22659646)
    (0.227, 0.227)
    """
    return float(f"{value:.3g}")
