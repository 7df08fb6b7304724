"""What a run leaves on disk: a complete OUT, an unfinished result beside it, or nothing. Read from the disk, whatever happened.

with followed() as traces:          # a command
    take_traces(job.out)            # each of its runs, before it writes
traces[-1].complete, traces[-1].unfinished
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from storage import GemmflowError, read_certificate, staging_folders
from tasks.units import format_bytes


@dataclass(frozen=True)
class Traces:
    """What lay at OUT and beside it before a run."""

    out: Path
    older: tuple[Path, ...]
    """Staging folders of earlier runs, or of one that goes on elsewhere."""
    replaced: str
    """Run id of the result at OUT; empty where there is none."""

    @property
    def complete(self) -> bool:
        """Whether a new result lies at OUT, and not that of somebody who was faster."""
        new, left = run_id_at(self.out), self.unfinished
        return new not in ("", self.replaced) and (not left or any(folder.name.endswith(new) for folder in left))

    @property
    def unfinished(self) -> list[Path]:
        """Staging folders that this run left."""
        return [folder for folder in staging_folders(self.out) if folder not in self.older]

    def warning(self) -> str:
        """One line about the older folders with their sizes; empty where there are none."""
        if not self.older:
            return ""
        named = ", ".join(f"{folder} ({format_bytes(bytes_in(folder))})" for folder in self.older)
        return f"left beside OUT by earlier runs: {named}: delete what no running gemmflow still writes"


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
    place = Path(out)
    taken = Traces(place, tuple(staging_folders(place)), run_id_at(place))
    known = _FOLLOWED.get()
    if known is not None:
        known.append(taken)
    return taken


def run_id_at(out: Path) -> str:
    """The run that made what lies at OUT; empty where nothing of ours does."""
    try:
        return str(read_certificate(out).get("run_id", ""))
    except GemmflowError:
        return ""


def bytes_in(folder: Path) -> int:
    """Bytes of all files in a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).lstat().st_size
            except OSError:
                continue
    return total
