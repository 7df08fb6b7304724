"""Why an option stands where it stands, in words with numbers."""

from math import inf

from tasks.choice.estimate import Estimate
from tasks.choice.rank import Aim, Ranking
from tasks.units import format_seconds, format_usd
from tasks.wording import plural

WAITS_FOR = {
    "compute": "arithmetic",
    "memory": "the device's own memory",
    "link": "the link between host and device",
    "storage": "reading the inputs",
    "output": "writing the result",
}
"""By lane: what a job with this bottleneck waits for."""

_NOT_DEVICES = ("storage", "output")
"""Lanes that more devices make no faster."""

MUCH_OUTPUT = 1e12
"""Bytes of a result that are named as a problem, whatever else takes long."""


def reason(option: Estimate, ranking: Ranking) -> str:
    """One line: why not; or what it waits for, and how it compares."""
    return "; ".join([short_reason(option, ranking), *_compared(option, ranking)])


def short_reason(option: Estimate, ranking: Ranking) -> str:
    """The same without the comparison, for a terminal."""
    if option.seconds is None:
        return option.why_not
    return "; ".join([f"waits for {WAITS_FOR[option.bottleneck]}", *_limits(option, ranking)])


def headline(ranking: Ranking) -> str:
    """The choice in one line, or that there is none and what would change that."""
    if ranking.chosen is not None:
        return _praised(ranking.chosen, ranking)
    if ranking.fastest is None:
        return f"{_none(ranking)}: see why below"
    limited = (ranking.aim.deadline < inf, ranking.aim.budget < inf)
    return _MISSED[limited](ranking, ranking.fastest)


def refusal(ranking: Ranking) -> str:
    """Why nothing was chosen, where nothing stands below it; empty where something was."""
    if ranking.chosen is not None:
        return ""
    if any(option.feasible for option in ranking.options):
        return headline(ranking)
    return "; ".join([_none(ranking), *(option.why_not for option in ranking.options[:1])])


def _praised(chosen: Estimate, ranking: Ranking) -> str:
    aim = ranking.aim
    if aim.by == "cost" and chosen.usd is None:
        return f"{team(chosen)}, {_seconds(chosen)}: no price is known of any that can do it"
    what = "fastest" if aim.by == "time" else "cheapest"
    able = [option for option in ranking.options if aim.admits(option)]
    return f"{team(chosen)}: {what} of {plural(len(able), 'device')} that can do it{_within(ranking)}"


def _too_slow(ranking: Ranking, fastest: Estimate) -> str:
    said = f"nothing meets{_asked(ranking)}: the fastest, {team(fastest)}, takes {_seconds(fastest)}"
    waits = f", and waits for {WAITS_FOR[fastest.bottleneck]}" if fastest.bottleneck in _NOT_DEVICES else ""
    if waits and not _is_here(fastest):
        return f"{said}{waits}, as more devices would"
    more = "" if waits or not any(map(_gains, ranking.options)) else f" or devices ({_allowed(ranking.aim)} now)"
    return f"{said}{waits}; allow more time{more}"


def _too_dear(ranking: Ranking, _: Estimate) -> str:
    if not ranking.front:
        return f"nothing is known to meet{_asked(ranking)}: {_unpriced(ranking)}"
    cheapest = ranking.front[-1]
    return f"nothing meets{_asked(ranking)}: the cheapest{_of_known_price(ranking)}, {team(cheapest)}, costs {_usd(cheapest)}"


def _too_slow_or_too_dear(ranking: Ranking, fastest: Estimate) -> str:
    if not ranking.front and _is_late(fastest, ranking):
        return f"nothing meets{_asked(ranking)}: the fastest, {team(fastest)}, takes {_seconds(fastest)}, and {_unpriced(ranking)}"
    if not ranking.front:
        return _too_dear(ranking, fastest)
    fastest, cheapest = ranking.front[0], ranking.front[-1]
    ends = {"fastest": fastest} if cheapest is fastest else {"fastest": fastest, "cheapest": cheapest}
    known = _of_known_price(ranking)
    found = [f"the {what}{known}, {team(one)}, takes {_seconds(one)} for {_usd(one)}" for what, one in ends.items()]
    more = _MORE[_is_late(fastest, ranking), _is_dear(cheapest, ranking)]
    return "; ".join([f"nothing meets{_asked(ranking)}: {found[0]}", *found[1:], f"allow more {more}"])


_MISSED = {(True, False): _too_slow, (False, True): _too_dear, (True, True): _too_slow_or_too_dear}
"""By whether there is a deadline, and a budget: what is said where nothing that is feasible keeps them."""

_MORE = {(True, True): "time and money", (True, False): "time", (False, True): "money", (False, False): "time or money"}
"""By whether the fastest is late, and the cheapest costs too much: what to allow."""


def _is_here(option: Estimate) -> bool:
    return option.device.kind == "this machine"


def _gains(option: Estimate) -> bool:
    """By more of the device."""
    return option.feasible and not _is_here(option) and option.bottleneck not in _NOT_DEVICES


def _is_late(option: Estimate, ranking: Ranking) -> bool:
    return option.seconds is not None and option.seconds.expected > ranking.aim.deadline


def _is_dear(option: Estimate, ranking: Ranking) -> bool:
    return option.usd is not None and option.usd.expected > ranking.aim.budget


def _unpriced(ranking: Ranking) -> str:
    kinds = sorted({_is_here(option) for option in ranking.options if option.feasible})
    return f"no price is known of any that can do it; give {' and '.join(_PRICES[here] for here in kinds)}"


_PRICES = {False: "prices with --catalogue", True: "this machine's with --price-here"}
"""By whether it is this machine: how to make a price known."""


def _of_known_price(ranking: Ranking) -> str:
    return " of known price" if any(option.feasible and option.usd is None for option in ranking.options) else ""


def _seconds(option: Estimate) -> str:
    return format_seconds(option.seconds.expected if option.seconds else inf)


def _usd(option: Estimate) -> str:
    return format_usd(option.usd.expected if option.usd else inf)


def _none(ranking: Ranking) -> str:
    return f"none of {plural(len(ranking.options), 'device')} can do it, {_allowed(ranking.aim)}"


def _allowed(aim: Aim) -> str:
    return f"at most {aim.most_devices} of each" if aim.count is None else f"{aim.count} of each"


def team(option: Estimate) -> str:
    """How many of what.

    So that 1 x H100 and 8 x H100 read alike.
    """
    return f"{option.count} x {option.device.name}"


def _limits(option: Estimate, ranking: Ranking) -> list[str]:
    aim, found = ranking.aim, []
    if option.seconds is None:
        return []
    if option.seconds.expected > aim.deadline:
        found.append(f"misses the deadline of {format_seconds(aim.deadline)}")
    elif option.seconds.high > aim.deadline:
        found.append(f"may miss the deadline of {format_seconds(aim.deadline)}")
    if aim.budget < inf and option.usd is None:
        found.append("no price is known, so the budget cannot be kept for sure")
    elif option.usd is not None and option.usd.expected > aim.budget:
        found.append(f"costs more than the {format_usd(aim.budget)} allowed")
    elif option.usd is not None and option.usd.high > aim.budget:
        found.append(f"may cost more than the {format_usd(aim.budget)} allowed")
    return found


def _compared(option: Estimate, ranking: Ranking) -> list[str]:
    """With the chosen one."""
    chosen = ranking.chosen
    if chosen is None or option is chosen or option.seconds is None or chosen.seconds is None:
        return []
    found = [f"{_times(option.seconds.expected / chosen.seconds.expected)} its time"]
    if option.usd is not None and chosen.usd is not None and chosen.usd.expected > 0:
        found.append(f"{_times(option.usd.expected / chosen.usd.expected)} its cost")
    return [f"against the choice {' and '.join(found)}"]


def _times(ratio: float) -> str:
    return f"{ratio:.2f} times" if ratio < 10 else f"{ratio:,.0f} times"


def _within(ranking: Ranking) -> str:
    asked = _asked(ranking)
    return f" within{asked}" if asked else ""


def _asked(ranking: Ranking) -> str:
    aim = ranking.aim
    parts = [f"the deadline of {format_seconds(aim.deadline)}"] if aim.deadline < inf else []
    parts += [f"the budget of {format_usd(aim.budget)}"] if aim.budget < inf else []
    return f" {' and '.join(parts)}" if parts else ""
