"""One job of a batch: the fields of a job, and its `name`. Everything that is wrong is found at once.

file's defaults  <-  entry      what the entry says counts
paths                           relative to the file, dates filled in
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from flows.batch_names import fill
from flows.batch_places import Places
from storage import absolute, expanded, is_url
from tasks.as_planned import as_planned
from tasks.cluster_file import is_file
from tasks.complaints import Kind, explain_all, unknown_field
from tasks.errors import BadInput, GemmflowError
from tasks.job import Job

INPUTS = ("a", "b", "add")
PATHS = (*INPUTS, "out", "plan")
"""Fields that are relative to the file and may name dates."""

PRODUCT = (*INPUTS, "out", "beta", "transpose_a", "transpose_b", "store", "seal")
"""Fields that decide whether its matrices fit."""

Fields = dict[str, object]


def require_line(name: str) -> str:
    """The name, which can be printed on one line. Raises ValueError."""
    if not name.strip() or not name.isprintable():
        raise ValueError(f"name is {name!a}: give a word or a few")
    return name


class Called(BaseModel):
    """What a job of a batch is called."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str | None = None
    """In the summary; default: its OUT."""

    @field_validator("name")
    @classmethod
    def _name_is_a_line(cls, value: str | None) -> str | None:
        return value if value is None else require_line(value)


FIELDS = (*Called.model_fields, *Job.model_fields)
KIND = Kind("job", FIELDS)


class Entry(BaseModel):
    """One job of a batch, checked."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    """For people."""
    job: Job
    needs: frozenset[int] = frozenset()
    """Jobs, by their place in the file from 0, whose products it reads."""


@dataclass(frozen=True)
class Source:
    """What all entries of a file share."""

    folder: Path
    """Paths are relative to it."""
    scheduled: datetime
    """For names over dates."""
    defaults: Mapping[str, object]


@dataclass(frozen=True)
class Draft:
    """What became of an entry."""

    entry: Entry | None
    """None where there are problems."""
    places: Places
    """As far as they are known."""
    name: str | None
    """As the file says, if that can be read."""
    problems: tuple[str, ...]
    product: Job | None = None
    """What it multiplies, if that can be read, whatever is wrong with the rest."""
    of_defaults: tuple[str, ...] = ()
    """Those of values that the entry did not give itself."""


def unknown_fields(fields: Mapping[str, object]) -> tuple[str, ...]:
    """One line for each field that is none."""
    return tuple(unknown_field(name, KIND) for name in fields if name not in FIELDS)


def draft(entry: object, source: Source) -> Draft:
    """An entry from what the file says, with every problem of it."""
    if not isinstance(entry, dict):
        return Draft(None, Places({}, None), None, (f"{entry!r} is no job: it needs at least a, b and out",))
    given = {str(name): value for name, value in cast("Fields", entry).items()}
    known = {name: value for name, value in {**source.defaults, **given}.items() if name in FIELDS}
    fields, problems = _placed(known, source)
    found = [(name, line) for name, lines in problems.items() for line in lines]
    called, job = (_checked(model, fields, problems, found) for model in (Called, Job))
    job = _planned(job, found)
    own = [line for name, line in found if name in given or name not in source.defaults]
    inherited = [line for name, line in found if name not in given and name in source.defaults]
    entry = None
    if isinstance(called, Called) and isinstance(job, Job) and not found:
        entry = Entry(name=called.name or job.out, job=job)
    name = called.name if isinstance(called, Called) else None
    places = _places({name: value for name, value in fields.items() if name not in problems})
    product = job if isinstance(job, Job) else _product({name: value for name, value in fields.items() if name not in problems})
    return Draft(entry, places, name, (*unknown_fields(given), *own), product, tuple(inherited))


def _placed(known: Fields, source: Source) -> tuple[Fields, dict[str, tuple[str, ...]]]:
    """Fields with whole paths, and what is wrong with these, by field."""
    fields, problems = dict(known), dict[str, tuple[str, ...]]()
    for name in PATHS:
        value = known.get(name)
        if isinstance(value, str) and value.strip():
            filled, wrong = fill(value, source.scheduled)
            fields[name] = _joined(source.folder, filled)
            if wrong:
                problems[name] = tuple(f"{name}: {line}" for line in wrong)
    cluster = known.get("cluster")
    if isinstance(cluster, str) and is_file(cluster) and os.path.isfile(source.folder / cluster):  # noqa: PTH113 - False for what no path can be
        fields["cluster"] = str(source.folder / cluster)
    return fields, problems


def _joined(folder: Path, value: str) -> str:
    """An absolute path; what no path can be made of stays for the job to refuse."""
    try:
        return value if is_url(value) else str(folder / expanded(value))
    except BadInput:
        return value


def _checked(model: type[BaseModel], fields: Fields, known: Mapping[str, object], found: list[tuple[str, str]]) -> BaseModel | None:
    """The value of the fields that are its own; what is wrong goes to `found`, but for fields that have a problem already."""
    own = {name: value for name, value in fields.items() if name in model.model_fields}
    try:
        return model.model_validate(own)
    except ValidationError as error:
        found += ((name, line) for name, line in explain_all(error, KIND) if name not in known)
    return None


def _planned(job: BaseModel | None, found: list[tuple[str, str]]) -> BaseModel | None:
    """The job with what its plan was made for; what is wrong with that goes to `found`."""
    try:
        return as_planned(job) if isinstance(job, Job) else job
    except GemmflowError as error:
        found.append(("plan", f"plan: {error}"))
    return None


def _product(fields: Fields) -> Job | None:
    """A job of the fields that say what is multiplied, by defaults for the others."""
    try:
        return Job.model_validate({"out": "/"} | {name: fields[name] for name in PRODUCT if name in fields})
    except ValidationError:
        return None


def _places(fields: Fields) -> Places:
    whole = {name: place for name in PATHS if (place := _whole(fields.get(name))) is not None}
    return Places({name: whole[name] for name in INPUTS if name in whole}, whole.get("out"))


def _whole(value: object) -> str | None:
    try:
        return absolute(value) if isinstance(value, str) and value.strip() else None
    except BadInput:
        return None
