"""A file of jobs, read and checked as a whole: every problem is listed before anything runs, one line each.

- {a: A.zarr, b: B.zarr, out: C.zarr}            a list of jobs, or

name: nightly
at_once: 2                                       at most so many jobs at once,
memory: 8GiB                                     which share this much fairly
timezone: Europe/Berlin                          of the dates in names
defaults: {b: items.zarr, transpose_b: true}     fields of all jobs
jobs:
  - {name: today, priority: 5, a: users.zarr, out: 'scores-{scheduled:%Y-%m-%d}.zarr'}
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from flows.batch_entry import Draft, Entry, Fields, Source, draft, require_line, unknown_fields
from flows.batch_fit import Headers, misfits
from flows.batch_names import in_zone
from flows.batch_places import Tie, tie
from tasks.complaints import Kind, explain_all, unknown_field
from tasks.errors import BadInput
from tasks.job import MINIMUM_MEMORY, ByteSize
from tasks.units import format_bytes
from tasks.yaml_file import read_yaml

MOST_AT_ONCE = 64

EXAMPLE = "write entries such as `- {a: A.zarr, b: B.zarr, out: C.zarr}`"


class Header(BaseModel):
    """What a file says beside its jobs."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str | None = None
    """Of the batch; default: that of the file."""
    at_once: int = Field(default=1, ge=1, le=MOST_AT_ONCE, strict=True)
    """At most so many jobs run at the same time."""
    memory: ByteSize | None = None
    """Budget of all jobs that run at once, shared fairly, in bytes or as 8GiB. Default: each job's own, or 60 % of what is free."""
    timezone: str = "UTC"
    """Time zone of the dates in names, such as Europe/Berlin."""
    defaults: dict[str, object] = Field(default_factory=dict)
    """Fields of all jobs that do not say otherwise."""

    @field_validator("name")
    @classmethod
    def _name_is_a_line(cls, value: str | None) -> str | None:
        return value if value is None else require_line(value)

    @field_validator("timezone")
    @classmethod
    def _zone_is_known(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"timezone {value!r} is unknown: give a name such as UTC or Europe/Berlin")
        return value

    @model_validator(mode="after")
    def _shares_are_enough(self) -> "Header":
        if self.memory is not None and self.memory // self.at_once < MINIMUM_MEMORY:
            shared = f"memory is {format_bytes(self.memory)}, shared by {self.at_once} at once"
            raise ValueError(f"{shared}: no worker fits below {format_bytes(MINIMUM_MEMORY)} each")
        return self


class Batch(BaseModel):
    """A file of jobs, checked."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    """For people."""
    scheduled: datetime
    """For which time it runs, with its zone."""
    entries: tuple[Entry, ...] = Field(min_length=1)
    """In the order of the file."""
    at_once: int = 1
    """At most so many jobs run at the same time."""
    memory: int | None = None
    """Bytes that those share; None: each job's own."""


class BadBatch(BadInput):
    """A file of jobs with problems; nothing ran."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
        """One line each."""


@dataclass(frozen=True)
class _Read:
    """What a file holds, before anything is checked."""

    header: Fields
    jobs: list[object]


def read_batch(path: Path, scheduled: datetime | None = None) -> Batch:
    """The jobs of a file, for the time for which they are scheduled, or for now.

    Raises BadBatch with every problem, BadInput where the file cannot be read or is no file of jobs.
    """
    found = _read(path)
    header, problems = _header(found.header)
    when = in_zone(scheduled, header.timezone)
    known = {name: value for name, value in header.defaults.items() if name not in ("name", "out")}
    source = Source(path.absolute().parent, when, known)
    drafts = [draft(entry, source) for entry in found.jobs]
    headers = Headers()
    ties = tie([one.places for one in drafts], headers.missing)
    unfit = misfits([one.product for one in drafts], ties, headers)
    lines = [*problems, *_of_defaults(header, drafts), *_of_jobs(drafts, ties, unfit), *_of_sharing(header, drafts)]
    if lines:
        raise BadBatch([f"{path}: {line}" for line in dict.fromkeys(lines)])
    entries = [one.entry.model_copy(update={"needs": knot.needs}) for one, knot in zip(drafts, ties, strict=True) if one.entry is not None]
    return Batch(name=header.name or path.stem, scheduled=when, entries=tuple(entries), at_once=header.at_once, memory=header.memory)


def _read(path: Path) -> _Read:
    found = read_yaml(path)
    header = {str(name): value for name, value in cast("Fields", found).items()} if isinstance(found, dict) else Fields()
    jobs = header.pop("jobs", None) if isinstance(found, dict) else found
    if not isinstance(jobs, list) or not jobs:
        raise BadInput(f"{path} is no list of jobs, nor has it one under `jobs:`: {EXAMPLE}")
    return _Read(header, cast("list[object]", jobs))


def _header(given: Fields) -> tuple[Header, list[str]]:
    """The header, without what is wrong in it, and one line for each problem."""
    kind = Kind("batch", [*Header.model_fields, "jobs"])
    problems = [unknown_field(name, kind) for name in given if name not in kind.fields]
    fields = {name: value for name, value in given.items() if name in Header.model_fields}
    try:
        return Header.model_validate(fields), problems
    except ValidationError as error:
        found = explain_all(error, kind)
    wrong = {name for name, _ in found} or set(fields)
    sound = {name: value for name, value in fields.items() if name not in wrong and "" not in wrong}
    return Header.model_validate(sound), [*problems, *(line for _, line in found)]


def _of_defaults(header: Header, drafts: Sequence[Draft]) -> Iterator[str]:
    for name in ("name", "out"):
        if name in header.defaults:
            yield f"defaults: {name} belongs to one job, not to all"
    for line in (*unknown_fields(header.defaults), *(line for one in drafts for line in one.of_defaults)):
        yield f"defaults: {line}"


def _of_jobs(drafts: Sequence[Draft], ties: Sequence[Tie], unfit: Sequence[list[str]]) -> Iterator[str]:
    named: dict[str, int] = {}
    for number, (one, knot, lines) in enumerate(zip(drafts, ties, unfit, strict=True), start=1):
        head = f"job {number}" + (f" ({one.name})" if one.name else "")
        if one.name and named.setdefault(one.name, number) != number:
            yield f"{head}: job {named[one.name]} has the same name"
        yield from (f"{head}: {line}" for line in (*one.problems, *knot.problems, *lines))


def _of_sharing(header: Header, drafts: Sequence[Draft]) -> Iterator[str]:
    """What cannot run beside another: GPUs are whole, and what is free elsewhere is not known here."""
    if header.at_once == 1:
        return
    clusters = {one.entry.job.cluster for one in drafts if one.entry is not None}
    if "cuda" in clusters:
        yield f"at_once is {header.at_once}, but jobs on cuda take every GPU of this host: leave at_once out"
    if header.memory is None and clusters - {"local", "cuda"}:
        yield f"at_once is {header.at_once} on {min(clusters - {'local', 'cuda'})}: say with memory how much they share"
