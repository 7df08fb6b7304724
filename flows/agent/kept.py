"""Plans that were shown, by an id that can only come from here: 128 random bits, the name of a file of the store.

A plan is kept whole: the job with its memory stated, and the file that `gemmflow multiply --plan` would run.
"""

import re
import secrets
import time
from importlib import metadata

from pydantic import BaseModel, ConfigDict

from flows.agent.faults import AgentError
from flows.agent.store import Document, Store, read, sweep, write

DAYS = 7.0
"""For which a plan may be submitted."""

SECONDS = DAYS * 86400

_ID = re.compile(r"plan-[0-9a-f]{32}")


class Kept(BaseModel):
    """A plan that was shown."""

    model_config = ConfigDict(frozen=True)

    job: Document
    """Fields of the job, its memory stated."""
    plan: Document
    """The file of the plan (`tasks.plan_file`): decisions, what they rest on, and its digest."""
    seconds: float
    """Predicted."""
    usd_per_hour: float | None
    """Of all that the run uses, together; None where nothing is known."""
    version: str
    """Of gemmflow."""
    made_at: float
    """Seconds since the epoch."""

    @property
    def usd(self) -> float | None:
        """What the predicted time costs, in dollars."""
        return None if self.usd_per_hour is None else self.seconds / 3600 * self.usd_per_hour

    @property
    def out(self) -> str:
        """Where the product goes."""
        return str(self.job["out"])


def keep(store: Store, plan: Kept) -> str:
    """Keep a plan; returns its id. Those that are too old to be submitted go."""
    sweep(store.plans, SECONDS)
    plan_id = f"plan-{secrets.token_hex(16)}"
    write(store.plans / f"{plan_id}.json", {"id": plan_id, **plan.model_dump()})
    return plan_id


def find(store: Store, plan_id: str) -> Kept:
    """The plan that was shown under this id. Raises AgentError where there is none, or it may not be submitted any more."""
    again = "call analyze, and submit the plan_id that it returns"
    document = read(store.plans / f"{plan_id}.json") if _ID.fullmatch(plan_id) else None
    if document is None or document.pop("id", None) != plan_id:
        raise AgentError("unknown_plan", f"{plan_id[:80]!r} is no plan of this server", again)
    kept = Kept.model_validate(document)
    if time.time() - kept.made_at > SECONDS:
        raise AgentError("plan_expired", f"the plan is older than {DAYS:g} days", again)
    if kept.version != metadata.version("gemmflow"):
        raise AgentError("plan_expired", f"the plan was made by gemmflow {kept.version}, this is {metadata.version('gemmflow')}", again)
    return kept
