"""Measure: what the workers of this machine can do, asked of real workers and remembered.

Processes with one BLAS thread each are opened for some seconds; all measure at the same time, since that is how they will work, and
the slowest worker's rates count. Then one of them measures alone what it does with all the threads. Results are kept by fingerprint, so
that the same call on the same machine makes the same plan.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from time import perf_counter

from tasks.cluster import Cluster
from tasks.clusters import ClusterSpec, open_cluster
from tasks.diary import recall_history
from tasks.errors import GemmflowError
from tasks.hardware import (
    Hardware,
    Layout,
    cache_folder,
    host_fingerprint,
    installed_memory,
    processor_name,
    recall,
    remember,
    usable_cores,
)
from tasks.job import Job
from tasks.nvidia import visible_devices
from tasks.remote import measure_threads, measure_worker, nothing
from tasks.resident import idle_bytes
from tasks.survey import Problem
from tasks.worker_rates import WorkerRates, slowest

HELD_STEP = 16 << 20

ROUND_TRIPS = 15

IEEE = ("float32", "float64")
"""Arithmetics that every machine has."""


def measure(job: Job, problem: Problem) -> Hardware:
    """Rates of the workers that `job` will use, from the cache where they were measured before.

    Raises BadInput where the cluster has no device or does not answer.
    """
    del problem  # rates do not depend on it yet; the stage's contract has it
    if "://" in job.cluster:
        with open_cluster(ClusterSpec(job.cluster)) as cluster:
            return with_history(measure_running(cluster))
    return with_history(recall(host_fingerprint(_device(job.cluster))) or calibrate(job.cluster))


def with_history(hardware: Hardware) -> Hardware:
    """The same with what earlier runs on it took."""
    return replace(hardware, history=recall_history(hardware.fingerprint))


def calibrate(kind: str = "local") -> Hardware:
    """Measure this machine afresh and remember it."""
    device = _device(kind)
    with open_cluster(ClusterSpec(kind, *workers_to_measure(device))) as cluster:
        answers = _ask(cluster, device)
        layouts = [_layout(answers, answers[0].threads), *_with_all_threads(cluster, device, answers)]
        task = task_seconds(cluster)
    hardware = Hardware(
        fingerprint=host_fingerprint(device),
        processor=processor_name(),
        cores=usable_cores(),
        memory_bytes=installed_memory(),
        layouts=tuple(_with_tasks(layout, task) for layout in layouts),
        device=device,
        device_memory_bytes=min(answer.device_memory_bytes for answer in answers),
    )
    remember(hardware)
    return hardware


def measure_running(cluster: Cluster) -> Hardware:
    """The workers of a running scheduler: rates from the cache where the same workers were measured before, memory as it is now."""
    facts = cluster.run_on_workers(host_fingerprint, "cpu")
    fingerprint = hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()[:16]
    hardware = recall(fingerprint) or _measure_running(cluster, fingerprint)
    return _with_what_they_hold(hardware, max(cluster.run_on_workers(idle_bytes).values()))


def _measure_running(cluster: Cluster, fingerprint: str) -> Hardware:
    answers = _ask(cluster, "cpu")
    hardware = Hardware(
        fingerprint=fingerprint,
        processor=answers[0].processor,
        cores=sum(answer.cores for answer in answers),
        memory_bytes=sum({answer.host: answer.memory_bytes for answer in answers}.values()),
        layouts=(_with_tasks(_layout(answers, min(answer.threads for answer in answers)), task_seconds(cluster)),),
    )
    remember(hardware)
    return hardware


def _with_what_they_hold(hardware: Hardware, idle: int) -> Hardware:
    """The same with `idle` bytes a worker, in whole steps so that plans repeat; a process keeps some of what it once used."""
    held = -(-idle // HELD_STEP) * HELD_STEP
    return replace(hardware, layouts=tuple(replace(layout, base_bytes=max(layout.base_bytes, held)) for layout in hardware.layouts))


def task_seconds(cluster: Cluster) -> float:
    """From sending an empty task to having its answer, the median of some."""
    seconds: list[float] = []
    for _ in range(ROUND_TRIPS):
        start = perf_counter()
        cluster.run_on_one(nothing)
        seconds.append(perf_counter() - start)
    return median(seconds)


def _with_tasks(layout: Layout, seconds: float) -> Layout:
    return replace(layout, rates=replace(layout.rates, task=seconds))


def workers_to_measure(device: str) -> tuple[int, int]:
    """Workers and BLAS threads of each: a process a core, or a process a GPU."""
    cores = usable_cores()
    if device == "cuda":
        devices = max(1, len(visible_devices()))
        return devices, max(1, cores // devices)
    return cores, 1


def _with_all_threads(cluster: Cluster, device: str, answers: Sequence[WorkerRates]) -> list[Layout]:
    """One process for all cores, where that is another layout; near-ties go to the other one."""
    if device == "cuda" or len(answers) == 1:
        return []
    answer = cluster.run_on_one(measure_threads, answers[0], device, str(cache_folder()))
    return [_layout([answer], answer.threads)]


def _ask(cluster: Cluster, device: str) -> list[WorkerRates]:
    return list(cluster.run_on_workers(measure_worker, device, str(cache_folder())).values())


def _layout(answers: Sequence[WorkerRates], threads: int) -> Layout:
    """Raises GemmflowError where the workers share no kernel of IEEE arithmetic that passes its self-test; others may be missing."""
    rates = slowest([answer.rates for answer in answers])
    wrong = [name for name in IEEE if not rates.gemm[name]]
    if wrong:
        raise GemmflowError(f"no kernel multiplies small integers exactly in {', '.join(wrong)} on every worker: check this hardware")
    return Layout(len(answers), threads, max(answer.base_bytes for answer in answers), rates)


def _device(kind: str) -> str:
    return "cuda" if kind == "cuda" else "cpu"
