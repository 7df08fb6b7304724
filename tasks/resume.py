"""An unfinished run of the same job: its plan and its finished tiles are taken over, nothing is planned or computed twice.

    journal   {"kind": "run", version, job, inputs, plan, spec}   what was started
              {"kind": "tile", tile: Measurement} *               what is done
              {"kind": "retract", index} *                        a tile that looked wrong: not done, until it is recorded again

What the caller asks now, the inputs and the version must be those that the run started with. A difference is named, and the
run refused: an unfinished product is never thrown away, and never mixed with another one. Of a run that finished nothing there is none.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import cast

from pydantic import TypeAdapter, ValidationError

from storage import CorruptData, Found, Left, OutputSpec, contents_stamp, read_journal, site_of
from storage.journal import Record
from tasks.errors import BadInput, Refused
from tasks.hardware import Hardware
from tasks.job import Job, make_job
from tasks.outcome import Measurement
from tasks.plan import Plan
from tasks.planner import make_plan
from tasks.sample import looked_at
from tasks.survey import Problem
from tasks.units import format_bytes

EXPORT: Record = {"kind": "export"}
"""First record of an export's journal: nothing of it is worth keeping."""

REPAIR: Record = {"kind": "repair"}
"""First record of a repair's journal: it is begun afresh, never gone on with."""

WHERE = frozenset({"cluster", "overwrite", "memory", "plan", "priority"})
"""Fields of a job that may differ: where it runs, how urgent it is, what becomes of an older OUT, and which file names its plan, whose
decisions are compared (`tasks.following`). Memory may only grow."""

_PLAN = TypeAdapter(Plan)
_MEASUREMENT = TypeAdapter(Measurement)
_SPEC = TypeAdapter(OutputSpec)


@dataclass(frozen=True)
class Unfinished:
    """A run that was started and did not end."""

    left: Left
    records: tuple[Record, ...]
    """Of its journal, oldest first."""

    @property
    def started(self) -> Record:
        """What it was to do."""
        return self.records[0]

    @cached_property
    def plan(self) -> Plan:
        """The plan that it follows."""
        return _PLAN.validate_python(self.started["plan"])

    @property
    def job(self) -> Job:
        """What its caller asked, the memory stated."""
        return make_job(**cast("dict[str, object]", self.started["job"]))

    @property
    def spec(self) -> OutputSpec:
        """How its product is stored."""
        return _SPEC.validate_python(self.started["spec"])

    @property
    def inputs(self) -> dict[str, str]:
        """Stamps of its inputs when it was started."""
        return cast("dict[str, str]", self.started["inputs"])

    @cached_property
    def tiles(self) -> tuple[Measurement, ...]:
        """Its finished tiles in the order of the walk; of a tile that was recorded twice, the last record, if it is not retracted."""
        latest: dict[int, Measurement] = {}
        for record in self.records:
            if record["kind"] == "tile":
                tile = _MEASUREMENT.validate_python(record["tile"])
                latest[tile.index] = tile
            elif record["kind"] == "retract":
                latest.pop(cast("int", record["index"]), None)
        return tuple(latest[index] for index in sorted(latest))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to go on with: no tile was ever recorded, and no partial sum is kept."""
        return not any(record["kind"] == "tile" for record in self.records) and not self.left.has_sums()


def plan_or_resume(job: Job, problem: Problem, hardware: Hardware) -> Plan:
    """The plan of the unfinished run that lies beside OUT, or else a new one. Raises Refused as `to_go_on_with` and `make_plan` do."""
    unfinished = to_go_on_with(job, problem)
    return make_plan(job, looked_at(job, problem), hardware) if unfinished is None else unfinished.plan


def to_go_on_with(job: Job, problem: Problem) -> Unfinished | None:
    """The unfinished run of this job beside OUT; None where there is none, or one of another job that finished nothing.

    Nothing is removed: whoever only plans leaves everything as it was. Raises Refused where a run is writing OUT, or where the
    unfinished one was another and finished something (naming the difference).
    """
    unfinished = find_unfinished(job)
    if unfinished is None or (unfinished.is_empty and not is_same(unfinished, job, problem)):
        return None
    require_same(unfinished, job, problem)
    return unfinished


def find_unfinished(job: Job) -> Unfinished | None:
    """The unfinished run beside OUT, once nobody holds it any more; None where there is none.

    What is left of a run that had published its result is removed. Raises Refused where somebody writes, or the journal is damaged.
    """
    left = site_of(job.out).left()
    if left is None:
        return None
    left.require_free()
    if left.is_over():
        left.discard()
        return None
    _require_seal(left, job)
    records = _records(left)
    if records[:1] == (EXPORT,):
        left.discard()
        return None
    if records[:1] == (REPAIR,):
        raise Refused(f"{job.out} has an unfinished repair: repeat gemmflow repair {job.out}, or remove it with {_clean(job)}")
    try:
        if records and records[0]["kind"] == "run" and read_plan(records[0]["plan"]):
            return Unfinished(left, records)
    except (ValidationError, KeyError):
        pass
    raise Refused(f"the unfinished run in {left.found.folder} cannot be read: its journal is damaged; remove it with {_clean(job)}")


def _records(left: Left) -> tuple[Record, ...]:
    """Its journal; empty where that is damaged."""
    try:
        return tuple(left.records())
    except (BadInput, CorruptData):
        return ()


def began_as(first: Record, found: Found) -> bool:
    """Whether the folder's journal starts with this record, as that of a repair or an export. Raises BadInput where its key is missing."""
    seal = found.seal
    if seal is not None:
        seal.open()
    try:
        return read_journal(found.folder / "journal", seal)[:1] == [first]
    except BadInput:
        return False


def finished_nothing(out: str | Path) -> bool:
    """Whether an unfinished run lies beside OUT that nobody can go on with: it recorded no tile, and keeps no partial sum."""
    left = site_of(str(out)).left()
    records = () if left is None else _records(left)
    return left is not None and bool(records) and records[0]["kind"] == "run" and Unfinished(left, records).is_empty


def _require_seal(left: Left, job: Job) -> None:
    """Raise Refused where the unfinished run is sealed under another key than asked: without the right one nothing of it can be read.

    Raises BadInput where that key is missing here, or another one has its name.
    """
    seal = left.seal
    if seal is not None and seal.key_id != job.seal:
        raise Refused(
            f"{job.out} has an unfinished run ({left.run_id}) that differs: seal was {seal.key_id}, now it is {_shown(job.seal)}; "
            f"ask the same to go on with it, or remove it with {_clean(job)}"
        )
    if seal is not None:
        seal.open()


def require_same(unfinished: Unfinished, job: Job, problem: Problem) -> None:
    """Raise Refused, naming the first difference, unless the unfinished run is one of this job on these inputs by this version."""
    difference = next(_differences(unfinished, job, problem), "")
    if difference:
        raise Refused(
            f"{job.out} has an unfinished run ({unfinished.left.run_id}) that differs: {difference}; "
            f"ask the same to go on with it, or remove it with {_clean(job)}"
        )


def is_same(unfinished: Unfinished, job: Job, problem: Problem) -> bool:
    """Whether the unfinished run is one of this job on these inputs by this version."""
    return not any(_differences(unfinished, job, problem))


def describe(unfinished: Unfinished | None) -> str:
    """One line that says how far the run was; empty where there is none."""
    if unfinished is None:
        return ""
    done, all_tiles = len(unfinished.tiles), unfinished.plan.tiles
    return f"going on with run {unfinished.left.run_id}: {done} of {all_tiles} tiles are done"


def run_record(job: Job, inputs: dict[str, str], plan: Plan, spec: OutputSpec) -> Record:
    """The first record of a journal."""
    return {
        "kind": "run",
        "version": metadata.version("gemmflow"),
        "job": job.model_dump(mode="json"),
        "inputs": inputs,
        "plan": plan_json(plan),
        "spec": json.loads(_SPEC.dump_json(spec)),
    }


def plan_json(plan: Plan) -> dict[str, object]:
    """A whole plan as JSON; `read_plan` is its inverse."""
    return json.loads(_PLAN.dump_json(plan))


def read_plan(value: object) -> Plan:
    """The plan that `plan_json` wrote; raises ValueError where it is none."""
    return _PLAN.validate_python(value)


def tile_record(tile: Measurement) -> Record:
    """The record of a finished tile."""
    return {"kind": "tile", "tile": json.loads(_MEASUREMENT.dump_json(tile))}


def retract_record(index: int) -> Record:
    """The record that a tile recorded before may be wrong."""
    return {"kind": "retract", "index": index}


def input_stamps(problem: Problem) -> dict[str, str]:
    """What tells whether an input was changed: by name, a hash of the names, sizes and times of its files."""
    matrices = {"a": problem.a.matrix, "b": problem.b.matrix, "add": problem.add}
    return {name: contents_stamp(matrix) for name, matrix in matrices.items() if matrix is not None}


def _differences(unfinished: Unfinished, job: Job, problem: Problem) -> Iterator[str]:
    version, before = metadata.version("gemmflow"), unfinished.job
    if unfinished.started["version"] != version:
        yield f"it was started by gemmflow {unfinished.started['version']}, this is {version}"
    for name in Job.model_fields:
        asked, was = getattr(job, name), getattr(before, name)
        if name not in WHERE and asked != was:
            yield f"{name.replace('_', '-')} was {_shown(was)}, now it is {_shown(asked)}"
    if job.memory is not None and job.memory < unfinished.plan.memory_limit:
        yield f"memory was {format_bytes(unfinished.plan.memory_limit)}, now it is {format_bytes(job.memory)}"
    stamps = input_stamps(problem)
    for name, was in unfinished.inputs.items():
        if stamps.get(name) != was:
            yield f"the input {getattr(job, name)} was changed since"
    if (unfinished.plan.device == "cuda") != (job.cluster == "cuda") and "://" not in job.cluster:
        yield f"it computes on {unfinished.plan.device}, the cluster asked is {job.cluster}"


def _shown(value: object) -> str:
    return "not set" if value is None else ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _clean(job: Job) -> str:
    return f"gemmflow clean {job.out}"
