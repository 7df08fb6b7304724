"""Which tiles look corrupted although they are within the a priori bound: those that stand out from what sound rounding shows.

    within a tile     its worst row against the median of its rows
    across the run    its worst row against the usual tile of its peers, those in the same arithmetic: a wrong slab spoils all rows
                      alike, and none stands out. Tiles on the diagonal of a symmetric product are peers of each other only: the
                      squares there are larger than any other sum, and so are their rounding errors

Each once as the Gaussian probes see it and once by random signs; `tasks.tails` derives how far a sound row may go. A tile that
stands out is computed again (`tasks.doubts`). What shows again is in the data: the level of its kind is raised to `LEEWAY` times
what was seen, so that data of any kind cost a few tiles computed twice: at most log(range of the excess) / log(LEEWAY) a kind.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median_low

from tasks.ladder import ARITHMETICS
from tasks.outcome import Measurement
from tasks.plan import Plan
from tasks.probes import checking_noise
from tasks.tails import row_limit, single_limit

LEEWAY = 4.0
"""How much more than what was found sound raises the alarm again."""

ALIKE = 2.0
"""Findings that differ by no more than this factor are the same."""

Peers = tuple[int, int]
"""Rung, and how often the tile is in the product."""

FEWEST = 2
"""Tiles that make a run's usual one."""


@dataclass(frozen=True)
class Kind:
    """One way to stand out."""

    figure: Callable[[Measurement], float]
    """Over the median of the tile's rows."""
    limit: Callable[[int, int], float]
    """The largest sound figure, for so many rows and Gaussian probes."""
    across: bool
    """Whether it is held against the run's usual tile, and not against the tile's own rows."""


KINDS = {
    "row": Kind(lambda tile: tile.outlier, row_limit, across=False),
    "element": Kind(lambda tile: tile.outlier_single, single_limit, across=False),
    "row of the run": Kind(lambda tile: tile.outlier, row_limit, across=True),
    "element of the run": Kind(lambda tile: tile.outlier_single, single_limit, across=True),
}
"""Ways to stand out, by name."""


@dataclass(frozen=True)
class Yard:
    """What tiles are held against."""

    probes: int
    """Gaussian ones."""
    noises: tuple[float, ...]
    """By rung, of the check itself, in the norm of the certificate: what is smaller stands out nowhere."""
    references: Mapping[Peers, float] = field(default_factory=dict[Peers, float])
    """By peers, `typical` of the run's usual tile; none where there are too few tiles to say."""
    levels: Mapping[str, float] = field(default_factory=dict[str, float])
    """By kind, by how much the data have raised its limit; 1 where they have not."""


@dataclass(frozen=True)
class Alarm:
    """Something that stands out."""

    kind: str
    figure: float
    """Error of the worst row as seen, in the norm of the certificate."""
    limit: float
    """What it was to stay below."""
    excess: float
    """How far it is above what would do on homogeneous data."""


def yard_of(plan: Plan) -> Yard:
    """What tiles of a plan are held against before any has landed."""
    cols = min(plan.tile.cols, plan.shape[2])
    noises = (checking_noise(plan.shape[1], cols, ARITHMETICS[rung.arithmetic].accumulate) for rung in plan.rungs)
    return Yard(plan.probes, tuple(noises))


def peers_of(tile: Measurement) -> Peers:
    """Which tiles of the run it may be compared with."""
    return tile.rung, tile.copies


def usual(tiles: Iterable[Measurement]) -> Mapping[Peers, float]:
    """By peers, `typical` of the usual one of these tiles: their median, the lower of the middle two, since corruption only adds."""
    known = defaultdict[Peers, list[float]](list)
    for tile in tiles:
        if tile.rows:
            known[peers_of(tile)].append(tile.typical)
    return {peers: median_low(found) for peers, found in known.items() if len(found) >= FEWEST}


def alarms(tile: Measurement, yard: Yard) -> tuple[Alarm, ...]:
    """Every way in which the tile stands out."""
    found = (_alarm(name, tile, yard) for name in KINDS if tile.rows)
    return tuple(alarm for alarm in found if alarm and alarm.figure > alarm.limit)


def raised(yard: Yard, sound: Iterable[Alarm]) -> Yard:
    """The same with levels at which these, which the data have caused, are no alarms, nor any that is not much worse."""
    levels = dict(yard.levels)
    for alarm in sound:
        levels[alarm.kind] = max(levels.get(alarm.kind, 1.0), LEEWAY * alarm.excess)
    return replace(yard, levels=levels)


def cleared(tile: Measurement, raised_before: Iterable[Alarm], yard: Yard) -> bool:
    """Whether a tile computed again shows nothing of what an earlier computation of it did."""
    return all(_figure(alarm.kind, tile, yard) <= alarm.limit for alarm in raised_before)


def same_values(first: Measurement, second: Measurement) -> bool:
    """Whether two computations of a tile stored the same values, by their hashes."""
    return first.chunks != () and [chunk.values for chunk in first.chunks] == [chunk.values for chunk in second.chunks]


def alike(first: Measurement, second: Measurement, yard: Yard) -> bool:
    """Whether two computations of a tile, on other processors perhaps, stand out by the same."""
    pairs = [(_figure(kind, first, yard), _figure(kind, second, yard)) for kind in KINDS]
    return first.accepted and second.accepted and all(max(pair) <= ALIKE * min(pair) for pair in pairs)


def _alarm(name: str, tile: Measurement, yard: Yard) -> Alarm | None:
    kind = KINDS[name]
    if kind.across and peers_of(tile) not in yard.references:
        return None
    against = max(yard.noises[tile.rung], yard.references[peers_of(tile)]) if kind.across else _usual(tile, yard)
    limit, figure = kind.limit(tile.rows, yard.probes) * against, _figure(name, tile, yard)
    return Alarm(name, figure, yard.levels.get(name, 1.0) * limit, figure / limit)


def _figure(name: str, tile: Measurement, yard: Yard) -> float:
    return KINDS[name].figure(tile) * _usual(tile, yard)


def _usual(tile: Measurement, yard: Yard) -> float:
    return max(tile.typical, yard.noises[tile.rung])
