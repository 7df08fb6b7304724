"""Batch: many jobs, one after the other, on one open cluster and one Prefect server. A job that fails stops no other."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import yaml

from flows.engine import run_job
from flows.session import open_session
from flows.signals import stopping
from tasks.errors import BadInput, GemmflowError
from tasks.job import make_job
from tasks.units import format_seconds

if TYPE_CHECKING:
    from flows.engine import Approve
    from tasks.report import Report

PATHS = ("a", "b", "out", "add")
"""Fields of a job that are relative to the file."""

Fields = dict[str, object]


@dataclass(frozen=True)
class Result:
    """How one job of a batch ended."""

    name: str
    exit_code: int
    seconds: float
    """Wall time of the job, planning included."""
    message: str
    """The error; empty where there is none."""
    report: "Report | None" = None

    def to_json(self) -> dict[str, object]:
        """For scripts; `report` is null where the job failed."""
        report = None if self.report is None else self.report.to_json()
        return {"name": self.name, "exit_code": self.exit_code, "seconds": self.seconds, "message": self.message, "report": report}


def read_jobs(path: Path) -> list[Fields]:
    """The entries of a batch file, paths made absolute; raises BadInput where it is no list of jobs.

    What an entry says is checked when its turn comes, so that one bad entry stops no other.
    """
    try:
        found = yaml.safe_load(path.read_text())
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is no YAML: {error}") from None
    if not isinstance(found, list) or not found:
        raise BadInput(f"{path} is no list of jobs: write entries such as `- {{a: A.zarr, b: B.zarr, out: C.zarr}}`")
    entries = cast("list[object]", found)
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise BadInput(f"{path}: entry {number} is {entry!r}; a job needs at least a, b and out")
    return [_absolute(cast("Fields", entry), path.absolute().parent) for entry in entries]


def run_batch(entries: Sequence[Fields], direct: bool, approve: "Approve | None" = None) -> list[Result]:
    """Run every job; only an interruption ends the batch early."""
    with open_session():
        return [_run(entry, direct, approve) for entry in entries]


def summary_text(results: Sequence[Result]) -> str:
    """One line a job, one for all."""
    width = max(len(result.name) for result in results)
    lines = [f"{_mark(result):<7} {result.name:<{width}}  {format_seconds(result.seconds):>10}  {result.message}" for result in results]
    done = sum(result.exit_code == 0 for result in results)
    total = format_seconds(sum(result.seconds for result in results))
    return "\n".join(line.rstrip() for line in [*lines, "", f"{done} of {len(results)} jobs done in {total}"])


def summary_json(results: Sequence[Result]) -> dict[str, object]:
    """Every result and the counts."""
    done = sum(result.exit_code == 0 for result in results)
    return {"schema": 1, "jobs": len(results), "done": done, "results": [result.to_json() for result in results]}


def worst(results: Sequence[Result]) -> int:
    """The largest exit code."""
    return max(result.exit_code for result in results)


def _run(entry: Fields, direct: bool, approve: "Approve | None") -> Result:
    started, name = time.monotonic(), str(entry.get("out", "(no out)"))
    try:
        report = run_job(make_job(**entry), direct, approve)
    except Exception as error:  # whatever one job meets, the next one is tried, unless somebody wants an end
        if stopping():
            raise
        seconds = time.monotonic() - started
        if isinstance(error, GemmflowError):
            return Result(name, error.exit_code, seconds, str(error))
        return Result(name, 1, seconds, f"unexpected {type(error).__name__}: {error}")
    return Result(name, 0, time.monotonic() - started, "", report)


def _absolute(entry: Fields, folder: Path) -> Fields:
    paths = {name: str(folder / Path(value).expanduser()) for name in PATHS if isinstance(value := entry.get(name), str) and value.strip()}
    return {str(name): value for name, value in entry.items()} | paths


def _mark(result: Result) -> str:
    return "done" if result.exit_code == 0 else f"exit {result.exit_code}"
