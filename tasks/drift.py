"""Whether a run kept to the time that its plan stated, and what made the difference. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.plan import LANES, Prediction
from tasks.units import format_seconds

LEAST_SECONDS = 1.0
"""A run that differs from its prediction by less has not drifted, whatever the ratio."""

CAUSE = 0.2
"""Share of the drift from which on a lane is named for it."""


@dataclass(frozen=True)
class Drift:
    """A run outside the range that four runs of five were to fall into."""

    seconds: float
    """What it took."""
    predicted: float
    low: float
    """Least seconds of the range."""
    high: float
    """Most seconds of it."""

    @property
    def ratio(self) -> float:
        """Measured over predicted."""
        return self.seconds / max(self.predicted, 1e-9)


def drift_of(predicted: Prediction, seconds: float) -> Drift | None:
    """How far a run's seconds lie outside the range that was predicted; None where they do not, or no range was."""
    if predicted.seconds_interval is None:
        return None
    low, high = predicted.seconds_interval
    if low <= seconds <= high or abs(seconds - predicted.seconds) < LEAST_SECONDS:
        return None
    return Drift(seconds, predicted.seconds, low, high)


def drift_words(drift: Drift | None, predicted: Mapping[str, float], measured: Mapping[str, float]) -> str:
    """The drift and the lane, of those of one worker, that has most of it; empty where there is none.

    >>> lanes = {"read": 1.0, "multiply": 6.0}
    >>> drift_words(Drift(14.0, 7.0, 5.5, 9.0), lanes, {"read": 1.5, "multiply": 11.0})
    '14.0 s is longer than the 5.5 s to 9.0 s that were predicted: multiply took 11.0 s instead of 6.0 s'
    >>> drift_words(Drift(14.0, 7.0, 5.5, 9.0), lanes, {"read": 1.0, "multiply": 6.0})
    '14.0 s is longer than the 5.5 s to 9.0 s that were predicted: no step of the tiles took much longer, the rest of the run did'
    """
    if drift is None:
        return ""
    longer = drift.seconds > drift.high
    sign = 1 if longer else -1
    excess = {lane: sign * (measured.get(lane, 0.0) - predicted.get(lane, 0.0)) for lane in LANES}
    lane = max(excess, key=lambda name: excess[name])
    word = "longer" if longer else "shorter"
    interval = f"{format_seconds(drift.low)} to {format_seconds(drift.high)}"
    cause = f"{lane} took {format_seconds(measured.get(lane, 0.0))} instead of {format_seconds(predicted.get(lane, 0.0))}"
    if excess[lane] < CAUSE * abs(drift.seconds - drift.predicted):
        cause = f"no step of the tiles took much {word}, the rest of the run did"
    return f"{format_seconds(drift.seconds)} is {word} than the {interval} that were predicted: {cause}"
