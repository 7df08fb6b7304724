"""What a run shows in Prefect: its plan as a table, its progress as a bar, links, its report as a page with a picture.

Each function wraps a stage (see the table in `flows.stages`). A server that does not answer costs the picture, not the run, and
at most two seconds at its end.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_progress_artifact, create_table_artifact, update_progress_artifact

from flows.links import links
from flows.pictures import picture_of_lanes
from flows.sending import Send, Sender
from tasks.symmetry import symmetry_words
from tasks.units import format_bytes, format_count, format_seconds
from tasks.wording import codec_words, files_line, planned_rounding

if TYPE_CHECKING:
    from tasks.cluster import Cluster
    from tasks.hardware import Hardware
    from tasks.job import Job
    from tasks.outcome import Certificate, Outcome, Progress
    from tasks.plan import Plan
    from tasks.prepare import Run
    from tasks.publish import Stored
    from tasks.report import Clock, Report
    from tasks.survey import Problem

Observer = Callable[["Progress"], None]

MINIMUM_SECONDS = 1.0
"""Between two updates of the progress artifact."""

SHARE_OF_TIME = 0.008
"""Of a run, the most that may go by while updates are sent: the slower they are, the fewer there are."""


class ProgressArtifact:
    """An observer that moves a bar in Prefect: at the end, and before it at most once a second and for `SHARE_OF_TIME`."""

    def __init__(self, title: str, send: Send) -> None:
        self._title = title
        self._send = send
        self._shown_at = 0.0
        self._took = 0.0
        self._id: UUID | None = None

    def __call__(self, progress: "Progress") -> None:
        """Show `progress` unless it comes too soon after the last."""
        now = time.monotonic()
        if now - self._shown_at < max(MINIMUM_SECONDS, self._took / SHARE_OF_TIME) and progress.tiles_done < progress.tiles:
            return
        self._shown_at = now
        self._send("progress", lambda: self._timed(progress))

    def _timed(self, progress: "Progress") -> None:
        began = time.monotonic()
        self._show(progress)
        self._took = time.monotonic() - began

    def _show(self, progress: "Progress") -> None:
        share = min(100.0, 100.0 * progress.flops_done / progress.flops)
        if self._id is None:
            found = create_progress_artifact(share, key="gemmflow-progress", description=f"{self._title}: {describe(progress)}")
            self._id = found if isinstance(found, UUID) else None
        else:
            update_progress_artifact(self._id, share, description=f"{self._title}: {describe(progress)}")


def describe(progress: "Progress") -> str:
    """Where a run is, in one line."""
    rate = format_count(progress.flops_done / max(progress.seconds, 1e-9), "FLOP/s")
    return (
        f"{progress.tiles_done} of {progress.tiles} tiles, {rate}, {format_bytes(progress.bytes_moved)} moved, "
        f"about {format_seconds(max(0.0, progress.seconds_left))} left"
    )


def with_plan_table(make_plan: "Callable[[Job, Problem, Hardware], Plan]", sender: Sender) -> "Callable[[Job, Problem, Hardware], Plan]":
    """The plan and its predictions as a table artifact."""

    def plan(job: "Job", problem: "Problem", hardware: "Hardware") -> "Plan":
        made = make_plan(job, problem, hardware)
        sender.send("plan", lambda: create_table_artifact(plan_rows(made), key="gemmflow-plan", description=f"{problem.title}: the plan"))
        return made

    return plan


def with_progress(multiply: "Callable[[Run, Cluster, Observer], Outcome]", sender: Sender) -> "Callable[[Run, Cluster, Observer], Outcome]":
    """Every finished tile moves the bar; beside it stand the links."""

    def run_with_bar(run: "Run", cluster: "Cluster", observe: Observer) -> "Outcome":
        artifact = ProgressArtifact(run.problem.title, sender.send)
        sender.send("links", lambda: create_markdown_artifact(links(run, cluster), key="gemmflow-links", description=run.problem.title))

        def both(progress: "Progress") -> None:
            observe(progress)
            artifact(progress)

        return multiply(run, cluster, both)

    return run_with_bar


def with_report(
    make_report: "Callable[[Run, Outcome, Certificate, Stored, Clock], Report]", sender: Sender
) -> "Callable[[Run, Outcome, Certificate, Stored, Clock], Report]":
    """The report as a markdown artifact; what is still to be sent gets a moment."""

    def report(run: "Run", outcome: "Outcome", certificate: "Certificate", stored: "Stored", clock: "Clock") -> "Report":
        made = make_report(run, outcome, certificate, stored, clock)
        sender.send("report", lambda: create_markdown_artifact(page_of(made), key="gemmflow-report", description=run.problem.title))
        sender.settle()
        return made

    return report


def page_of(report: "Report") -> str:
    """The report and its picture."""
    return f"{report.to_markdown()}\n{picture_of_lanes(report)}\n"


def plan_rows(plan: "Plan") -> list[dict[str, str]]:
    """Name and value of everything that the plan decided or predicts."""
    predicted = plan.predicted
    facts = {
        "arithmetic": f"{plan.arithmetic} by {plan.kernel}",
        "tile": f"{plan.tile.rows} x {plan.tile.cols}, depth {plan.tile.depth}",
        "grid": " x ".join(str(count) for count in plan.grid),
        "kept in memory": plan.residency,
        "workers": f"{plan.workers} x {plan.threads_per_worker} threads on {plan.device}",
        "stored": f"{plan.dtype_out}, {files_line(plan)}, {codec_words(plan.codec)}",
        "seconds": format_seconds(predicted.seconds),
        "bytes read": format_bytes(predicted.bytes_read),
        "bytes written": format_bytes(predicted.bytes_written),
        "bytes over the lower bound": f"{plan.bytes_ratio:.2f}",
        "peak memory": f"{format_bytes(predicted.peak_memory_bytes)} of {format_bytes(plan.memory_limit)}",
        "error": f"{predicted.error_bound:.3g} of {plan.max_error:.3g} asked",
    }
    if plan.symmetry != "none":
        facts["symmetry"] = symmetry_words(plan.shape, plan.symmetry)
    if plan.rounding.mode != "no":
        facts["rounding before storage"] = planned_rounding(plan.rounding)
    lanes = {f"seconds to {lane}": format_seconds(seconds) for lane, seconds in predicted.lanes.items()}
    return [{"what": name, "value": value} for name, value in (facts | lanes).items()]
