"""What a run leaves on disk: a complete OUT, an unfinished result beside it, or nothing. Read from the disk, whatever happened.

with followed() as traces:          # a command
    take_traces(job.out)            # each of its runs, before it writes
traces[-1].complete, traces[-1].unfinished
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from storage import AnyFound, GemmflowError, read_certificate, site_of


@dataclass(frozen=True)
class Traces:
    """What lay at OUT and beside it before a run."""

    out: str
    older: "AnyFound | None"
    """Staging folder of an earlier run, or of one that goes on elsewhere."""
    replaced: str
    """Run id of the result at OUT; empty where there is none."""

    @property
    def complete(self) -> bool:
        """Whether a new result lies at OUT, and not that of somebody who was faster."""
        new, left = run_id_at(self.out), self.unfinished
        return new not in ("", self.replaced) and (left is None or left.run_id == new)

    @property
    def unfinished(self) -> "AnyFound | None":
        """The staging folder that this run made or took over, and left."""
        found = _left(self.out)
        return None if found == self.older else found


_FOLLOWED: ContextVar[list[Traces] | None] = ContextVar("gemmflow traces", default=None)


@contextmanager
def followed() -> Generator[list[Traces]]:
    """The traces of the runs within the block, as they are taken."""
    traces: list[Traces] = []
    token = _FOLLOWED.set(traces)
    try:
        yield traces
    finally:
        _FOLLOWED.reset(token)


def take_traces(out: str) -> Traces:
    """Look before a run writes."""
    taken = Traces(out, _left(out), run_id_at(out))
    known = _FOLLOWED.get()
    if known is not None:
        known.append(taken)
    return taken


def run_id_at(out: str) -> str:
    """The run that made what lies at OUT; empty where nothing of ours does."""
    try:
        return str(read_certificate(out).get("run_id", ""))
    except GemmflowError:
        return ""


def _left(out: str) -> "AnyFound | None":
    """The unfinished run; None also where an object store does not answer: the message that is on its way says so."""
    try:
        left = site_of(out).left()
    except GemmflowError:
        return None
    return None if left is None else left.found
