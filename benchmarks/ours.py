"""gemmflow, without the Prefect API: as safe as its peers, and as durable as it is by default."""

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.case import Setting
from benchmarks.taken import Taken

if TYPE_CHECKING:
    from tasks.job import Durability

PRODUCT = "C-gemmflow"


def gemmflow(folder: Path, setting: Setting) -> Taken:
    """`measured` of its report: survey to published. With codec auto the chunks are its own, too."""
    return _run(folder, setting, "process")


def gemmflow_durable(folder: Path, setting: Setting) -> Taken:
    """The same with `--durability power`, its default: what it reports as done is on the disk."""
    return _run(folder, setting, "power")


def _run(folder: Path, setting: Setting, durability: "Durability") -> Taken:
    from flows import multiply

    chunk = {} if setting.codec == "auto" else {"chunk": setting.chunks}
    report = multiply(
        a=str(folder / "A"),
        b=str(folder / "B"),
        out=str(folder / PRODUCT),
        memory=setting.memory,
        codec=setting.codec,
        max_error=setting.max_error,
        workers=setting.cores,
        durability=durability,
        direct=True,
        **chunk,
    )
    plan, measured = report.run.plan, report.measured
    team = f"{plan.workers} × {plan.threads_per_worker} threads"
    tile = f"tiles of {plan.tile.rows} × {plan.tile.cols} × {plan.tile.depth}"
    how = f"{plan.arithmetic} ({plan.kernel}), {team}, {tile}, {report.stored.codec}"
    return Taken(report.clock.seconds, measured.peak_memory_bytes, dict(measured.lanes), how)
