"""Start runs from Prefect: served deployments on one host without a work pool, and the server with its pages.

A served deployment names its flow by module, never by file: a file would be imported under another name, and what is then sent
to Dask could not be imported there.
"""

import os
import sysconfig
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from flows.engine import CONSOLE_LEVEL, import_prefect, prefect_settings, start_server
from flows.server import Service
from flows.show import say
from tasks.errors import BadInput

DEFAULT_API = "http://127.0.0.1:4200/api"
"""Where a Prefect server listens unless told otherwise."""


def serve() -> None:
    """Serve the deployments multiply, verify and repair until interrupted, on the server of PREFECT_API_URL or of this host.

    Raises BadInput where no server answers.
    """
    api = os.environ.get("PREFECT_API_URL", DEFAULT_API)
    if not _answers(api):
        raise BadInput(f"no Prefect server answers at {api}: start one with gemmflow ui, or set PREFECT_API_URL")
    import_prefect()
    with prefect_settings(PREFECT_API_URL=api):
        say(f"serving multiply, verify and repair on {api}; Ctrl-C ends it")
        _serve()


def serve_with_ui(port: int) -> None:
    """Start a server with its pages, and serve the deployment on it, until interrupted."""
    server = start_server(Service(port=port, ui=True))
    try:
        with prefect_settings(PREFECT_API_URL=server.url, PREFECT_HOME=server.home):
            say(f"Prefect: {server.page}/deployments (start multiply with Run; Ctrl-C ends everything)")
            _serve()
    finally:
        server.stop()


def _serve() -> None:
    from prefect import serve as serve_deployments  # noqa: PLC0415
    from prefect.deployments.runner import RunnerDeployment  # noqa: PLC0415
    from prefect.types.entrypoint import EntrypointType  # noqa: PLC0415

    from flows import workflow  # noqa: PLC0415

    os.environ |= run_environment()
    os.environ.setdefault(CONSOLE_LEVEL, "CRITICAL")  # the logs of runs are on their pages
    deployments: list[RunnerDeployment] = []
    for flow in (workflow.multiply_flow, workflow.verify_flow, workflow.repair_flow):
        deployment = flow.to_deployment(
            name=flow.name, description=flow.__doc__, tags=["gemmflow"], entrypoint_type=EntrypointType.MODULE_PATH
        )
        assert isinstance(deployment, RunnerDeployment)  # a coroutine only inside an event loop
        deployments.append(deployment)
    with suppress(KeyboardInterrupt):  # how serving ends
        serve_deployments(*deployments, print_starting_message=False)


def run_environment() -> dict[str, str]:
    """What the processes of runs need to import this code, and nothing else by accident."""
    root = str(Path(__file__).resolve().parents[1])
    environment = {"PYTHONSAFEPATH": "1"}
    if root in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        return environment
    known = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != root]
    return environment | {"PYTHONPATH": os.pathsep.join([root, *known])}


def _answers(api: str) -> bool:
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError, ValueError):
        return False
