"""The log of a run as JSON lines on standard error, for those who collect logs: GEMMFLOW_LOG=json.

    {"time": "2026-01-31T03:00:00.123+00:00", "level": "info", "event": "begun", "message": ..., "run_id": ..., "out": ..., "tiles": 16 ...}

Everything that gemmflow says beside its answer is such a line then, errors included, and there is no bar. The fields of an event are
those of `flows.steps`; `run_id` is the report's, `flow_run_id` Prefect's.
"""

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasks.errors import BadInput

if TYPE_CHECKING:
    from flows.steps import Fact, Step, Tell

VARIABLE = "GEMMFLOW_LOG"
KINDS = ("text", "json")


def is_json() -> bool:
    """Whether logs are wanted as JSON. Raises BadInput where GEMMFLOW_LOG is neither of KINDS."""
    kind = os.environ.get(VARIABLE, "text")
    if kind not in KINDS:
        raise BadInput(f"{VARIABLE}={kind} is unknown: use {' or '.join(KINDS)}")
    return kind == "json"


def with_log(tell: "Tell") -> "Tell":
    """Also writes the steps, where that is wanted. Raises BadInput."""
    if not is_json():
        return tell

    def both(step: "Step") -> None:
        write_step(step)
        tell(step)

    return both


def write_step(step: "Step") -> None:
    """One line."""
    from flows.show import put  # noqa: PLC0415 - which asks this module

    level = "error" if step.name == "failed" else "info"
    put(record(level, step.line, {"event": step.name, "run_id": step.run_id, "out": step.out, **step.facts}))


def record(level: str, message: str, fields: "Mapping[str, Fact] | None" = None) -> str:
    """A line; fields that are empty are left out."""
    fixed = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "message": message}
    known = {name: value for name, value in {**(fields or {}), "flow_run_id": _flow_run_id()}.items() if value != ""}
    return json.dumps(fixed | known)


def _flow_run_id() -> str:
    if "prefect.context" not in sys.modules:
        return ""
    from prefect.context import FlowRunContext  # noqa: PLC0415

    context = FlowRunContext.get()
    return str(context.flow_run.id) if context is not None and context.flow_run is not None else ""
