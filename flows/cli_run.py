"""Commands that compute: multiply, gram, batch, demo."""

import typer
from pydantic import BaseModel

from flows.batch import BatchRun, run_batch
from flows.batch_file import BadBatch
from flows.demo import DemoSize, run_demo
from flows.engine import run_job
from flows.gram import GramJob, gram_job
from flows.options import Group, Manner, command
from flows.show import answer, check_places, complain, show_report, write_file
from flows.watching import watched
from tasks.job import Job


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    command(app, "multiply", Group(Job, "Job"), Group(Manner, "How it runs and what it shows"))(multiply)
    command(app, "gram", Group(GramJob, "Job"), Group(Manner, "How it runs and what it shows"))(gram)
    command(app, "batch", Group(BatchRun), Group(Manner, "How it runs and what it shows"))(batch)
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
    """Multiply a matrix with its own transpose: OUT = X Xᵀ, or Xᵀ X, in half the operations of two matrices' product.

    One triangle is computed. OUT holds all of the product, symmetric to the last bit, or with --store triangle only what reaches the
    diagonal from below. Where parts of X are known to be zero, or no square tile of whole chunks fits the memory, all of the product is
    computed like any other unless a triangle is asked, and the plan says so: then OUT is symmetric within the error.
    """
    return multiply(gram_job(**asked.model_dump(exclude_unset=True)), manner)


def batch(asked: BatchRun, manner: Manner) -> int:
    """Run a list of jobs, one after the other, on one open cluster; one failure stops no other.

    JOBS is a YAML list; each entry has the fields of a job: a, b, out, max_error, memory, priority ... and may have a name. Paths are
    relative to the file. All problems of the file are listed before anything runs.
    The exit code is 0 when all are done, else that of the worst.
    """
    check_places(manner)
    try:
        planned = asked.read()
    except BadBatch as error:
        for problem in error.problems:
            complain(problem)
        return error.exit_code
    with watched(manner):
        summary = run_batch(asked, planned, manner.direct)
    if manner.html_path is not None:
        from flows.batch_page import render_page  # noqa: PLC0415 - loads jinja2

        write_file(manner.html_path, render_page(summary))
    answer(manner, summary.to_json(), summary.to_text())
    if summary.exit_code:
        complain(summary.failures)
    return summary.exit_code


def demo(size: DemoSize, manner: Manner) -> int:
    """Make two matrices, multiply them in a quarter of the memory that they and their product fill, and show the report."""
    check_places(manner)
    run_demo(size, manner)
    return 0
