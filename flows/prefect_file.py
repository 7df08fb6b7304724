"""The file that describes deployments, `deployments/prefect.yaml`, as values: what is wrong in it is found before a server is asked.

Prefect's own `prefect deploy` reads the same file. What it leaves to commands, the work pools and their queues, stands under
`definitions`, which it does not read:

    definitions:
      work_pools:
        gemmflow: {type: process, queues: {urgent: 1, default: 2}}        1 is served first
    deployments:
      - name, description, tags, entrypoint, parameters, concurrency_limit, work_pool, schedules
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, cast
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator

from tasks.errors import BadInput
from tasks.yaml_file import read_yaml

LONGEST_INTERVAL = 10 * 365 * 24 * 3600
"""Seconds."""

Fields = dict[str, object]
Name = Annotated[str, Field(pattern=r"^[^/%&><]+$")]
"""What Prefect accepts as a name."""

_STRICT = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Pool(BaseModel):
    """A work pool."""

    model_config = _STRICT

    type: Literal["process", "docker", "kubernetes"]
    queues: dict[Name, PositiveInt] = Field(default_factory=dict)
    """Priority by name of the queue; 1 is served first."""


class PoolUse(BaseModel):
    """Where the runs of a deployment wait for a worker."""

    model_config = _STRICT

    name: Name
    work_queue_name: Name = "default"
    job_variables: Fields = Field(default_factory=dict)
    """What the pool's type knows: env, image, volumes ..."""


class Limit(BaseModel):
    """How many runs of a deployment at once."""

    model_config = _STRICT

    limit: PositiveInt
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] = "ENQUEUE"
    """What becomes of one more."""


class Timing(BaseModel):
    """A schedule: one of cron, interval and rrule."""

    model_config = _STRICT

    slug: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    """Tells it from the others of its deployment, so that deploying again changes it instead of adding one."""
    cron: str | None = None
    interval: Annotated[float, Field(ge=1, le=LONGEST_INTERVAL)] | None = None
    """Seconds."""
    rrule: str | None = None
    timezone: str
    """IANA name, such as Europe/Berlin."""
    anchor_date: datetime | None = None
    """When an interval begins to be counted."""
    active: bool = True
    parameters: Fields = Field(default_factory=dict)
    """Of its runs, over those of the deployment."""

    @field_validator("timezone")
    @classmethod
    def _zone_is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (OSError, ValueError, KeyError):
            raise ValueError(f"timezone {value!r} is unknown: give an IANA name such as Europe/Berlin") from None
        return value

    @model_validator(mode="after")
    def _is_one_schedule(self) -> "Timing":
        given = [name for name in ("cron", "interval", "rrule") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"schedule {self.slug}: give one of cron, interval and rrule, not {' and '.join(given) or 'none'}")
        if self.anchor_date is not None and self.interval is None:
            raise ValueError(f"schedule {self.slug}: anchor_date goes with interval only")
        return self


class Deployment(BaseModel):
    """A flow with a name, a place to run, and schedules."""

    model_config = _STRICT

    name: Name
    description: str
    tags: tuple[str, ...] = ()
    entrypoint: Annotated[str, Field(pattern=r"^\w+(\.\w+)+$")]
    """Module and function; never a file."""
    enforce_parameter_schema: Literal[True] = True
    parameters: Fields = Field(default_factory=dict)
    concurrency_limit: PositiveInt | Limit | None = None
    work_pool: PoolUse
    schedules: tuple[Timing, ...] = ()

    @field_validator("schedules")
    @classmethod
    def _slugs_differ(cls, value: tuple[Timing, ...]) -> tuple[Timing, ...]:
        slugs = [timing.slug for timing in value]
        for slug in slugs:
            if slugs.count(slug) > 1:
                raise ValueError(f"{slugs.count(slug)} schedules have the slug {slug}: give each its own")
        return value

    def parameter_sets(self) -> dict[str, Fields]:
        """What its scheduled runs get, by slug."""
        return {timing.slug: {**self.parameters, **timing.parameters} for timing in self.schedules}


class Definitions(BaseModel):
    """What Prefect's own command does not read. Everything but the pools is there for the anchors in it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    work_pools: dict[Name, Pool]


class PrefectFile(BaseModel):
    """What the whole file says. Raises ValidationError where deployments and pools do not go together."""

    model_config = _STRICT

    prefect_version: str | None = Field(default=None, alias="prefect-version")
    name: str | None = None
    build: None = None
    push: None = None
    pull: Annotated[tuple[()], Field(description="Empty: the code is the installed package.")] = ()
    definitions: Definitions
    deployments: tuple[Deployment, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> "PrefectFile":
        names = [(deployment.entrypoint, deployment.name) for deployment in self.deployments]
        for entrypoint, name in names:
            if names.count((entrypoint, name)) > 1:
                raise ValueError(f"{name}: another deployment of {entrypoint} has the same name, and would take its place: rename one")
        return self

    @model_validator(mode="after")
    def _places_are_defined(self) -> "PrefectFile":
        pools = self.definitions.work_pools
        for deployment in self.deployments:
            use = deployment.work_pool
            if use.name not in pools:
                raise ValueError(f"{deployment.name}: work pool {use.name!r} is not one of definitions.work_pools ({', '.join(pools)})")
            if use.work_queue_name not in (queues := {"default", *pools[use.name].queues}):
                raise ValueError(
                    f"{deployment.name}: work pool {use.name} has no queue {use.work_queue_name!r} ({', '.join(sorted(queues))})"
                )
        return self


def read_prefect_file(path: Path) -> PrefectFile:
    """The deployments that a file describes. Raises BadInput, on one line, where it is missing, no YAML, or describes none."""
    content = read_yaml(path, ": name another file with --file")
    try:
        return PrefectFile.model_validate(content)
    except ValidationError as error:
        raise BadInput(f"{path}: {_first(error, content)}") from None


def _first(error: ValidationError, content: object) -> str:
    """The first problem, with the name of its deployment rather than its number."""
    problem = error.errors(include_url=False)[0]
    message = problem["msg"].removeprefix("Value error, ")
    where = [str(part) for part in problem["loc"]]
    if where[:1] == ["deployments"] and len(where) > 1:
        entry = cast("dict[str, list[object]]", content)["deployments"][int(where[1])]
        named = cast("Fields", entry).get("name") if isinstance(entry, dict) else None
        where[:2] = [str(named or f"deployment {int(where[1]) + 1}")]
    if problem["type"] in ("literal_error", "string_pattern_mismatch"):
        message += f", not {problem['input']!r}"
    if problem["type"] == "extra_forbidden":
        message = "gemmflow deploy does not read this field"
    return f"{'.'.join(where)}: {message}" if where else message
