"""What a caller may ask for: paths in the roots, clusters and limits that the operator allows.

Judged when a job is analyzed, and again when its plan is submitted: on another day, by another server, with other links on the disk.
"""

import json
from dataclasses import dataclass
from typing import cast

from flows.agent.arguments import MOST_SECONDS
from flows.agent.faults import AgentError
from flows.agent.kept import Kept
from flows.agent.roots import Roots
from flows.agent.runs import Request
from flows.agent.store import Document
from storage import is_url
from tasks.job import make_job
from tasks.units import format_seconds

INPUTS = ("a", "b", "add")
PLACES = (*INPUTS, "out")


@dataclass(frozen=True)
class Gate:
    """What the operator allows."""

    roots: Roots
    clusters: tuple[str, ...] = ("local", "cuda")
    """Where runs may go: the file of any other cluster is code."""
    overwrite: bool = False
    """Whether a run may replace a result."""
    at_once: int = 1
    """Runs that go on at the same time; others wait."""
    max_seconds: float = MOST_SECONDS
    """Longest that any run may take."""

    def judge(self, job: Document) -> Document:
        """The fields of a job, its places absolute and without links. Raises AgentError where it asks for too much, and BadInput."""
        fields = {name: value for name, value in job.items() if value is not None}
        if "plan" in fields:
            raise AgentError("not_allowed", "plan names a file of the command line", "leave it out, and submit a plan_id of analyze")
        for name in PLACES:
            if name in fields:
                fields[name] = (self.roots.confine_input if name in INPUTS else self.roots.confine)(fields[name])
        cluster = fields.get("cluster", "local")
        if cluster not in self.clusters:
            cause = f"cluster {str(cluster)[:80]!r} is not one of {', '.join(self.clusters)}"
            raise AgentError("not_allowed", cause, "leave cluster out, or have the operator allow it")
        if fields.get("overwrite") and not self.overwrite:
            raise AgentError("not_allowed", "overwrite is not allowed here", "choose a new place for out")
        return cast("Document", json.loads(make_job(**fields).model_dump_json(exclude_unset=True)))

    def judge_model(self, place: str) -> str:
        """The file or folder of a model, absolute and without links. Raises AgentError where it is in no root, or no file."""
        if is_url(real := self.roots.confine_input(place)):
            raise AgentError("bad_input", f"{place} is a URL, and models are read from files", "copy its config.json to a root")
        return real

    def judge_kept(self, kept: Kept) -> None:
        """Raise as `judge` does, and where a link has come into a path since the plan was made."""
        now = self.judge(kept.job)
        moved = [str(kept.job[name]) for name in PLACES if now.get(name) != kept.job[name]]
        if moved:
            raise AgentError("outside_roots", f"{' and '.join(moved)} became a link since the plan was made", "analyze the job again")

    def judge_limits(self, request: Request) -> None:
        """Raise AgentError where the prediction is more than the caller allows, or the limits more than the operator does."""
        kept, fix = request.kept, "raise the limit, or analyze a cheaper job"
        if request.max_seconds > self.max_seconds:
            cause = f"max_seconds is {request.max_seconds:g}, the operator allows {self.max_seconds:g}"
            raise AgentError("over_limit", cause, f"give at most {self.max_seconds:g}")
        if kept.seconds > request.max_seconds:
            cause = f"the plan takes {format_seconds(kept.seconds)}, max_seconds allows {format_seconds(request.max_seconds)}"
            raise AgentError("over_limit", cause, fix)
        if request.max_usd is None:
            return
        if kept.usd is None:
            raise AgentError("no_price", "max_usd is given, but the plan has no price", "analyze with usd_per_hour, or leave max_usd out")
        if kept.usd > request.max_usd:
            raise AgentError("over_limit", f"the plan costs {kept.usd:.3g} USD, max_usd allows {request.max_usd:g}", fix)
