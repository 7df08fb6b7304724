"""How to run what was chosen: the command, and the cluster file where it needs one."""

from dataclasses import dataclass, replace
from shlex import join

from tasks.choice.demand import on_cpu
from tasks.choice.estimate import Estimate
from tasks.choice.kept import Kept
from tasks.choice.matrix_job import MatrixJob
from tasks.units import format_bytes
from tasks.wording import plural

RUNS_ON = {"NVIDIA": "cuda"}
"""Kind of workers by vendor of an accelerator; gemmflow computes on CPUs and CUDA devices."""

_CPU_WORKER = "worker_options: {nthreads: 1, memory_limit: 0}"
_GPU_WORKER = "worker_class: dask_cuda.CUDAWorker"


@dataclass(frozen=True)
class Errand:
    """What to do next."""

    steps: tuple[str, ...]
    """For people, in order; a step that is a command starts with gemmflow."""
    cluster_file: str = ""
    """YAML to write into a file that the command names; empty where none is needed."""


def errand(option: Estimate, job: MatrixJob, places: tuple[str, ...] = ("A", "B", "OUT")) -> Errand:
    """For the option that was chosen, the places of A, B and OUT, and after them other options of the job, as they are given."""
    device, way = option.device, option.way
    if way is None:
        return Errand((f"nothing: {option.why_not}",))
    command, doubts = _command(job, places, way.name), _doubts(job)
    if device.kind == "this machine":
        return Errand((*doubts, join(command)))
    if not on_cpu(device) and device.vendor not in RUNS_ON:
        return Errand(
            (f"gemmflow computes on CPUs and CUDA devices: on {device.name} another program has to, with the blocks of this plan",)
        )
    if _hosts(option) == 1:
        where = [] if on_cpu(device) else ["--cluster", "cuda"]
        return Errand((*doubts, _host(option), join([*command, *where])))
    there = (
        *doubts,
        _host(option),
        "name them in cluster.yaml, beside it the Dask scheduler's host",
        join([*command, "--cluster", "cluster.yaml"]),
    )
    return Errand(there, _cluster_file(option))


def _doubts(job: MatrixJob) -> tuple[str, ...]:
    """Where the command does not do what was asked about."""
    found: list[str] = []
    if "bfloat16" in job.inputs:
        found.append("gemmflow reads no matrices of bfloat16: store them as float32 first")
    if job.kept.form in ("top", "above"):
        dense = format_bytes(replace(job, kept=Kept()).stored_bytes)
        found.append(f"gemmflow stores all of a product: the command below writes {dense}, not {job.kept.words} alone")
    return tuple(found)


def _command(job: MatrixJob, places: tuple[str, ...], arithmetic: str) -> list[str]:
    a, b, out, *given = places
    start = ["gemmflow", "gram", a, out] if job.symmetric and a != b else ["gemmflow", "multiply", a, b, out]
    triangle = ["--store", "triangle"] if job.kept.form == "triangle" else []
    error = [] if job.max_error is None else ["--max-error", f"{job.max_error:g}"]
    stored = [] if set(job.inputs) == {job.output} else ["--dtype-out", job.output]
    return [*start, *given, "--precision", arithmetic, *error, *stored, *triangle]


def _hosts(option: Estimate) -> int:
    return option.bill.instances if option.bill else 1


def _host(option: Estimate) -> str:
    if option.bill is None:
        return f"take a host with {option.count} x {option.device.name}"
    price = option.bill.price
    return f"rent {plural(option.bill.instances, 'instance')} of {price.provider} {price.instance} in {price.region}"


def _cluster_file(option: Estimate) -> str:
    hosts = ", ".join(f"HOST{place}" for place in range(1, _hosts(option) + 1))
    worker = _CPU_WORKER if on_cpu(option.device) else _GPU_WORKER
    return f"""cluster_class: distributed.SSHCluster
cluster_kwargs:
  hosts: [SCHEDULER, {hosts}]
  {worker}
  scheduler_options: {{port: 0, dashboard: false}}
wait:
  workers: {option.count}
  seconds: 900
"""
