"""Start runs from Prefect: served deployments on one host without a work pool, and the server with its pages.

A served deployment names its flow by module, never by file: a file would be imported under another name, and what is then sent
to Dask could not be imported there.
"""

import os
import sysconfig
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flows.engine import CONSOLE_LEVEL, import_prefect, prefect_settings, start_server
from flows.sample_runs import sample_runs
from flows.server import Service, answers, shown
from flows.show import say
from tasks.errors import BadInput

if TYPE_CHECKING:
    from prefect import Flow

DEFAULT_API = "http://127.0.0.1:4200/api"
"""Where a Prefect server listens unless told otherwise."""

SERVED = ("multiply", "batch", "analyze", "verify", "repair", "calibrate", "clean")
"""Flows of `flows.workflow`, and the names of their deployments."""


def serve() -> None:
    """Serve a deployment of every flow until interrupted, on the server of PREFECT_API_URL or of this host.

    Raises BadInput where no server answers.
    """
    api = answering_api()
    import_prefect()
    with prefect_settings(PREFECT_API_URL=api):
        say(f"serving {', '.join(flow.name for flow in served_flows())} on {shown(api)}; Ctrl-C ends it")
        _serve()


def answering_api() -> str:
    """The API of PREFECT_API_URL, or of a server on this host. Raises BadInput where none answers."""
    api = os.environ.get("PREFECT_API_URL") or DEFAULT_API
    if not answers(api):
        raise BadInput(f"no Prefect server answers at {shown(api)}: start one with gemmflow ui, or set PREFECT_API_URL")
    return api


def served_flows() -> "list[Flow[..., object]]":
    """The flows that are served; imports Prefect."""
    from flows import workflow  # noqa: PLC0415

    return [getattr(workflow, f"{name}_flow") for name in SERVED]


def serve_with_ui(port: int, samples: bool = False) -> None:
    """Start a server with its pages, and serve the deployments on it, until interrupted; with a few small runs to look at, if wanted."""
    server = start_server(Service(port=port, ui=True))
    try:
        with prefect_settings(PREFECT_API_URL=server.url, PREFECT_HOME=server.home), sample_runs() if samples else nullcontext():
            say(f"Prefect: {server.page}/deployments (start multiply with Run; Ctrl-C ends everything)")
            _serve()
    finally:
        server.stop()


def _serve() -> None:
    from prefect import serve as serve_deployments  # noqa: PLC0415
    from prefect.deployments.runner import RunnerDeployment  # noqa: PLC0415
    from prefect.types.entrypoint import EntrypointType  # noqa: PLC0415

    from flows.lasting import lasting  # noqa: PLC0415

    os.environ |= run_environment()
    os.environ.setdefault(CONSOLE_LEVEL, "CRITICAL")  # the logs of runs are on their pages
    deployments: list[RunnerDeployment] = []
    for flow in served_flows():
        deployment = flow.to_deployment(
            name=flow.name, description=flow.__doc__, tags=["gemmflow"], entrypoint_type=EntrypointType.MODULE_PATH
        )
        assert isinstance(deployment, RunnerDeployment)  # a coroutine only inside an event loop
        deployments.append(deployment)
    with suppress(KeyboardInterrupt), lasting():  # Ctrl-C is how serving ends
        # Prefect would switch every schedule off at the end, and nothing would switch it on again.
        serve_deployments(*deployments, print_starting_message=False, pause_on_shutdown=False)


def run_environment() -> dict[str, str]:
    """What the processes of runs need to import this code, and nothing else by accident."""
    root = str(Path(__file__).resolve().parents[1])
    environment = {"PYTHONSAFEPATH": "1"}
    if root in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        return environment
    known = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != root]
    return environment | {"PYTHONPATH": os.pathsep.join([root, *known])}
