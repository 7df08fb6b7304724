"""The demo: a real run, end to end, on generated data whose A, B and C together fill four times the memory of the run."""

from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, field_validator

from flows.engine import run_job
from flows.options import Manner
from flows.samples import Sample, write_sample
from flows.show import show_report, tell
from flows.watching import watched
from storage import expanded
from tasks.errors import BadInput
from tasks.job import ByteSize, Job, make_job
from tasks.moment import now
from tasks.units import format_bytes

if TYPE_CHECKING:
    from tasks.report import Report

TIMES_MEMORY = 4
"""A, B and C together over the memory that the run gets."""
LEAST_MEMORY = 384 * 1024**2
EDGE = 1024
"""Of a chunk; sizes are whole chunks."""


class DemoSize(BaseModel):
    """How large a demo is and where it goes."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    folder: str = "demo"
    """Folder for A.zarr, B.zarr, C.zarr and report.html; what a demo left there is replaced."""
    memory: ByteSize = 512 * 1024**2
    """Memory that the run gets; the matrices are made four times as large. Default: 512MiB."""

    @field_validator("memory")
    @classmethod
    def _memory_is_enough(cls, value: int) -> int:
        if value < LEAST_MEMORY:
            raise ValueError(f"memory is {format_bytes(value)}: the demo needs {format_bytes(LEAST_MEMORY)} or more")
        return value


def demo_shape(memory: int) -> tuple[int, int, int]:
    """(m, k, n) with m = n = 2 k, whole chunks, and 4 (m k + k n + m n) bytes of float32 at least four times `memory`.

    >>> demo_shape(512 * 2**20)
    (16384, 8192, 16384)
    """
    edge = ceil(sqrt(TIMES_MEMORY * memory / 8) / (2 * EDGE)) * 2 * EDGE
    return edge, edge // 2, edge


def run_demo(size: DemoSize, manner: Manner) -> "Report":
    """Write A and B, multiply them, show the report and say what to try next."""
    folder = expanded(size.folder).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"the folder {folder} cannot be made: {error.strerror}") from None
    job = write_inputs(folder, size, manner.quiet)
    manner = manner if manner.html_path is not None else manner.model_copy(update={"html_path": str(folder / "report.html")})
    with watched(manner, started=now()) as approve:
        report = run_job(job, manner.direct, approve)
    show_report(report, manner)
    if not manner.quiet:
        tell(what_next(job, str(manner.html_path)))
    return report


def write_inputs(folder: Path, size: DemoSize, quiet: bool) -> Job:
    """Generate A and B; returns the job that multiplies them."""
    m, k, n = demo_shape(size.memory)
    for name, shape, seed in (("A", (m, k), 1), ("B", (k, n), 2)):
        if not quiet:
            tell(f"writing {name}, {shape[0]} x {shape[1]} float32, {format_bytes(4 * shape[0] * shape[1])}")
        write_sample(folder / f"{name}.zarr", Sample(shape, seed, chunk=EDGE))
    a, b, out = (str(folder / f"{name}.zarr") for name in "ABC")
    return make_job(a=a, b=b, out=out, memory=size.memory, overwrite=Path(out).exists())


def what_next(job: Job, html: str) -> str:
    """A few commands to go on with."""
    return f"""
The report with its plots: {html}

Try next:
  gemmflow analyze {job.a} {job.b} --max-error 1e-2     a larger error allows cheaper arithmetic
  gemmflow verify {job.out}     every chunk against its checksum
  gemmflow info {job.out}     how it was made, from the certificate in it
  gemmflow multiply --help     your own matrices
"""
