"""Commands that look at a result: info, verify. They start nothing and need no Prefect."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard, cast

import typer
from pydantic import BaseModel, ConfigDict

from flows.options import Group, Output, command
from flows.show import STANDARD_OUTPUT, complain, say, write_json
from storage import read_certificate, verify_storage
from tasks.tables import aligned

DAMAGED = 4
MOST_NAMED = 5
"""Damaged chunks that an error line names."""


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
    """Read every chunk of a result and check it; exit code 4 where one is missing or damaged."""
    out = _path(result)
    damaged = verify_storage(out)
    if output.json_path is not None:
        write_json({"schema": 1, "out": str(out), "whole": not damaged, "damaged": damaged}, output.json_path)
    if damaged:
        complain(damage(out, damaged))
        return DAMAGED
    if not output.quiet and output.json_path != STANDARD_OUTPUT:
        say(f"{out}: every chunk is there and matches its checksum")
    return 0


def damage(out: Path, keys: list[str]) -> str:
    """The error line."""
    named = ", ".join(keys[:MOST_NAMED]) + (f" and {len(keys) - MOST_NAMED} more" if len(keys) > MOST_NAMED else "")
    return f"{len(keys)} chunks of {out} are missing or damaged: {named}: compute it again with multiply --overwrite"


def lines(value: Mapping[str, object], indent: int = 0) -> list[str]:
    """A nested mapping as indented lines, empty values left out."""
    shown: list[str] = []
    for name, part in value.items():
        if isinstance(part, Mapping):
            shown += [f"{'  ' * indent}{name}", *lines(cast("Mapping[str, object]", part), indent + 1)]
        elif _is_table(part):
            shown += [f"{'  ' * indent}{name}", *(f"{'  ' * indent}  {line}" for line in aligned(_cells(part), left=1))]
        elif part not in (None, "", [], ()):
            shown.append(f"{'  ' * indent}{name:<{20 - 2 * indent}} {_plain(part)}")
    return shown


def _is_table(part: object) -> TypeGuard[list[Mapping[str, object]]]:
    """Whether a value is a list of mappings, such as the codecs that were weighed."""
    return isinstance(part, list) and bool(part) and all(isinstance(row, Mapping) for row in cast("list[object]", part))


def _cells(rows: list[Mapping[str, object]]) -> list[list[str]]:
    return [list(rows[0]), *([_plain(cell) for cell in row.values()] for row in rows)]


def _plain(part: object) -> str:
    if isinstance(part, list | tuple):
        return " x ".join(str(item) for item in cast("list[object]", part))
    return f"{part:.6g}" if isinstance(part, float) else str(part)


def _path(result: Result) -> Path:
    return Path(result.out).expanduser()
