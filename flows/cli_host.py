"""Commands about this host: calibrate, serve, ui."""

from typing import Literal

import typer
from pydantic import BaseModel, ConfigDict, Field

from flows.options import Group, Output, command
from flows.show import STANDARD_OUTPUT, say, tell, write_json
from tasks.units import format_bytes, format_count


class Workers(BaseModel):
    """What is measured."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    cluster: Literal["local", "cuda"] = "local"
    """Which workers of this host to measure."""


class Serving(BaseModel):
    """How deployments are served."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    debug: bool = False
    """Show the traceback of an error, and Prefect's logs."""


class Pages(Serving):
    """Where the server listens."""

    port: int = Field(default=4200, ge=1, le=65535)
    """Port of the server, on this host only. Default: 4200."""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    command(app, "calibrate", Group(Workers), Group(Output, "What it shows"))(calibrate)
    command(app, "serve", Group(Serving))(serve)
    command(app, "ui", Group(Pages))(ui)


def calibrate(workers: Workers, output: Output) -> int:
    """Measure afresh what workers on this machine can do, and remember it for every plan.

    The first run on a machine does this by itself; do it again when the machine was busy then.
    """
    from tasks import calibrate as measuring  # noqa: PLC0415 - loads Dask

    if not output.quiet:
        tell("measuring: keep this machine otherwise idle for some seconds")
    hardware = measuring.calibrate(workers.cluster)
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
    """Serve the deployments multiply, verify and repair on this host, without a work pool, until Ctrl-C.

    Runs are started from Prefect's pages or with: prefect deployment run multiply/multiply
    """
    from flows.serve import serve as serve_forever  # noqa: PLC0415

    del serving
    serve_forever()
    return 0


def ui(pages: Pages) -> int:
    """Start a Prefect server with its pages, and serve the deployments on it, until Ctrl-C."""
    from flows.serve import serve_with_ui  # noqa: PLC0415

    serve_with_ui(pages.port)
    return 0
