"""What a run tells while it goes on, at coarse steps: a name and a few numbers, for events in Prefect and for logs.

    planned -> begun -> progress (once a minute at most) -> redone -> published -> drifted          failed, from anywhere

Stages are wrapped from outside, see `told`. Nothing is told for a tile: a run of a million tiles tells as much as one of ten.
"""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flows.stages import Stages
from tasks.drift import drift_of
from tasks.errors import GemmflowError

if TYPE_CHECKING:
    from tasks.cluster import Cluster
    from tasks.hardware import Hardware
    from tasks.job import Job
    from tasks.outcome import Certificate, Outcome, Progress
    from tasks.plan import Plan, Prediction
    from tasks.prepare import Run
    from tasks.publish import Stored
    from tasks.repair import Repaired
    from tasks.report import Clock, Report
    from tasks.survey import Problem

Fact = str | int | float
Facts = Mapping[str, Fact]

PROGRESS_SECONDS = 60.0
"""Between two steps of progress; there is none where nothing got further."""


@dataclass(frozen=True)
class Step:
    """One thing that happened."""

    name: str
    """One of STEPS."""
    out: str
    """The product."""
    facts: Facts
    run_id: str = ""
    """Of gemmflow, as in the report; empty before workers are there."""

    @property
    def line(self) -> str:
        """In words, for logs."""
        facts = ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in self.facts.items())
        return f"{self.name}: {facts}"


Tell = Callable[[Step], None]

STEPS = {
    "planned": "the plan is made; nothing is written yet",
    "begun": "the workers have passed their checks, the first tile is about to be sent",
    "progress": "some work was done since the last one, at most once a minute",
    "redone": "all tiles are there, and some were computed again",
    "published": "the product is whole at OUT, with its certificate",
    "drifted": "the run took a second or more longer, or less, than the range that four runs of five fall into",
    "failed": "an error ended the run",
    "repaired": "`gemmflow repair` found damage and mended it",
}
"""What the names of steps mean."""


def tell_nobody(step: Step) -> None:
    """For who listens to nothing."""
    del step


@contextmanager
def told(job: "Job", stages: Stages, tell: Tell) -> Generator[Stages]:
    """The same stages, which tell what they do; what ends the block as an error is told, too."""
    telling = _Telling(job, stages, tell)
    try:
        yield telling.stages()
    except Exception as error:
        telling.failed(error)
        raise


class _Telling:
    """Of one run."""

    def __init__(self, job: "Job", stages: Stages, tell: Tell) -> None:
        self._out, self._plain, self._tell = job.out, stages, tell
        self._run_id = ""
        self._last = 0.0

    def stages(self) -> Stages:
        """Those that are wrapped."""
        return replace(self._plain, plan=self._plan, multiply=self._multiply, publish=self._publish, report=self._report)

    def failed(self, error: Exception) -> None:
        """Tell of an error."""
        code = error.exit_code if isinstance(error, GemmflowError) else 1
        self._say("failed", {"error": type(error).__name__, "exit_code": code, "message": str(error)})

    def _say(self, name: str, facts: Facts) -> None:
        self._tell(Step(name, self._out, facts, self._run_id))

    def _plan(self, job: "Job", problem: "Problem", hardware: "Hardware") -> "Plan":
        plan = self._plain.plan(job, problem, hardware)
        self._say("planned", planned(plan))
        return plan

    def _multiply(self, run: "Run", cluster: "Cluster", observe: "Callable[[Progress], None]") -> "Outcome":
        self._run_id, self._last = run.run_id, time.monotonic()
        self._say("begun", {"tiles": run.plan.tiles, "tiles_resumed": len(run.resumed), "workers": run.plan.workers})

        def watch(progress: "Progress") -> None:
            observe(progress)
            self._see(progress)

        outcome = self._plain.multiply(run, cluster, watch)
        if outcome.retried:
            self._say("redone", {"tiles": outcome.retried, "missed": outcome.missed, "workers_retired": len(outcome.retired)})
        return outcome

    def _see(self, progress: "Progress") -> None:
        now = time.monotonic()
        if now - self._last >= PROGRESS_SECONDS:
            self._last = now
            share, left = progress.flops_done / progress.flops, max(0.0, progress.seconds_left)
            self._say("progress", {"tiles_done": progress.tiles_done, "tiles": progress.tiles, "share": share, "seconds_left": left})

    def _publish(self, run: "Run", outcome: "Outcome", certificate: "Certificate") -> "Stored":
        stored = self._plain.publish(run, outcome, certificate)
        error = 0.0 if certificate.exact else min(certificate.promised, certificate.measured)
        facts = {"error": error, "asked": certificate.asked, "bytes_stored": stored.bytes_stored, "root": stored.root}
        self._say("published", facts)
        return stored

    def _report(self, run: "Run", outcome: "Outcome", certificate: "Certificate", stored: "Stored", clock: "Clock") -> "Report":
        if not outcome.resumed and (facts := drift(run.plan.predicted, clock.seconds)):
            self._say("drifted", facts)
        return self._plain.report(run, outcome, certificate, stored, clock)


def planned(plan: "Plan") -> Facts:
    """What a plan predicts."""
    predicted = plan.predicted
    low, high = predicted.seconds_interval or (predicted.seconds, predicted.seconds)
    return {
        "arithmetic": plan.arithmetic,
        "tiles": plan.tiles,
        "workers": plan.workers,
        "seconds": predicted.seconds,
        "seconds_low": low,
        "seconds_high": high,
        "bytes_read": predicted.bytes_read,
        "bytes_written": predicted.bytes_written,
        "peak_memory_bytes": predicted.peak_memory_bytes,
    }


def drift(predicted: "Prediction", seconds: float) -> Facts | None:
    """How far a run's seconds lie outside the range that was predicted; None where they do not."""
    found = drift_of(predicted, seconds)
    if found is None:
        return None
    return {
        "seconds": seconds,
        "predicted": found.predicted,
        "seconds_low": found.low,
        "seconds_high": found.high,
        "ratio": found.ratio,
    }


def repaired(done: "Repaired") -> Step:
    """What a repair did."""
    facts = {"files": len(done.damages), "tiles": len(done.tiles), "proved": int(done.proved), "seconds": done.seconds}
    return Step("repaired", done.out, facts)
