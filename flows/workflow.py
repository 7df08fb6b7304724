"""The Prefect flows: multiply, verify, repair. Their parameters are values, so Prefect's forms show, explain and check every field.

Entrypoints: ``flows.workflow.multiply_flow`` and so on. (Importing this module imports Prefect.)
"""

from prefect import flow
from prefect.context import TagsContext
from prefect.runtime import flow_run

from flows import upkeep
from flows.multiply import run_stages
from flows.signals import still_interruptible
from flows.stages import prefect_stages
from tasks.checkup import Ask
from tasks.errors import DamageFound, GemmflowError
from tasks.job import Job, make_job
from tasks.report import Report
from tasks.survey import survey


def run_name() -> str:
    """The product as people say it: ``16384x16384x16384 float32``; plain ``multiply`` where the inputs cannot be read."""
    given = flow_run.parameters["job"]
    try:
        return survey(given if isinstance(given, Job) else make_job(**given)).title
    except GemmflowError:
        return "multiply"


@flow(name="multiply", flow_run_name=run_name, persist_result=False, retries=0)
def multiply_flow(job: Job) -> Report:
    """Multiply two matrices that need not fit in memory, to a stated and certified accuracy, and store the product."""
    # Tasks would inherit the tags of the flow run, and each tag of a task is a request to the server for a concurrency slot.
    with still_interruptible(), TagsContext(current_tags=set()):
        return run_stages(job, prefect_stages())


@flow(name="verify", flow_run_name="verify {out}", persist_result=False, retries=0)
def verify_flow(out: str, ask: Ask = Ask()) -> dict[str, object]:  # noqa: B008 - frozen
    """Check a stored result against its manifest; the run fails where a file is damaged, and names it. Worth a schedule."""
    with still_interruptible():
        checked = upkeep.verify(out, ask)
        if not checked.sound:
            raise DamageFound(checked.line)
        return checked.to_json()


@flow(name="repair", flow_run_name="repair {out}", persist_result=False, retries=0)
def repair_flow(out: str, full: bool = False, cluster: str | None = None) -> dict[str, object]:
    """Compute again, from A and B, the tiles of a stored result that are damaged, and nothing else."""
    with still_interruptible():
        return upkeep.repair(out, full, cluster).to_json()
