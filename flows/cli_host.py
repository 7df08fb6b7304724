"""Commands about this host and its Prefect server: calibrate, serve, deploy, ui."""

from dataclasses import asdict

import typer
from pydantic import BaseModel, ConfigDict, Field

from flows.chores import Measuring
from flows.options import Group, Output, command
from flows.show import STANDARD_OUTPUT, answer, say, tell, write_json
from storage import expanded
from tasks.tables import aligned
from tasks.units import format_bytes, format_count


class Serving(BaseModel):
    """How deployments are served."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    debug: bool = False
    """Show the traceback of an error, and Prefect's logs."""


class Described(BaseModel):
    """What is registered."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    file: str | None = None
    """YAML file of the deployments. Default: deployments/prefect.yaml of the folder that gemmflow was installed from."""


class Pages(Serving):
    """Where the server listens."""

    port: int = Field(default=4200, ge=1, le=65535)
    """Port of the server, on this host only. Default: 4200."""
    samples: bool = False
    """Also start a few small runs on generated data, to look at; their files go when the server ends."""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    command(app, "calibrate", Group(Measuring), Group(Output, "What it shows"))(calibrate)
    command(app, "serve", Group(Serving))(serve)
    command(app, "deploy", Group(Described), Group(Output, "What it shows"))(deploy)
    command(app, "ui", Group(Pages))(ui)


def calibrate(measuring: Measuring, output: Output) -> int:
    """Measure afresh what workers on this machine can do, and remember it for every plan.

    The first run on a machine does this by itself; do it again when the machine was busy then.
    """
    from tasks import calibrate as calibration  # noqa: PLC0415 - loads Dask

    if not output.quiet:
        tell("measuring: keep this machine otherwise idle for some seconds")
    hardware = calibration.calibrate(measuring.cluster)
    if output.json_path is not None:
        from pydantic import TypeAdapter  # noqa: PLC0415

        write_json(TypeAdapter(type(hardware)).dump_python(hardware, mode="json"), output.json_path)
    if not output.quiet and output.json_path != STANDARD_OUTPUT:
        say(f"{hardware.processor}, {hardware.cores} cores, {format_bytes(hardware.memory_bytes)}")
        for layout in hardware.layouts:
            rates = layout.rates
            speeds = ", ".join(
                f"{name} {format_count(rate * layout.workers, 'FLOP/s')} by {rates.kernels[name]}" for name, rate in rates.flops.items()
            )
            say(f"{layout.workers} workers x {layout.threads} threads: {speeds}; an idle worker holds {format_bytes(layout.base_bytes)}")
    return 0


def serve(serving: Serving) -> int:
    """Serve the flows multiply, batch, verify, repair, calibrate and clean on this host, without a work pool, until Ctrl-C.

    Runs are started from Prefect's pages or with: prefect deployment run multiply/multiply
    """
    from flows.serve import serve as serve_forever  # noqa: PLC0415

    del serving
    serve_forever()
    return 0


def deploy(described: Described, output: Output) -> int:
    """Register deployments with schedules on the Prefect server of PREFECT_API_URL, with the work pools and queues that are missing there.

    Doing it again changes only what was changed in the file. Workers run them: prefect worker start --pool gemmflow
    """
    from flows.deploy import PREFECT_FILE  # noqa: PLC0415
    from flows.deploy import deploy as register  # noqa: PLC0415

    registry = register(expanded(described.file) if described.file else PREFECT_FILE)
    rows = aligned([["deployment", "work pool", "queue", "schedules"], *(entry.row for entry in registry.deployments)], left=4)
    done = [*(f"created {made}" for made in registry.made), *(f"removed {old}" for old in registry.removed)]
    answer(output, {"schema": 1, **asdict(registry)}, "\n".join([*done, *rows]))
    return 0


def ui(pages: Pages) -> int:
    """Start a Prefect server with its pages, and serve the deployments on it, until Ctrl-C."""
    from flows.serve import serve_with_ui  # noqa: PLC0415

    serve_with_ui(pages.port, pages.samples)
    return 0
