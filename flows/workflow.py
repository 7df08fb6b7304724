"""The Prefect flow. Its parameter is a `Job`, so Prefect's form shows, explains and checks every field.

Entrypoint: ``flows.workflow.multiply_flow``. (Importing this module imports Prefect.)
"""

from prefect import flow
from prefect.context import TagsContext
from prefect.runtime import flow_run

from flows.multiply import run_stages
from flows.signals import still_interruptible
from flows.stages import prefect_stages
from tasks.errors import GemmflowError
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
