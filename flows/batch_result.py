"""How one job of a batch ended."""

import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tasks.report import Report

State = Literal["done", "complete", "failed", "skipped"]
"""done: computed now; complete: was so before; failed; skipped: a job that it waits for failed."""


@dataclass(frozen=True)
class Kept:
    """What stays of a report when the next job begins: a batch may have many jobs, and a report holds a record of every tile."""

    bytes_read: int
    """Decoded bytes of A and B that were read now."""
    bytes_written: int
    """Bytes of the product that were written now, before compression."""
    bytes_stored: int
    """Bytes of the product on disk, compressed."""
    packed: bytes
    """The report as JSON, compressed: a quarter of it."""

    @classmethod
    def of(cls, report: "Report") -> "Kept":
        """Of a finished run."""
        packed = zlib.compress(json.dumps(report.to_json()).encode())
        return cls(report.measured.bytes_read, report.measured.bytes_written, report.stored.bytes_stored, packed)

    def to_json(self) -> dict[str, object]:
        """The report."""
        return json.loads(zlib.decompress(self.packed))


@dataclass(frozen=True)
class Result:
    """How one job of a batch ended."""

    name: str
    exit_code: int
    """That of a job that is skipped is that of the job for which it waits."""
    seconds: float
    """Wall time of the job, planning included."""
    message: str
    """The error, or why nothing was computed; empty where there is neither."""
    report: Kept | None = None
    state: State = "failed"
    out: str = ""

    @property
    def bytes_read(self) -> int:
        """Decoded bytes of A and B that were read now."""
        return 0 if self.report is None else self.report.bytes_read

    @property
    def bytes_written(self) -> int:
        """Bytes of the product that were written now, before compression."""
        return 0 if self.report is None else self.report.bytes_written

    @property
    def bytes_stored(self) -> int:
        """Bytes of the product on disk, compressed; 0 where it was not computed now."""
        return 0 if self.report is None else self.report.bytes_stored

    def to_json(self) -> dict[str, object]:
        """For scripts; `report` is null where nothing was computed."""
        return {
            "name": self.name,
            "out": self.out,
            "state": self.state,
            "exit_code": self.exit_code,
            "seconds": self.seconds,
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "bytes_stored": self.bytes_stored,
            "message": self.message,
            "report": None if self.report is None else self.report.to_json(),
        }
