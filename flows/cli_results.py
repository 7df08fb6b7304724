"""Commands that look at a result: info, verify. They start nothing and need no Prefect."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import typer
from pydantic import BaseModel, ConfigDict

from flows.options import Group, Output, command
from flows.show import STANDARD_OUTPUT, complain, say, write_json
from storage import read_certificate
from tasks.checkup import check_up

DAMAGED = 4


class Result(BaseModel):
    """A stored result."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    out: str
    """A product that gemmflow stored."""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    command(app, "info", Group(Result), Group(Output, "What it shows"))(info)
    command(app, "verify", Group(Result), Group(Output, "What it shows"))(verify)


def info(result: Result, output: Output) -> int:
    """Show how a result was made and how exact it is, from the certificate that is stored in it."""
    certificate = read_certificate(_path(result))
    if output.json_path is not None:
        write_json(certificate, output.json_path)
    if not output.quiet and output.json_path != STANDARD_OUTPUT:
        say("\n".join(lines(certificate)))
    return 0


def verify(result: Result, output: Output) -> int:
    """Check every file of a result against its manifest; exit code 4 where one is missing or damaged."""
    checked = check_up(_path(result))
    if output.json_path is not None:
        write_json(checked.to_json(), output.json_path)
    if not checked.sound:
        complain(checked.line)
        return DAMAGED
    if not output.quiet and output.json_path != STANDARD_OUTPUT:
        say(checked.line)
    return 0


def lines(value: Mapping[str, object], indent: int = 0) -> list[str]:
    """A nested mapping as indented lines, empty values left out."""
    shown: list[str] = []
    for name, part in value.items():
        if isinstance(part, Mapping):
            shown += [f"{'  ' * indent}{name}", *lines(cast("Mapping[str, object]", part), indent + 1)]
        elif part not in (None, "", [], ()):
            shown.append(f"{'  ' * indent}{name:<{20 - 2 * indent}} {_plain(part)}")
    return shown


def _plain(part: object) -> str:
    if isinstance(part, list | tuple):
        return " x ".join(str(item) for item in cast("list[object]", part))
    return f"{part:.6g}" if isinstance(part, float) else str(part)


def _path(result: Result) -> Path:
    return Path(result.out).expanduser()
