"""What earlier runs on this hardware took over what was predicted: corrects the next prediction, and says how sure it is. Pure.

    correction = median of the ratios, drawn towards 1 by PRIOR_RUNS imaginary runs that took what was predicted
    interval   = the 10th to the 90th percentile of ratio / correction; PRIOR_SPREAD either way while there are few runs

Only what is told changes, never what is planned: the same call on the same machine makes the same plan.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import median, quantiles

from tasks.plan import LANES, Prediction

RECENT = 32
"""Runs that count."""

PRIOR_RUNS = 3
"""Weight of the uncorrected prediction."""

ENOUGH = 8
"""Runs from which their own spread is stated."""

LEAST_SHARE = 0.01
"""Of all lanes: what a lane that was predicted to take less took says nothing about it."""

MOST = 4.0
"""No correction is larger, nor smaller than one over it."""

PRIOR_SPREAD = 1.3
"""Factor either way that holds four runs of five, before there is a history."""


@dataclass(frozen=True)
class Past:
    """A finished run."""

    seconds: float
    """Measured over predicted before any correction."""
    lanes: dict[str, float]
    """The same by lane, of those that were predicted to take some of it."""


def corrected(predicted: Prediction, history: Iterable[Past]) -> Prediction:
    """The prediction with what experience says, and its 80 % interval."""
    runs = tuple(history)[-RECENT:]
    factor = _middle([run.seconds for run in runs])
    lanes = {lane: _middle([run.lanes[lane] for run in runs if lane in run.lanes]) for lane in LANES}
    low, high = _spread([run.seconds / factor for run in runs])
    seconds = predicted.seconds * factor
    return replace(
        predicted,
        seconds=seconds,
        lanes={lane: value * lanes[lane] for lane, value in predicted.lanes.items()},
        seconds_interval=(seconds * low, seconds * high),
        correction=factor,
        lane_corrections=lanes,
    )


def past_of(predicted: Prediction, seconds: float, lanes: dict[str, float]) -> Past:
    """A run that took so many seconds, beside its prediction without the correction."""
    told = sum(predicted.lanes.values())
    ratios = {
        lane: lanes[lane] * predicted.lane_corrections.get(lane, 1.0) / predicted.lanes[lane]
        for lane in LANES
        if predicted.lanes[lane] > LEAST_SHARE * told
    }
    return Past(seconds * predicted.correction / predicted.seconds, ratios)


def _middle(ratios: list[float]) -> float:
    """The median, drawn towards 1, within MOST.

    >>> _middle([]), _middle([2.0] * 3), round(_middle([2.0] * 30), 2)
    (1.0, 1.5, 2.0)
    """
    return min(MOST, max(1 / MOST, median([*ratios, *[1.0] * PRIOR_RUNS])))


def _spread(ratios: list[float]) -> tuple[float, float]:
    if len(ratios) < ENOUGH:
        return 1 / PRIOR_SPREAD, PRIOR_SPREAD
    tenths = quantiles(ratios, n=10, method="inclusive")
    return min(1.0, tenths[0]), max(1.0, tenths[-1])
