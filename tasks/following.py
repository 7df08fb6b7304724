"""Run the plan of a file: nothing is decided again, but everything that it rests on is looked at before anything is written.

the job        asks what the plan was made for                                    else BadInput, see `tasks.as_planned`
the inputs     have the shapes, types, chunks and stamps that they had            else Refused
the promise    this version certifies the same error for its arithmetic           else BadInput: somebody made the file
the machine    has its device, workers, kernels and memory                        else Refused
               another processor, other libraries                                 a warning: times and bits may differ
the journal    of an unfinished run beside OUT holds the same plan, or no tile    else Refused
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from math import ceil

from storage import GOALS
from tasks.as_planned import FREE, require_agreement, require_memory
from tasks.errors import BadInput, GemmflowError, InputsChanged, MachineChanged, Refused
from tasks.hardware import Hardware, installed_memory, lacking
from tasks.job import Job
from tasks.plan import Plan
from tasks.plan_file import Input, PlanFile, most_workers, read_plan_file
from tasks.plan_memory import held_by
from tasks.precision import Precision, choose_precisions
from tasks.report import versions
from tasks.resume import input_stamps, plan_or_resume, to_go_on_with
from tasks.rounding import choose_rounding
from tasks.survey import Problem
from tasks.units import format_bytes

AGAIN = "analyze again with --save-plan"

TOLD = frozenset({"predicted", "choices", "warnings"})
"""Of a plan: what it says, not what it does."""


def follow_or_plan(job: Job, problem: Problem, hardware: Hardware) -> Plan:
    """The plan of the file that the job names, or else as `plan_or_resume`.

    Raises BadInput and Refused as the head of this file says, and as `read_plan_file` does.
    """
    if job.plan is None:
        return plan_or_resume(job, problem, hardware)
    file = read_plan_file(job.plan)
    require_agreement(job, file, [name for name in Job.model_fields if name not in FREE])
    require_memory(job, file.plan)
    for error in _objections(job, problem, hardware, file):
        raise error
    unfinished = to_go_on_with(job, problem)
    other = "" if unfinished is None else difference(unfinished.plan, file.plan)
    if unfinished is None or (other and unfinished.is_empty):
        return replace(file.plan, warnings=(*file.plan.warnings, *_strangeness(job, hardware, file)))
    if other:
        raise Refused(
            f"{job.out} has an unfinished run ({unfinished.left.run_id}) of another plan than {job.plan}, its {other}: "
            f"leave --plan out to go on with it, or remove it with gemmflow clean {job.out}"
        )
    return unfinished.plan


def difference(one: Plan, other: Plan) -> str:
    """The first decision in which two plans differ, and how; empty where they do the same.

    >>> from tests.tasks.builders import Scene, plan
    >>> difference(plan(Scene()), plan(Scene())), difference(plan(Scene(workers=2)), replace(plan(Scene(workers=2)), workers=3))
    ('', 'workers is 2, there 3')
    """
    for field in fields(Plan):
        was, now = getattr(one, field.name), getattr(other, field.name)
        if field.compare and field.name not in TOLD and was != now:
            return f"{field.name.replace('_', ' ')} is {was}, there {now}"
    return ""


def _objections(job: Job, problem: Problem, hardware: Hardware, file: PlanFile) -> Iterator[GemmflowError]:
    for line in _of_inputs(problem, file):
        yield InputsChanged(f"{line} since {job.plan} was made: {AGAIN}")
    for line in _of_machine(job, hardware, file):
        yield MachineChanged(f"{job.plan} {line}")
    for line in _of_promise(job, problem, hardware, file.plan):
        yield BadInput(f"{job.plan} {line}: {AGAIN}")
    for line in _of_memory(job, problem, hardware, file.plan):
        yield MachineChanged(f"{job.plan} {line}")


def _of_inputs(problem: Problem, file: PlanFile) -> Iterator[str]:
    """What changed."""
    stamps = input_stamps(problem)
    matrices = {"a": problem.a.matrix, "b": problem.b.matrix, "add": problem.add}
    for name, was in file.inputs.items():
        matrix = matrices.get(name)
        if matrix is None:
            yield f"{was.path} is no input any more"
            continue
        now = Input(matrix.path, matrix.shape, matrix.dtype.name, matrix.chunks, stamps[name])
        if _shape(now) != _shape(was):
            yield f"{now.path} is {_shape(now)}, it was {_shape(was)}: it changed"
        elif now.stamp != was.stamp:
            yield f"{now.path} was written to"


def _shape(matrix: Input) -> str:
    (rows, cols), (high, wide) = matrix.shape, matrix.chunks
    return f"{rows} x {cols} {matrix.dtype} in chunks of {high} x {wide}"


def _of_machine(job: Job, hardware: Hardware, file: PlanFile) -> Iterator[str]:
    """What the workers lack."""
    plan = file.plan
    if plan.device != hardware.device:
        yield f"computes on {plan.device}, the workers of cluster {job.cluster} on {hardware.device}: name its cluster, or {AGAIN}"
        return
    there = most_workers(hardware, plan.threads_per_worker)
    if there < min(plan.workers, file.hardware.workers):
        threads = f"{plan.threads_per_worker} {'thread' if plan.threads_per_worker == 1 else 'threads'}"
        yield f"needs {plan.workers} workers of {threads}, there is room for {there} here: give it as many cores, or {AGAIN}"
        return
    layout = hardware.layout(plan.workers, plan.threads_per_worker)
    kernels = {rung.arithmetic: rung.kernel for rung in plan.rungs}
    missing = [f"{name} by {kernel}" for name, kernel in kernels.items() if kernel not in layout.rates.gemm.get(name, {})]
    if missing:
        yield f"multiplies in {', '.join(missing)}, which these workers cannot: install that library there, or {AGAIN}"
    lost = [name for name in dict.fromkeys((plan.codec, plan.sums_codec)) if name not in (*GOALS, *layout.rates.encode)]
    if lost:
        yield f"compresses by {', '.join(lost)}, which these workers cannot: install its package there, or {AGAIN}"


def _of_memory(job: Job, problem: Problem, hardware: Hardware, plan: Plan) -> Iterator[str]:
    """Counted again: interpreters have other sizes elsewhere, and what a file says of it may be wrong."""
    layout = hardware.layout(plan.workers, plan.threads_per_worker)
    held = held_by(job, problem, plan, layout)
    there = hardware.memory_bytes if "://" in job.cluster else installed_memory()
    needed = plan.workers * held.host
    if needed > there:
        yield f"needs {format_bytes(needed)}, this machine has {format_bytes(there)}: analyze again with less --memory"
    elif needed > plan.memory_limit:
        more = f"{format_bytes(layout.base_bytes)} a worker for interpreter and libraries"
        yield f"would need {format_bytes(needed)} here, {more}, and may use {format_bytes(plan.memory_limit)}: {AGAIN}"
    if held.device > hardware.device_memory_bytes and plan.device != "cpu":
        room = format_bytes(hardware.device_memory_bytes)
        yield f"needs {format_bytes(held.device)} of each device, {room} are free there: end what uses it, or {AGAIN}"


def _of_promise(job: Job, problem: Problem, hardware: Hardware, plan: Plan) -> Iterator[str]:
    """What this version would not say: an error that its arithmetic does not keep, tiles that do not cover the product."""
    if plan.shape != problem.shape or plan.grid != _grid(plan):
        yield f"covers a product of {' x '.join(map(str, plan.shape))} in {' x '.join(map(str, plan.grid))} blocks, and should not"
        return
    if cut := _cut_files(plan):
        yield cut
    if plan.symmetry not in ("none", problem.symmetry) or (job.store == "triangle" and plan.symmetry != "triangle"):
        yield f"computes a product of symmetry {plan.symmetry}, and it has {problem.symmetry}"
    rows = choose_precisions(job, replace(problem, data=plan.data), hardware.device, lacking(hardware))
    by_name = {row.arithmetic.name: row for row in rows}
    row = by_name[plan.arithmetic]
    if row.reason:
        yield f"computes in {plan.arithmetic}: {row.reason}"
        return
    rounding = choose_rounding(job.round, row.asked, row.bound, row.exact)
    said = plan.arithmetic_bound, plan.max_error, plan.exact, plan.dtype_out, plan.rounding
    true = row.bound, row.asked, row.exact, row.dtype_out, rounding
    if said != true or plan.guarantee != ("certified" if row.certifies else "measured"):
        here = f"{row.bound:.3g} of {row.asked:.3g}"
        yield f"promises an error of {plan.arithmetic_bound:.3g} of {plan.max_error:.3g} asked, and this version {here}"
    yield from _of_fallbacks(plan, by_name)


def _of_fallbacks(plan: Plan, rows: dict[str, Precision]) -> Iterator[str]:
    for rung in plan.fallbacks:
        if rung.bound < rows[rung.arithmetic].bound:
            yield f"promises {rung.bound:.3g} in {rung.arithmetic}, and this version {rows[rung.arithmetic].bound:.3g}"


def _cut_files(plan: Plan) -> str:
    """What is wrong where two tiles would write one file; empty where none do."""
    (m, _, n), (high, wide), tile = plan.shape, plan.shard or plan.chunk, plan.tile
    if (tile.rows >= m or tile.rows % high == 0) and (tile.cols >= n or tile.cols % wide == 0):
        return ""
    return f"cuts files of {high} x {wide} by tiles of {tile.rows} x {tile.cols}, and should not"


def _grid(plan: Plan) -> tuple[int, int, int]:
    (m, k, n), tile = plan.shape, plan.tile
    return ceil(m / tile.rows), ceil(n / tile.cols), ceil(k / tile.depth)


def _strangeness(job: Job, hardware: Hardware, file: PlanFile) -> Iterator[str]:
    """What is other than where the plan was made, and forbids nothing."""
    was, libraries = file.hardware, versions()
    other = [
        f"{name} {version} not {libraries.get(name, 'there')}" for name, version in file.versions.items() if libraries.get(name) != version
    ]
    differs = "the times predicted are not those of this machine, and bits may differ"
    if was.processor != hardware.processor:
        yield f"planned on {was.processor}, run on {hardware.processor}: {differs}"
    elif other:
        yield f"planned with {', '.join(other)}: {differs}"
    elif was.rates != hardware.fingerprint and "://" not in job.cluster:
        yield f"planned by another calibration ({was.rates}, now {hardware.fingerprint}): {differs}"
