"""Commands that compute: multiply, gram, analyze, batch, demo."""

from pathlib import Path

import typer
from pydantic import BaseModel, ConfigDict

from flows.analyze import analyze as analyze_job
from flows.analyze import with_some_out
from flows.batch import read_jobs, run_batch, summary_json, summary_text, worst
from flows.demo import DemoSize, run_demo
from flows.engine import run_job
from flows.gram import GramJob, gram_job
from flows.options import Group, Manner, Output, Running, command
from flows.session import Session, open_session, say_nothing
from flows.show import answer, check_places, show_report, tell
from flows.watching import watched
from tasks.job import Job


class BatchFile(BaseModel):
    """What a batch runs."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    jobs: str
    """YAML file: a list of jobs."""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    command(app, "multiply", Group(Job, "Job"), Group(Manner, "How it runs and what it shows"))(multiply)
    command(app, "gram", Group(GramJob, "Job"), Group(Manner, "How it runs and what it shows"))(gram)
    command(app, "analyze", Group(Job, "Job", optional=("out",), complete=with_some_out), Group(Output, "What it shows"))(analyze)
    command(app, "batch", Group(BatchFile), Group(Running, "How it runs and what it shows"))(batch)
    command(app, "demo", Group(DemoSize, "Size"), Group(Manner, "How it runs and what it shows"))(demo)


def multiply(job: Job, manner: Manner) -> int:
    """Multiply: OUT = A B, certified, as compressed Zarr.

    A and B are Zarr arrays, .npy files or sparse .npz files that need not fit in memory. The plan chooses arithmetic, tiles and workers
    from the error and the memory that you allow; OUT appears whole, at the end, or not at all.
    """
    check_places(manner)
    with watched(manner) as approve:
        report = run_job(job, manner.direct, approve)
    show_report(report, manner)
    return 0


def gram(asked: BaseModel, manner: Manner) -> int:
    """Multiply a matrix with its own transpose: OUT = X Xᵀ, or Xᵀ X, in half the operations of multiply.

    One triangle is computed. OUT holds all of the product, symmetric to the last bit, or with --store triangle only what reaches the
    diagonal from below.
    """
    return multiply(gram_job(**asked.model_dump(exclude_unset=True)), manner)


def analyze(job: Job, output: Output) -> int:
    """Show the plan of a product and its predictions; moves no data, writes nothing.

    The first call on a machine measures it for some seconds.
    """
    with open_session(Session(notify=say_nothing if output.quiet else tell)):
        analysis = analyze_job(job)
    answer(output, analysis.to_json(), analysis.to_text())
    return 0


def batch(file: BatchFile, manner: Running) -> int:
    """Run a list of jobs, one after the other, on one open cluster; one failure stops no other.

    JOBS is a YAML list; each entry has the fields of a job: a, b, out, max_error, memory ... Paths are relative to the file.
    The exit code is 0 when all are done, else that of the worst.
    """
    check_places(manner)
    entries = read_jobs(Path(file.jobs).expanduser())
    with watched(manner) as approve:
        results = run_batch(entries, manner.direct, approve)
    answer(manner, summary_json(results), summary_text(results))
    return worst(results)


def demo(size: DemoSize, manner: Manner) -> int:
    """Make two matrices, multiply them in a quarter of the memory that they and their product fill, and show the report."""
    check_places(manner)
    run_demo(size, manner)
    return 0
