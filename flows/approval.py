"""A run that would take more than it may without a question waits in Prefect for an answer, with its plan in front of the reader.

No lease is held meanwhile and nothing is written; a run of a deployment has no process and no workers either. A run that a program started
stays and waits, also while Prefect's server is away. Asked again after it was resumed, the same run finds the answer.
"""

from time import monotonic, sleep
from typing import TYPE_CHECKING
from uuid import UUID

from httpx import HTTPError
from prefect import pause_flow_run, suspend_flow_run
from prefect.exceptions import FlowPauseTimeout
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import Field

from flows.artifacts import plan_rows
from flows.recording import is_away, probing
from tasks.errors import Refused

if TYPE_CHECKING:
    from tasks.asking import AskAbove
    from tasks.plan import Plan
    from tasks.survey import Problem

KEY = "gemmflow-plan"
"""Of the question, so that a run asks it once."""

LOOK_SECONDS = 5.0
"""From one look for the answer to the next, once the server was away."""


class Answer(RunInput):
    """Whether the plan is carried out."""

    proceed: bool = Field(default=False, description="Carry the plan out. Otherwise the run ends, and nothing is written.")


def require_approval(limits: "AskAbove", problem: "Problem", plan: "Plan") -> None:
    """Return where the plan needs no approval, or has it; else waits for an answer, or ends the process. Raises Refused where it is no."""
    reasons = limits.exceeded(plan)
    if not reasons:
        return
    asked, seconds = Answer.with_initial_data(description=question(problem, plan, reasons)), round(limits.hours * 3600)
    answer = suspend_flow_run(wait_for_input=asked, timeout=seconds, key=KEY) if deployment.id else _paused(asked, seconds)
    if not answer.proceed:
        raise Refused(f"the plan was not approved ({'; '.join(reasons)}): allow more, or change the job")


def question(problem: "Problem", plan: "Plan", reasons: tuple[str, ...]) -> str:
    """What the reader sees, in Markdown."""
    rows = [f"| {row['what']} | {row['value']} |" for row in plan_rows(plan)]
    return "\n".join([f"**{problem.title}** would take", "", *(f"- {reason}" for reason in reasons), "", "| | |", "|---|---|", *rows])


def _paused(asked: type[Answer], seconds: float) -> Answer:
    """The answer. Prefect alone would take a server that is away for more than a minute for a failure of the run."""
    deadline = monotonic() + seconds
    while True:
        try:
            return pause_flow_run(wait_for_input=asked, timeout=max(1, round(deadline - monotonic())), key=KEY)
        except Exception as error:
            if not is_away(error):
                raise
        _await_resumption(deadline)


def _await_resumption(deadline: float) -> None:
    """Return when the server says that the run waits no longer: Prefect ends a run that asks while it waits. Raises FlowPauseTimeout."""
    while not _is_resumed():
        if monotonic() > deadline:
            raise FlowPauseTimeout("Flow run was paused and never resumed.")
        sleep(LOOK_SECONDS)


def _is_resumed() -> bool:
    try:
        with probing() as client:
            state = client.read_flow_run(UUID(flow_run.id)).state
    except Exception as error:
        if not (isinstance(error, HTTPError) or is_away(error)):  # one try has no answer where the server is busy, too
            raise
        return False
    return state is not None and not state.is_paused()
