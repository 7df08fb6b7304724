"""The report: what was asked, predicted and measured, side by side.

    Run + Outcome + Certificate + Stored + Clock  ->  Report  ->  JSON, terminal text, Markdown (and HTML, in tasks.html)

A `Report` decides nothing; every number in it is the caller's, the plan's or a worker's.
"""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import metadata
from typing import TYPE_CHECKING

from tasks.drift import drift_of, drift_words
from tasks.measured import Measured, sum_up
from tasks.outcome import Certificate, Measurement, Outcome
from tasks.plan import Plan
from tasks.schema import (
    SCHEMA,
    Json,
    error_section,
    finite,
    measured_section,
    outcome_section,
    plan_section,
    problem_section,
    storage_section,
)
from tasks.summary import (
    certificate_row,
    choice_rows,
    comparison,
    drift_rows,
    headline,
    plan_row,
    plan_rows,
    rounding_rows,
    sampled_rows,
    stored_line,
)
from tasks.survey import Problem
from tasks.tables import HEADER, aligned, markdown, wrapped
from tasks.units import format_bytes
from tasks.wording import ended, plural

if TYPE_CHECKING:
    from tasks.prepare import Run
    from tasks.publish import Stored

LIBRARIES = ("gemmflow", "numpy", "torch", "zarr", "numcodecs", "dask", "distributed", "prefect")
"""Whose versions a report states."""


MOST_PLACES = 8
"""Rows and columns of so many tiles are in a warning; the JSON has all."""


@dataclass(frozen=True)
class Clock:
    """The command's wall time, in two parts."""

    startup_seconds: float
    """Process start to worker handshake passed; no matrix data read."""
    seconds: float
    """Survey to published."""


@dataclass(frozen=True)
class Report:
    """Everything that is known about a finished run."""

    run: "Run"
    outcome: Outcome
    certificate: Certificate
    stored: "Stored"
    clock: Clock
    versions: dict[str, str]
    warnings: tuple[str, ...]

    @cached_property
    def tiles(self) -> tuple[Measurement, ...]:
        """Tiles of the product that this run computed, without those that an interrupted one had left in the journal."""
        return self._own(self.outcome.measurements)

    @cached_property
    def computed(self) -> tuple[Measurement, ...]:
        """All that this run computed: a tile counts as often as it was computed."""
        return self._own(self.outcome.computed)

    @cached_property
    def measured(self) -> Measured:
        """What this run took, with what it did in vain."""
        return sum_up(self.computed, self.run.plan.workers)

    def _own(self, tiles: Sequence[Measurement]) -> tuple[Measurement, ...]:
        left = {(tile.index, tile.worker, tile.started) for tile in self.run.resumed}
        return tuple(tile for tile in tiles if (tile.index, tile.worker, tile.started) not in left)

    @property
    def flops_done(self) -> float:
        """Operations of this run: those of the whole plan, in proportion to the tiles computed."""
        return self.run.plan.flops * len(self.tiles) / max(1, len(self.outcome.measurements))

    @property
    def drift(self) -> str:
        """How the run's time lies outside the predicted range, in words; empty where it does not, and where it went on with another one."""
        predicted = self.run.plan.predicted
        found = None if self.outcome.resumed else drift_of(predicted, self.clock.seconds)
        return drift_words(found, predicted.lanes, self.measured.lanes)

    @property
    def verdict(self) -> str:
        """One word: exact, certified (the bound for every input is within what was asked), measured (the probes' is) or missed."""
        certificate = self.certificate
        if not certificate.kept:
            return "missed"
        return "exact" if certificate.exact else "certified" if certificate.promised <= certificate.asked else "measured"

    def to_json(self) -> dict[str, Json]:
        """Schema 1, in a stable order; `json.dumps` takes it without a default."""
        run = self.run
        whole = {
            "schema": SCHEMA,
            "run_id": run.run_id,
            "job": run.job.model_dump(mode="json"),
            "problem": problem_section(run.problem, run.plan),
            "plan": plan_section(run.plan, run.problem),
            "measured": self._measured_section(),
            "error": error_section(self.certificate),
            "storage": storage_section(self.stored),
            "versions": self.versions,
            "warnings": self.warnings,
        }
        return {key: finite(value) for key, value in whole.items()}

    def _measured_section(self) -> dict[str, object]:
        return {
            "seconds": self.clock.seconds,
            "startup_seconds": self.clock.startup_seconds,
            **measured_section(self.measured),
            "bytes_sampled": self.run.plan.sampled_bytes,
            **outcome_section(self.run.plan.tiles, self.outcome),
            "drift": self.drift,
        }

    def to_text(self) -> str:
        """For the terminal."""
        facts = [
            plan_row(self),
            certificate_row(self.certificate),
            ("stored", stored_line(self)),
            *rounding_rows(self),
            *sampled_rows(self.run.plan),
            *drift_rows(self),
        ]
        facts += [("warning", text) for text in self.warnings]
        table = [HEADER, *(row.cells for row in comparison(self))]
        lines = [f"{self.run.problem.title}: {self.verdict}", headline(self), "", *aligned(table), "", *aligned(wrapped(facts), left=2)]
        return "\n".join(lines) + "\n"

    def to_markdown(self) -> str:
        """For a Prefect artifact."""
        parts = [
            f"# {self.run.problem.title}: {self.verdict}",
            headline(self),
            markdown([HEADER, *(row.cells for row in comparison(self))]),
            f"**Plan**: {plan_row(self)[1]}",
            f"**Proof**: {certificate_row(self.certificate)[1]}",
            f"**Stored**: {stored_line(self)}",
            *(f"**{name.capitalize()}**: {text}" for name, text in [*rounding_rows(self), *sampled_rows(self.run.plan), *drift_rows(self)]),
            *(f"**Warning**: {text}" for text in self.warnings),
        ]
        return "\n\n".join(parts) + "\n"


def make_report(run: "Run", outcome: Outcome, certificate: Certificate, stored: "Stored", clock: Clock) -> Report:
    """The report of a finished run; its warnings are the plan's and what only the run could show."""
    report = Report(run, outcome, certificate, stored, clock, versions(), ())
    found = [*run.plan.warnings, *_outside(certificate.nonfinite), *_surprises(report)]
    return Report(run, outcome, certificate, stored, clock, report.versions, tuple(found))


def _outside(places: Sequence[str]) -> list[str]:
    """What of C is not in the certificate, in one line however many tiles it is in."""
    if not places:
        return []
    more = f"; and others in {plural(len(places) - MOST_PLACES, 'tile')}" if len(places) > MOST_PLACES else ""
    return [f"NaN or infinity reaches these, which stand outside the certificate: {'; '.join(places[:MOST_PLACES])}{more}"]


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that are installed."""
    return dict(_installed())


@cache
def _installed() -> dict[str, str]:
    """Read once: for each of many small jobs it would take longer than their arithmetic."""
    known = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            known[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return known


def plan_text(plan: Plan, problem: Problem, more: Sequence[tuple[str, str]] = ()) -> str:
    """A plan for the terminal, and what else is known beforehand, by name."""
    warnings = [("warning", text) for text in plan.warnings]
    facts = aligned(wrapped([*plan_rows(plan, problem), *more, *warnings]), left=2)
    return "\n".join([problem.title, "", *facts, "", *aligned(choice_rows(plan), left=2)]) + "\n"


def plan_markdown(plan: Plan, problem: Problem) -> str:
    """A plan for a Prefect artifact."""
    facts = markdown([("", "plan"), *plan_rows(plan, problem)], left=2)
    warnings = [f"**Warning**: {text}" for text in plan.warnings]
    return "\n\n".join([f"# {problem.title}", facts, markdown(choice_rows(plan), left=2), *warnings]) + "\n"


def plan_json(plan: Plan, problem: Problem, stored: dict[str, object] | None = None) -> dict[str, Json]:
    """The parts of schema 1 that are known before anything is multiplied; `stored` is what a sample tells of the compressed bytes."""
    planned = plan_section(plan, problem, stored)
    whole = {"schema": SCHEMA, "problem": problem_section(problem, plan), "plan": planned, "warnings": plan.warnings}
    return {key: finite(value) for key, value in whole.items()}


def _surprises(report: Report) -> list[str]:
    measured, plan, outcome = report.measured, report.run.plan, report.outcome
    found: list[str] = []
    if measured.peak_memory_bytes > plan.memory_limit:
        sizes = f"{format_bytes(measured.peak_memory_bytes)} of {format_bytes(plan.memory_limit)}"
        found.append(f"the workers' peaks add up to {sizes}: the plan underestimated the memory; please report this run")
    if outcome.missed:
        by_arithmetic = ", ".join(f"{plural(count, 'tile')} in {name}" for name, count in report.certificate.arithmetics.items())
        verb = "was" if outcome.missed == 1 else "were"
        found.append(f"{plural(outcome.missed, 'tile')} missed max-error and {verb} computed again: the product is {by_arithmetic}")
    if outcome.retried > outcome.missed:
        found.append(f"{plural(outcome.retried - outcome.missed, 'tile')} computed again after a failed check, an alarm or a lost worker")
    if outcome.split:
        found.append(
            f"{plural(outcome.split, 'tile')} ran out of memory as planned, or came after one that did, and took less: "
            "this host has less memory than --memory says; give less"
        )
    found += (f"it joined and got no tiles: {why}" for why in outcome.refused)
    if outcome.died_early:
        how = ", ".join(dict.fromkeys(map(ended, outcome.died_early)))
        found.append(f"{plural(len(outcome.died_early), 'worker')} died before the first tile ({how}), and came back: no tile was lost")
    found += (f"{worker.line} and got no more: check this hardware (the product holds none of these)" for worker in outcome.retired)
    return found
