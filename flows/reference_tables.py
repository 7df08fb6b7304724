"""Tables of the reference, from the values that the program itself uses: fields from models, options from commands, errors from classes."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from storage.errors import GemmflowError
from tasks.tables import markdown
from tasks.units import format_bytes

if TYPE_CHECKING:
    import typer.core

NAMES: Mapping[object, str] = {
    bool: "true or false",
    str: "text",
    int: "whole number",
    float: "number",
    datetime: "time, such as 2026-01-31T03:00",
    tuple[int, int]: "rows, columns",
}
LIMITS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}", "pattern": "matches `{}`"}


def fields_of(model: type[BaseModel]) -> str:
    """One row a field: type, default, limits and what it says."""
    rows = [["field", "type", "default", "meaning"]]
    for name, field in model.model_fields.items():
        kind = ", ".join([_type(field), *_limits(field)])
        rows.append([f"`{field.alias or name}`", kind, _default(field), plain(field.description or "")])
    return markdown(rows, left=4)


def options_of(command: "typer.core.TyperCommand") -> str:
    """Arguments and options of a command, without --help."""
    rows = [["option", "meaning"]]
    for parameter in command.params:
        told = cast("str", getattr(parameter, "help", None) or "")
        if parameter.param_type_name == "argument":
            rows.append([f"`{_argument(parameter)}`", plain(told)])
        elif "--help" not in parameter.opts:
            flag = bool(getattr(parameter, "is_flag", False))
            value = "" if flag else f" {parameter.metavar or 'VALUE'}"
            rows.append([f"`{', '.join(parameter.opts)}{value}`", plain(told)])
    return markdown(rows, left=2)


def errors_table() -> str:
    """Every error that is raised on purpose, by exit code."""
    rows = sorted((error.exit_code, error.__name__, plain((error.__doc__ or "").split("\n")[0])) for error in _errors(GemmflowError))
    return markdown([["error", "exit code", "when"], *([f"`{name}`", str(code), why] for code, name, why in rows)], left=3)


def plain(text: str) -> str:
    """One line."""
    return " ".join(text.split())


def _argument(parameter: object) -> str:
    name = str(getattr(parameter, "metavar", None) or getattr(parameter, "name", "")).strip("{}[]").upper()
    return name if getattr(parameter, "required", False) else f"[{name}]"


def _errors(kind: type[GemmflowError]) -> Iterator[type[GemmflowError]]:
    for error in kind.__subclasses__():
        if error.__module__ in ("storage.errors", "tasks.errors"):
            yield error
        yield from _errors(error)


def named(annotation: object) -> str:
    """A type as people call it."""
    parts = [part for part in _members(annotation) if part is not type(None)]
    return " or ".join(_named(part) for part in parts)


def _type(field: FieldInfo) -> str:
    of_bytes = "parse_bytes" in repr(field.metadata) or any(word in repr(field.annotation) for word in ("parse_bytes", "ByteSize"))
    return "size, such as 4GiB" if of_bytes else named(field.annotation)


def _members(annotation: object) -> tuple[object, ...]:
    return get_args(annotation) if get_origin(annotation) in (UnionType, Union) else (annotation,)


def _named(part: object) -> str:
    if get_origin(part) is Annotated:
        return named(get_args(part)[0])
    if get_origin(part) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(part))
    if part in NAMES:
        return NAMES[part]
    return "mapping" if get_origin(part) is dict else str(getattr(part, "__name__", part)).lower()


def _limits(field: FieldInfo) -> list[str]:
    found: list[str] = []
    for rule in field.metadata:
        for name, text in LIMITS.items():
            limit = getattr(rule, name, None)
            if limit is not None:
                found.append(text.format(f"{limit:g}" if isinstance(limit, float) else limit))
    return found


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "needed"
    if value is PydanticUndefined or value is None or isinstance(value, BaseModel):
        return "see there" if isinstance(value, BaseModel) else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value >= 2**20 and "parse_bytes" in repr(field):
        return format_bytes(value)
    return f"`{value}`" if isinstance(value, str) else f"{value:g}"
