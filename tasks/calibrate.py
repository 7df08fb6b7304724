"""Measure: what the workers of this machine can do, asked of real workers and remembered.

Each layout (many processes with one BLAS thread, one process with many) is opened for a second or two; all its workers
measure at the same time, since that is how they will work. The slowest worker's rates count. Results are kept by
fingerprint, so that the same call on the same machine makes the same plan.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tasks.clusters import Cluster, ClusterSpec, open_cluster
from tasks.diary import recall_history
from tasks.errors import GemmflowError
from tasks.hardware import (
    Hardware,
    Layout,
    Rates,
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
from tasks.resident import idle_bytes
from tasks.survey import Problem

if TYPE_CHECKING:
    from tasks.rates import WorkerRates


HELD_STEP = 16 << 20

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
    layouts = [_measure_layout(kind, workers, threads) for workers, threads in layouts_to_measure(device)]
    hardware = Hardware(
        fingerprint=host_fingerprint(device),
        processor=processor_name(),
        cores=usable_cores(),
        memory_bytes=installed_memory(),
        layouts=tuple(layout for layout, _ in layouts),
        device=device,
        device_memory_bytes=min(free for _, free in layouts),
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
        layouts=(_layout(answers, min(answer.threads for answer in answers)),),
    )
    remember(hardware)
    return hardware


def _with_what_they_hold(hardware: Hardware, idle: int) -> Hardware:
    """The same with `idle` bytes a worker, in whole steps so that plans repeat; a process keeps some of what it once used."""
    held = -(-idle // HELD_STEP) * HELD_STEP
    return replace(hardware, layouts=tuple(replace(layout, base_bytes=max(layout.base_bytes, held)) for layout in hardware.layouts))


def layouts_to_measure(device: str) -> list[tuple[int, int]]:
    """(workers, BLAS threads) worth measuring: a process a core, one process for all; a process a GPU.

    The first wins near-ties.
    """
    cores = usable_cores()
    if device == "cuda":
        devices = max(1, len(visible_devices()))
        return [(devices, max(1, cores // devices))]
    return [(cores, 1)] + ([(1, cores)] if cores > 1 else [])


def _measure_layout(kind: str, workers: int, threads: int) -> tuple[Layout, int]:
    with open_cluster(ClusterSpec(kind, workers, threads)) as cluster:
        answers = _ask(cluster, _device(kind))
    return _layout(answers, threads), min(answer.device_memory_bytes for answer in answers)


def _ask(cluster: Cluster, device: str) -> "list[WorkerRates]":
    from tasks.rates import measure_worker  # noqa: PLC0415 - torch takes a second to import, and a remembered machine needs none

    return list(cluster.run_on_workers(measure_worker, device, str(cache_folder())).values())


def _layout(answers: "Sequence[WorkerRates]", threads: int) -> Layout:
    """Raises GemmflowError where the workers share no kernel of IEEE arithmetic that passes its self-test; others may be missing."""
    rates = slowest([answer.rates for answer in answers])
    wrong = [name for name in IEEE if not rates.gemm[name]]
    if wrong:
        raise GemmflowError(f"no kernel multiplies small integers exactly in {', '.join(wrong)} on every worker: check this hardware")
    return Layout(len(answers), threads, max(answer.base_bytes for answer in answers), rates)


def slowest(rates: Sequence[Rates]) -> Rates:
    """Every rate at its lowest among the workers."""
    first = rates[0]
    shared = {name: [library for library in speeds if _all_have(rates, name, library)] for name, speeds in first.gemm.items()}
    return Rates(
        gemm={name: {library: min(rate.gemm[name][library] for rate in rates) for library in found} for name, found in shared.items()},
        thin={name: _thinnest(rates, name, found) for name, found in shared.items()},
        decode={name: min(rate.decode[name] for rate in rates) for name in first.decode},
        encode={name: min(rate.encode[name] for rate in rates) for name in first.encode},
        probe=min(rate.probe for rate in rates),
        write=min(rate.write for rate in rates),
        write_unsynced=min(rate.write_unsynced for rate in rates),
        copy=min(rate.copy for rate in rates),
        touch=min(rate.touch for rate in rates),
    )


def _thinnest(rates: Sequence[Rates], arithmetic: str, found: list[str]) -> dict[str, float]:
    measured = [rate.thin.get(arithmetic, {}) for rate in rates]
    return {library: min(speeds[library] for speeds in measured) for library in found if all(library in speeds for speeds in measured)}


def _all_have(rates: Sequence[Rates], arithmetic: str, library: str) -> bool:
    return all(library in rate.gemm[arithmetic] for rate in rates)


def _device(kind: str) -> str:
    return "cuda" if kind == "cuda" else "cpu"
