"""The file that remembers what runs took: a line each beside the calibration of their hardware, the last ones only.

GEMMFLOW_HISTORY=off neither reads nor writes it. It is advice: what cannot be read or written is no error.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from storage import write_atomically
from tasks.hardware import cache_folder
from tasks.history import RECENT, Past, past_of

if TYPE_CHECKING:
    from tasks.report import Report

SHORTEST = 1.0
"""Seconds of a run that says anything about another one."""

_PAST = TypeAdapter(Past)


def recall_history(fingerprint: str) -> tuple[Past, ...]:
    """Earlier runs on this hardware, oldest first; lines that are torn do not count."""
    runs: list[Past] = []
    if is_on():
        with suppress(OSError):
            for line in _path(fingerprint).read_bytes().splitlines():
                with suppress(ValidationError):
                    runs.append(_PAST.validate_json(line))
    return tuple(runs[-RECENT:])


def note(report: "Report") -> None:
    """Remember a run that did all of its work at once, and nothing twice, by a plan that was made for this hardware."""
    run, outcome = report.run, report.outcome
    repeated = outcome.resumed or outcome.retried or outcome.missed
    elsewhere = run.plan.rates not in ("", run.hardware.fingerprint)
    if not is_on() or repeated or elsewhere or report.clock.seconds < SHORTEST or run.hardware.fingerprint == "":
        return
    past = past_of(run.plan.predicted, report.clock.seconds, report.measured.lanes)
    runs = (*recall_history(run.hardware.fingerprint), past)[-RECENT:]
    with suppress(OSError):
        cache_folder().mkdir(parents=True, exist_ok=True)
        write_atomically(_path(run.hardware.fingerprint), b"\n".join(_PAST.dump_json(one) for one in runs) + b"\n")


def is_on() -> bool:
    """Whether history is kept."""
    return os.environ.get("GEMMFLOW_HISTORY", "on") != "off"


def _path(fingerprint: str) -> Path:
    return cache_folder() / f"history-{fingerprint}.jsonl"
