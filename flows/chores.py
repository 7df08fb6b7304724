"""What can be asked of upkeep: one value for each, from which the command line, Prefect's forms and the checks are made."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator

from tasks.cluster_file import require_known

_STRICT = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

DAYS = 24 * 3600.0
"""Seconds in a day."""

_TEXT = {"type": "string", "minLength": 1}
"""In Prefect's form the description of `Field` on a parameter is lost; what stands in the schema of its type is not."""

_OUT = _TEXT | {"description": "A product that gemmflow stored: a path on the host of the run, or a URL."}
_PLACE = _TEXT | {"description": "A product, or a folder of products, on the host of the run."}

Out = Annotated[str, Field(min_length=1), WithJsonSchema(_OUT)]
Place = Annotated[str, Field(min_length=1), WithJsonSchema(_PLACE)]


class Mending(BaseModel):
    """How a result is repaired."""

    model_config = _STRICT | ConfigDict(title="Mending")

    full: bool = False
    """Look for damage as closely as verify --full does."""
    cluster: str | None = None
    """Where the workers are: local, cuda, the address of a Dask scheduler, or a cluster file, by name or path.
    Default: as when the result was made."""

    @field_validator("cluster")
    @classmethod
    def _cluster_is_known(cls, value: str | None) -> str | None:
        return value if value is None else require_known(value)


class Measuring(BaseModel):
    """What is measured."""

    model_config = _STRICT | ConfigDict(title="Measuring")

    cluster: Literal["local", "cuda"] = "local"
    """Which workers of this host to measure."""


class Stale(BaseModel):
    """Which unfinished runs are given up."""

    model_config = _STRICT | ConfigDict(title="Stale")

    days: float = Field(default=7.0, ge=0, le=3650)
    """Days without a write after which nobody goes on with a run. 0: every run that nobody writes to now."""
