"""The report: what was asked, predicted and measured, side by side.

    Run + Outcome + Certificate + Stored + Clock  ->  Report  ->  JSON, terminal text, Markdown (and HTML, in tasks.html)

A `Report` decides nothing; every number in it is the caller's, the plan's or a worker's.
"""

import platform
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import metadata
from math import hypot, sqrt
from typing import TYPE_CHECKING

from tasks.measured import Measured, sum_up
from tasks.outcome import Certificate, Measurement, Outcome
from tasks.plan import Plan
from tasks.probes import FALSE_ALARM, error_floor, scale_of
from tasks.schema import SCHEMA, Json, error_section, finite, measured_section, plan_section, problem_section
from tasks.summary import certificate_row, choice_rows, comparison, headline, plan_row, plan_rows, rounding_rows, sampled_rows, stored_line
from tasks.survey import Problem
from tasks.tables import HEADER, aligned, markdown, wrapped
from tasks.units import format_bytes
from tasks.wording import bound, plural

if TYPE_CHECKING:
    from tasks.prepare import Run
    from tasks.publish import Stored

LIBRARIES = ("gemmflow", "numpy", "torch", "zarr", "numcodecs", "dask", "distributed", "prefect")
"""Whose versions a report states."""


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
        """Tiles computed by this run, without those that an interrupted one had left in the journal."""
        measurements = self.outcome.measurements
        return tuple(tile for tile in measurements if tile.finished >= self.run.started_at) if self.outcome.resumed else measurements

    @cached_property
    def measured(self) -> Measured:
        """Totals of the tiles that this run computed."""
        return sum_up(self.tiles, self.run.plan.workers)

    @property
    def flops_done(self) -> float:
        """Operations of this run: those of the whole plan, in proportion to the tiles computed."""
        return self.run.plan.flops * len(self.tiles) / max(1, len(self.outcome.measurements))

    @property
    def verdict(self) -> str:
        """One word: exact, certified (the bound for every input is within what was asked), measured (the probes' is) or missed."""
        certificate = self.certificate
        if not certificate.kept:
            return "missed"
        return "exact" if certificate.exact else "certified" if certificate.promised <= certificate.asked else "measured"

    def to_json(self) -> dict[str, Json]:
        """Schema 1, in a stable order; `json.dumps` takes it without a default."""
        run, clock, outcome = self.run, self.clock, self.outcome
        measured = {
            "seconds": clock.seconds,
            "startup_seconds": clock.startup_seconds,
            **measured_section(self.measured),
            "bytes_sampled": run.plan.sampled_bytes,
            "tiles": run.plan.tiles,
            "tiles_resumed": outcome.resumed,
            "tiles_retried": outcome.retried,
            "tiles_missed": outcome.missed,
            "workers_retired": [asdict(worker) for worker in outcome.retired],
            "multiply_seconds": outcome.seconds,
        }
        stored = self.stored
        whole = {
            "schema": SCHEMA,
            "run_id": run.run_id,
            "job": run.job.model_dump(mode="json"),
            "problem": problem_section(run.problem, run.plan),
            "plan": plan_section(run.plan, run.problem),
            "measured": measured,
            "error": error_section(self.certificate),
            "storage": {
                "codec": stored.codec,
                "why": stored.why,
                "ratio": stored.ratio,
                "bytes_stored": stored.bytes_stored,
                "root": stored.root,
                "codecs": [asdict(row) for row in stored.codecs],
                "part": stored.part,
                "absent": stored.absent,
            },
            "versions": self.versions,
            "warnings": self.warnings,
        }
        return {key: finite(value) for key, value in whole.items()}

    def to_text(self) -> str:
        """For the terminal."""
        facts = [
            plan_row(self),
            certificate_row(self.certificate),
            ("stored", stored_line(self)),
            *rounding_rows(self),
            *sampled_rows(self.run.plan),
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
            *(f"**{name.capitalize()}**: {text}" for name, text in [*rounding_rows(self), *sampled_rows(self.run.plan)]),
            *(f"**Warning**: {text}" for text in self.warnings),
        ]
        return "\n\n".join(parts) + "\n"


def make_report(run: "Run", outcome: Outcome, certificate: Certificate, stored: "Stored", clock: Clock) -> Report:
    """The report of a finished run; its warnings are the plan's and what only the run could show."""
    report = Report(run, outcome, certificate, stored, clock, versions(), ())
    found = [*run.plan.warnings, *certificate.nonfinite, *_surprises(report)]
    return Report(run, outcome, certificate, stored, clock, report.versions, tuple(found))


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that are installed."""
    known = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            known[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return known


def plan_text(plan: Plan, problem: Problem) -> str:
    """A plan for the terminal."""
    warnings = [("warning", text) for text in plan.warnings]
    facts = aligned(wrapped([*plan_rows(plan, problem), *warnings]), left=2)
    return "\n".join([problem.title, "", *facts, "", *aligned(choice_rows(plan), left=2)]) + "\n"


def plan_markdown(plan: Plan, problem: Problem) -> str:
    """A plan for a Prefect artifact."""
    facts = markdown([("", "plan"), *plan_rows(plan, problem)], left=2)
    warnings = [f"**Warning**: {text}" for text in plan.warnings]
    return "\n\n".join([f"# {problem.title}", facts, markdown(choice_rows(plan), left=2), *warnings]) + "\n"


def plan_json(plan: Plan, problem: Problem) -> dict[str, Json]:
    """The parts of schema 1 that are known before anything is multiplied."""
    planned = plan_section(plan, problem)
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
        found.append(f"{plural(outcome.missed, 'tile')} missed max-error and were computed again: the product is {by_arithmetic}")
    if outcome.retried > outcome.missed:
        found.append(f"{plural(outcome.retried - outcome.missed, 'tile')} computed again after a failed check, an alarm or a lost worker")
    found += _contradiction(report)
    found += (f"{worker.line} and got no more: check this hardware (the product holds none of these)" for worker in outcome.retired)
    return found


def _contradiction(report: Report) -> list[str]:
    """A warning where the error is surely above the bound for every input; `measured` alone is, by chance or by the check's rounding."""
    certificate, plan, job = report.certificate, report.run.plan, report.run.job
    scale = scale_of((job.alpha, job.beta), (certificate.norm_a, certificate.norm_b, certificate.norm_c0))
    if not scale or not certificate.measured > certificate.promised:
        return []
    residual = hypot(*(sqrt(tile.copies * tile.square_residual) for tile in report.outcome.measurements)) / scale
    shape = plan.shape[0] * plan.grid[1], plan.shape[1], min(plan.tile.cols, plan.shape[2])
    least = error_floor(residual, 1.0, shape, (certificate.probes, FALSE_ALARM))
    if least <= certificate.promised:
        return []
    return [
        f"the error is surely above {least:.3g}, more than the {bound(certificate.promised)} that is promised for every input: "
        "check this hardware, and please report this run"
    ]
