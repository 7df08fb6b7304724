"""The summary of a batch: time and bytes of every job, as text, JSON and the rows of a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flows.batch_result import Result
from tasks.errors import GemmflowError
from tasks.tables import aligned
from tasks.units import format_bytes, format_seconds
from tasks.wording import plural

HEADER = ("job", "state", "time", "read", "written", "stored")
MOST_NAMED = 5
"""Failed jobs that an error line names."""


@dataclass(frozen=True)
class Summary:
    """How a batch ended."""

    name: str
    scheduled: datetime
    """For which time it ran."""
    at_once: int
    """At most so many jobs ran at the same time."""
    memory: int
    """Bytes that each of those could use."""
    results: tuple[Result, ...]
    """In the order of the file."""
    seconds: float
    """Wall time of all jobs."""

    @property
    def exit_code(self) -> int:
        """The largest of all jobs."""
        return max(result.exit_code for result in self.results)

    @property
    def done(self) -> int:
        """How many products are there, computed now or before."""
        return sum(result.exit_code == 0 for result in self.results)

    @property
    def line(self) -> str:
        """One for all."""
        complete = self.count("complete")
        before = f", {complete} of them before" if complete else ""
        return f"{self.done} of {len(self.results)} jobs done{before} in {format_seconds(self.seconds)}"

    @property
    def failures(self) -> str:
        """The jobs that failed, in one line; empty where none did."""
        failed = [result for result in self.results if result.state == "failed"]
        named = "; ".join(f"{result.name}: {result.message}" for result in failed[:MOST_NAMED])
        more = f"; and {len(failed) - MOST_NAMED} more" if len(failed) > MOST_NAMED else ""
        return f"{plural(len(failed), 'job')} of {len(self.results)} failed: {named}{more}" if failed else ""

    def count(self, state: str) -> int:
        """How many jobs ended so."""
        return sum(result.state == state for result in self.results)

    def to_text(self) -> str:
        """One line a job, one for all."""
        head, *rows = aligned([HEADER, *map(cells, self.results)], left=2)
        told = [f"{row}  {result.message}".rstrip() for row, result in zip(rows, self.results, strict=True)]
        return "\n".join([head, *told, "", self.line]) + "\n"

    def to_json(self) -> dict[str, object]:
        """Every result and the counts; keys are added, never renamed."""
        return {
            "schema": 1,
            "name": self.name,
            "scheduled": self.scheduled.isoformat(),
            "at_once": self.at_once,
            "memory": self.memory,
            "seconds": self.seconds,
            "jobs": len(self.results),
            "done": self.done,
            "complete": self.count("complete"),
            "failed": self.count("failed"),
            "skipped": self.count("skipped"),
            "bytes_read": self.total("bytes_read"),
            "bytes_written": self.total("bytes_written"),
            "bytes_stored": self.total("bytes_stored"),
            "results": [result.to_json() for result in self.results],
        }

    def total(self, field: str) -> int:
        """Sum over the jobs of one of a result's counts of bytes."""
        return sum(getattr(result, field) for result in self.results)


class BatchFailed(GemmflowError):
    """Some jobs of a batch failed, the others are done."""

    def __init__(self, summary: Summary) -> None:
        super().__init__(summary.failures)
        self.summary = summary


def cells(result: Result) -> tuple[str, ...]:
    """A result as people read it, one text for each column of HEADER."""
    sizes = [format_bytes(count) if count else "" for count in (result.bytes_read, result.bytes_written, result.bytes_stored)]
    state = f"exit {result.exit_code}" if result.state == "failed" else result.state
    return (result.name, state, format_seconds(result.seconds) if result.seconds else "", *sizes)


def table_rows(results: Sequence[Result]) -> list[dict[str, str]]:
    """For a Prefect table artifact."""
    return [dict(zip(HEADER, cells(result), strict=True)) | {"message": result.message} for result in results]
