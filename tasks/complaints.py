"""What is wrong with a value, for people: one line for each problem that pydantic found, with the field and what was meant."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails


@dataclass(frozen=True)
class Kind:
    """What a value is called, and the fields that it has."""

    name: str
    fields: Sequence[str]

    @staticmethod
    def of(model: "type[BaseModel]") -> "Kind":
        """That of a model, by its title."""
        return Kind(str(model.model_config.get("title") or model.__name__).lower(), list(model.model_fields))


def explain(error: "ValidationError", kind: Kind) -> str:
    """The first problem."""
    return explain_all(error, kind)[0][1]


def explain_all(error: "ValidationError", kind: Kind) -> list[tuple[str, str]]:
    """Every problem: the field, empty where it is about several, and one line."""
    return [(str(problem["loc"][0]) if problem["loc"] else "", _line(problem, kind)) for problem in error.errors(include_url=False)]


def unknown_field(field: str, kind: Kind) -> str:
    """That a field is none, and which was meant."""
    close = get_close_matches(field, kind.fields, n=1)
    article = "an" if kind.name[0] in "aeio" else "a"
    return f"{field} is no field of {article} {kind.name}" + (f": did you mean {close[0]}?" if close else "")


def _line(problem: "ErrorDetails", kind: Kind) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{field} is missing"
    if problem["type"] == "extra_forbidden":
        return unknown_field(field, kind)
    if problem["type"] != "value_error":
        return f"{field}: {problem['msg'][0].lower()}{problem['msg'][1:]}, not {problem['input']!r}"
    message = problem["msg"].removeprefix("Value error, ")
    return message if not field or field in message else f"{field}: {message}"
