"""Prepare: room for the result, its staging folder, and proof that every worker sees the same files."""

import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from storage import OutputSpec, Staging, check_space, create_staging, discard, write_atomically
from tasks.clusters import Cluster
from tasks.handshake import check_files, check_workers
from tasks.hardware import Hardware
from tasks.job import Job
from tasks.plan import Plan
from tasks.recipe import Recipe, walk_of
from tasks.survey import Problem


@dataclass(frozen=True)
class Run:
    """One run of a plan: everything the later stages need."""

    run_id: str
    job: Job
    problem: Problem
    hardware: Hardware
    plan: Plan
    staging: Staging
    started_at: float
    """When the workers' handshake had passed, in seconds since the epoch."""

    @property
    def recipe(self) -> Recipe:
        """What the workers get."""
        job, problem, plan = self.job, self.problem, self.plan
        return Recipe(
            run_id=self.run_id,
            a=problem.a,
            b=problem.b,
            add=problem.add,
            alpha=job.alpha,
            beta=job.beta,
            walk=walk_of(plan),
            slots=plan.slots,
            arithmetic_name=plan.arithmetic,
            kernel=plan.kernel,
            device=plan.device,
            threads=plan.threads_per_worker,
            exact=plan.exact,
            staging=self.staging,
            probes=plan.probes,
            seed=plan.seed,
            bound=plan.predicted.error_bound,
            allow_nonfinite=job.allow_nonfinite,
        )


def new_run_id() -> str:
    """Sorts by time and never repeats: ``20260229-134501-9f3a``."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def prepare(job: Job, problem: Problem, hardware: Hardware, plan: Plan, cluster: Cluster) -> Run:
    """Check the workers, then stage the output.

    Raises ClusterMismatch (other code, other files), Refused (no room); nothing is left behind by either.
    """
    check_workers(cluster)
    started = time.time()
    spec = OutputSpec(shape=(problem.m, problem.n), dtype=plan.dtype_out, chunks=plan.chunk, codec=plan.codec, shard=plan.shard)
    check_room(job, problem, plan)
    run_id = new_run_id()
    staging = create_staging(Path(job.out), spec, job.durability, run_id)
    try:
        _check_files(problem, staging, cluster)
    except BaseException:
        discard(staging)
        raise
    return Run(run_id, job, problem, hardware, plan, staging, started)


def check_room(job: Job, problem: Problem, plan: Plan) -> None:
    """Raise Refused where OUT's file system has no room for the product, uncompressed."""
    check_space(Path(job.out), problem.m * problem.n * np.dtype(plan.dtype_out).itemsize)


def _check_files(problem: Problem, staging: Staging, cluster: Cluster) -> None:
    token, path = secrets.token_hex(16), Path(staging.folder) / "token"
    write_atomically(path, token.encode())
    matrices = [problem.a.matrix, problem.b.matrix] + ([problem.add] if problem.add is not None else [])
    check_files(cluster, path, token, matrices)
