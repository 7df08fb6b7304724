"""Command-line parameters made from values: every option is a field, its help is the field's docstring.

    command(app, "multiply", Group(Job), Group(Manner))(multiply)      # multiply(job: Job, manner: Manner) -> int

Required text fields become arguments (A B OUT), all others options (--max-error). An option that is not given is not passed,
so that the value's own default holds and is checked in one place.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from tasks.complaints import Kind, explain
from tasks.errors import BadInput

Fields = dict[str, object]

METAVARS = {
    "add": "C0",
    "alpha": "NUMBER",
    "batch": "N",
    "at_once": "N",
    "beta": "NUMBER",
    "budget": "USD",
    "catalogue": "FILE",
    "chunk": "ROWS,COLS",
    "cluster": "WHERE",
    "codec": "NAME",
    "count": "N",
    "deadline": "TIME",
    "devices": "NAME,...",
    "dtype": "TYPE",
    "dtype_out": "TYPE",
    "durability": "LEVEL",
    "file": "FILE",
    "folder": "FOLDER",
    "host": "ADDRESS",
    "html_path": "FILE",
    "http": "PORT",
    "json_path": "FILE",
    "keep": "WHAT",
    "key": "KEY-ID",
    "max_error": "E",
    "max_seconds": "SECONDS",
    "memory": "SIZE",
    "model": "FILE",
    "most_devices": "N",
    "port": "N",
    "plan": "FILE",
    "portable": "yes|no",
    "precision": "NAME",
    "price_here": "USD",
    "priority": "N",
    "root": "DIR",
    "round": "MODE",
    "save_plan": "FILE",
    "scheduled": "TIME",
    "seal": "KEY-ID",
    "sequence": "N",
    "shape": "M,K,N",
    "shard": "ROWS,COLS",
    "state": "FOLDER",
    "storage": "SIZE",
    "store": "full|triangle",
    "tokens": "N",
    "vary": "AXIS=V,V;...",
    "workers": "N",
}
"""What stands for a value in the help, where the type alone says too little."""


class Running(BaseModel):
    """How a command runs and what it shows."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    direct: bool = False
    """Run the same stages without Prefect: for notebooks and small jobs."""
    json_path: str | None = Field(default=None, alias="json")
    """Write the report as JSON to a file, or to standard output for -."""
    yes: bool = False
    """Do not ask before a run that is predicted to take more than ten minutes."""
    quiet: bool = False
    """Show neither progress nor report."""
    debug: bool = False
    """Show the traceback of an error, and Prefect's logs."""

    def places(self) -> dict[str, str | None]:
        """Where something will be written, by option."""
        return {"--json": self.json_path}


class Manner(Running):
    """How one run is shown: also as a page."""

    html_path: str | None = Field(default=None, alias="html")
    """Write the report as one HTML page with its plots."""

    def places(self) -> dict[str, str | None]:
        """Where something will be written, by option."""
        return super().places() | {"--html": self.html_path}


class Output(BaseModel):
    """How a command that starts nothing shows its answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    json_path: str | None = Field(default=None, alias="json")
    """Write the answer as JSON to a file, or to standard output for -."""
    quiet: bool = False
    """Show nothing; the exit code answers."""
    debug: bool = False
    """Show the traceback of an error."""


class Shown(Output):
    """The same, also as a page."""

    html_path: str | None = Field(default=None, alias="html")
    """Write the answer as one HTML page with its plots."""
    sample: bool = False
    """Of stored matrices: compute a few blocks of the product, and predict its compressed bytes; reads 2 % of the inputs, or what whole
    chunks make of it, at most 512 MiB or a tenth."""
    save_plan: str | None = None
    """Write the plan to a file that multiply --plan FILE runs as it is; for stored matrices."""

    def places(self) -> dict[str, str | None]:
        """Where something will be written, by option."""
        return {"--json": self.json_path, "--html": self.html_path, "--save-plan": self.save_plan}


@dataclass(frozen=True)
class Unbuilt:
    """What was given of a value that the command may not need."""

    given: Fields
    """By field; without those that were left out."""
    build: Callable[[], BaseModel]
    """The value; raises BadInput where it refuses, or an argument is missing."""


@dataclass(frozen=True)
class Group:
    """The options of one value."""

    model: type[BaseModel]
    title: str = "Options"
    optional: Sequence[str] = ()
    """Arguments that this command does not need."""
    complete: Callable[[Fields], Fields] = dict
    """Adds what such an argument would have said."""
    later: bool = False
    """The command gets an `Unbuilt`, and makes the value where it needs it."""

    def parameters(self) -> list[inspect.Parameter]:
        """One parameter a field."""
        return [self._parameter(name, field) for name, field in self.model.model_fields.items()]

    def build(self, values: Fields) -> BaseModel | Unbuilt:
        """The value, from what was given; raises BadInput where it refuses."""
        fields = self.model.model_fields
        given = {fields[name].alias or name: _parse(name, values[name]) for name in fields if values[name] not in (None, [])}
        return Unbuilt(given, partial(self._made, given)) if self.later else self._made(given)

    def _made(self, given: Fields) -> BaseModel:
        try:
            return self.model.model_validate(self.complete(given))
        except ValidationError as error:
            raise BadInput(explain(error, Kind.of(self.model))) from None

    def _parameter(self, name: str, field: FieldInfo) -> inspect.Parameter:
        kind = inspect.Parameter.KEYWORD_ONLY
        if field.is_required():
            default = None if name in self.optional else inspect.Parameter.empty
            info: object = typer.Argument(help=field.description, metavar=name.upper(), show_default=False)
            annotation = Annotated[str | None, info] if name in self.optional else Annotated[str, info]
            return inspect.Parameter(name, kind, default=default, annotation=annotation)
        info = typer.Option(
            f"--{(field.alias or name).replace('_', '-')}",
            help=_help(field),
            metavar=METAVARS.get(name),
            rich_help_panel=self.title,
            show_default=False,
        )
        return inspect.Parameter(name, kind, default=None, annotation=Annotated[_type(field) | None, info])


def command(app: typer.Typer, name: str, *groups: Group) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Register a function as the command `name`; it gets one value for each group and returns the exit code."""

    def register(function: Callable[..., int]) -> Callable[..., int]:
        def run(**values: object) -> int:
            require_working_folder()
            return function(*(group.build(values) for group in groups))

        parameters = [parameter for group in groups for parameter in group.parameters()]
        run.__doc__ = function.__doc__
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess] - read by Typer
        app.command(name)(run)
        return function

    return register


def require_working_folder() -> None:
    """Raise BadInput where the working directory was deleted: no relative path means anything there."""
    try:
        Path.cwd()
    except OSError as error:
        raise BadInput(f"the working directory is gone ({error.strerror}): change to one that exists") from None


def _type(field: FieldInfo) -> type:
    """The type that the command line reads: a flag, or text that the value itself parses and repeats where it refuses it; or many texts."""
    if get_args(field.annotation)[1:] == (...,):
        return list[str]
    plain = [part for part in (get_args(field.annotation) or (field.annotation,)) if part is not type(None)]
    return bool if plain == [bool] else str


def _parse(name: str, value: object) -> object:
    """Pairs are written with a comma; all else is the value's business."""
    return str(value).split(",") if METAVARS.get(name) == "ROWS,COLS" else value


def _help(field: FieldInfo) -> str:
    text = " ".join((field.description or "").split())
    if get_origin(field.annotation) is Literal:
        text += f" One of {', '.join(get_args(field.annotation))}."
    return text
