"""A plan as a file: `gemmflow analyze --save-plan FILE` writes it, `--plan FILE` runs it (`tasks.following`).

    {"kind": "gemmflow plan", "schema": 1,
     "versions": {...}     of gemmflow and of what computes, when the plan was made
     "hardware": {...}     where its rates were measured
     "job":      {...}     what was asked, its memory stated; not where OUT is, nor how urgent it is
     "writes":   "..."     files, or objects where OUT was to be in an object store
     "inputs":   {...}     A, B and C0: path, shape, type, chunks, and the stamp of their files
     "plan":     {...}     every decision, and the predictions that were shown
     "digest":   "sha256:..."}

The same analysis writes the same bytes. The digest finds what was edited or damaged; it is no signature, since anybody can make one.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import cast

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from storage import expanded, is_url
from tasks.errors import BadInput, Refused
from tasks.hardware import Hardware
from tasks.job import Job
from tasks.ladder import ARITHMETICS
from tasks.plan import Plan
from tasks.report import versions
from tasks.resume import input_stamps, plan_json, read_plan
from tasks.survey import Problem

KIND = "gemmflow plan"

SCHEMA = 1

LARGEST = 16 << 20
"""Bytes of a file that may be one: a plan takes some thousand."""

OWN = ("out", "overwrite", "priority", "plan")
"""Fields of a job that are no part of a plan: each run says them itself."""

_STRICT = ConfigDict(extra="forbid")


@checked(frozen=True, config=_STRICT)
class Input:
    """A, B or C0 when the plan was made."""

    path: str
    shape: tuple[int, int]
    dtype: str
    chunks: tuple[int, int]
    """Rows and columns of a stored chunk."""
    stamp: str
    """Hash of the names, sizes and times of its files."""


@checked(frozen=True, config=_STRICT)
class Machine:
    """The workers that the plan counts on."""

    rates: str
    """Fingerprint of the calibration."""
    processor: str
    cores: int
    memory_bytes: int
    device: str
    workers: int
    """Most workers with as many threads as those of the plan."""

    @staticmethod
    def of(hardware: Hardware, plan: Plan) -> "Machine":
        """What a plan sees of it."""
        return Machine(
            rates=hardware.fingerprint,
            processor=hardware.processor,
            cores=hardware.cores,
            memory_bytes=hardware.memory_bytes,
            device=hardware.device,
            workers=most_workers(hardware, plan.threads_per_worker),
        )


@dataclass(frozen=True)
class PlanFile:
    """What the file holds."""

    job: dict[str, object]
    """Fields of a job, but for OWN."""
    writes: str
    """files or objects."""
    inputs: dict[str, Input]
    """By field of the job: a, b, add."""
    hardware: Machine
    plan: Plan
    versions: dict[str, str]

    def to_json(self) -> dict[str, object]:
        """As it is written, the digest last."""
        whole: dict[str, object] = {
            "kind": KIND,
            "schema": SCHEMA,
            "versions": self.versions,
            "hardware": _MACHINE.dump_python(self.hardware, mode="json"),
            "job": self.job,
            "writes": self.writes,
            "inputs": _INPUTS.dump_python(self.inputs, mode="json"),
            "plan": plan_json(self.plan),
        }
        return whole | {"digest": digest_of(whole)}


_MACHINE = TypeAdapter(Machine)
_INPUTS = TypeAdapter(dict[str, Input])
_VERSIONS = TypeAdapter(dict[str, str])
_FIELDS = TypeAdapter(dict[str, object])


def plan_file(job: Job, problem: Problem, hardware: Hardware, plan: Plan) -> PlanFile:
    """The file of a plan. Raises BadInput where an input is gone."""
    asked = job.model_copy(update={"memory": plan.memory_limit}).model_dump(mode="json", exclude=set(OWN))
    matrices = {"a": problem.a.matrix, "b": problem.b.matrix, "add": problem.add}
    stamps = input_stamps(problem)
    return PlanFile(
        job=asked,
        writes=written_to(job),
        inputs={
            name: Input(matrix.path, matrix.shape, matrix.dtype.name, matrix.chunks, stamps[name])
            for name, matrix in matrices.items()
            if matrix is not None
        },
        hardware=Machine.of(hardware, plan),
        plan=plan,
        versions=versions(),
    )


def written_to(job: Job) -> str:
    """files or objects."""
    return "objects" if is_url(job.out) else "files"


def most_workers(hardware: Hardware, threads: int) -> int:
    """Workers with so many BLAS threads each that the machine has cores, or devices, for; 0 where it was not measured with as many."""
    return max((layout.workers for layout in hardware.layouts if layout.threads == threads), default=0)


def text_of(file: PlanFile) -> str:
    """The file's text: the same for the same plan."""
    return json.dumps(file.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_plan_file(place: str) -> PlanFile:
    """The plan that lies in a file.

    Raises BadInput where it is no plan, of another schema, or was edited; Refused where another version of gemmflow made it.
    """
    found = _content(place)
    if found.get("kind") != KIND:
        raise BadInput(f"{place} is no plan: make one with gemmflow analyze A B OUT --save-plan FILE")
    if found.get("schema") != SCHEMA:
        raise BadInput(f"{place} has schema {found.get('schema')!r}, this gemmflow reads {SCHEMA}: analyze again with --save-plan")
    if found.pop("digest", None) != digest_of(found):
        raise BadInput(f"{place} was edited or damaged after it was written, its digest differs: analyze again with --save-plan")
    return _parsed(place, found)


def digest_of(content: dict[str, object]) -> str:
    """Hash of everything but the digest itself, however it is laid out."""
    plain = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"sha256:{hashlib.sha256(plain.encode()).hexdigest()}"


def _parsed(place: str, found: dict[str, object]) -> PlanFile:
    try:
        made = _VERSIONS.validate_python(found["versions"])
        _require_version(place, made)
        plan = read_plan(found["plan"])
        file = PlanFile(
            job=_FIELDS.validate_python(found["job"]),
            writes=str(found["writes"]),
            inputs=_INPUTS.validate_python(found["inputs"]),
            hardware=_MACHINE.validate_python(found["hardware"]),
            plan=plan,
            versions=made,
        )
    except (KeyError, ValidationError) as error:
        raise BadInput(f"{place} is no whole plan ({_where(error)}): analyze again with --save-plan") from error
    unknown = {plan.arithmetic, *(rung.arithmetic for rung in plan.fallbacks)} - set(ARITHMETICS)
    if unknown or plan.arithmetic not in {choice.arithmetic for choice in plan.choices}:
        raise BadInput(
            f"{place} computes in {', '.join(unknown) or plan.arithmetic}, which it does not weigh: analyze again with --save-plan"
        )
    return file


def _require_version(place: str, made: dict[str, str]) -> None:
    before, now = made.get("gemmflow"), metadata.version("gemmflow")
    if before != now:
        raise Refused(f"{place} was made by gemmflow {before}, this is {now}, which may plan otherwise: analyze again with --save-plan")


def _content(place: str) -> dict[str, object]:
    """Raises BadInput where the file cannot be read, or is no JSON object."""
    if is_url(place):
        raise BadInput(f"{place} is a URL, and plans are read from files: copy it to one")
    path = Path(expanded(place))
    try:
        if path.exists() and not path.is_file():
            raise BadInput(f"{place} is no file: name the plan that gemmflow analyze --save-plan wrote")
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{place} is no plan, it has {path.stat().st_size} bytes and plans at most {LARGEST}: name another file")
        found: object = json.loads(path.read_bytes())
        json.dumps(found, allow_nan=False)
    except OSError as error:
        raise BadInput(f"the plan {place} cannot be read ({error.strerror}): check the path") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{place} is no plan, it is no JSON: make one with gemmflow analyze A B OUT --save-plan FILE") from error
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


def _where(error: KeyError | ValidationError) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
