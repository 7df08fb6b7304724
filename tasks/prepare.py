"""Prepare: room for the result, its staging folder, new or taken over, and proof that every worker sees the same files."""

import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from storage import GOALS, AnyLease, AnyStaging, Hold, OutputSpec, Start, create_seal, hold_of, is_url, site_of
from tasks.cluster import Cluster
from tasks.compression import choice_for
from tasks.errors import GemmflowError, Refused
from tasks.handshake import check_files, check_kernels, check_seal, check_workers
from tasks.hardware import Hardware, Layout
from tasks.job import Job
from tasks.ladder import ARITHMETICS
from tasks.memory import ITEMSIZE
from tasks.moment import now
from tasks.outcome import Measurement
from tasks.plan import Plan
from tasks.recipe import Recipe, make_recipe
from tasks.resume import Unfinished, find_unfinished, input_stamps, is_same, require_same, run_record, tile_record
from tasks.survey import Problem, require_out, require_same_occupancy


@dataclass(frozen=True)
class Run:
    """One run of a plan: everything the later stages need."""

    run_id: str
    job: Job
    problem: Problem
    hardware: Hardware
    plan: Plan
    staging: "AnyStaging"
    started_at: float
    """When the workers' handshake had passed, in seconds since the epoch."""
    resumed: tuple[Measurement, ...] = ()
    """Tiles that an earlier run of the same job had finished."""
    lease: "AnyLease | None" = None
    """The right to write; None in a run that was made by hand."""
    inputs: dict[str, str] = field(default_factory=dict[str, str])
    """Stamps of the inputs when the run was started."""
    only: frozenset[int] | None = None
    """Tiles to compute; None where all are that `resumed` lacks."""

    @property
    def pending(self) -> list[int]:
        """Tiles that are still to be computed, in the order of the walk."""
        finished = {tile.index for tile in self.resumed}
        return [index for index in range(self.plan.tiles) if index not in finished and (self.only is None or index in self.only)]

    @property
    def hold(self) -> Hold:
        """What the driver may do with the staging."""
        return hold_of(self.staging, self.lease)

    @property
    def recipe(self) -> Recipe:
        """What the workers get."""
        open_choice = self.staging.spec.codec in GOALS
        choose = choice_for(self.job, self.plan.dtype_out, self._layout) if open_choice else None
        return make_recipe(self.job, self.problem, self.plan, self.staging, choose)

    @property
    def _layout(self) -> Layout:
        return self.hardware.layout(self.plan.workers, self.plan.threads_per_worker)


def new_run_id() -> str:
    """Sorts by time; two of the same second differ but for once in four thousand million: ``20260229-134501-9f3a11c4``."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"


def prepare(job: Job, problem: Problem, hardware: Hardware, plan: Plan, cluster: Cluster) -> Run:
    """Check the workers, then stage the output, or take over that of an unfinished run of the same job. The caller ends the lease.

    One of another job or plan that finished nothing is removed.
    Raises ClusterMismatch (other code, other files, a wrong kernel, a worker without the key), Refused (no room, or another run holds OUT)
    and BadInput (another run finished OUT since the survey); a new folder is not left behind.
    """
    check_workers(cluster)
    check_kernels(cluster, plan)
    started = now()
    unfinished = _unfinished(job, problem, plan)
    run = _begin(job, problem, hardware, plan) if unfinished is None else _go_on(unfinished, (job, problem, hardware, plan))
    try:
        if not job.overwrite:
            require_out(job)
        if run.staging.seal is not None:
            check_seal(cluster, run.staging.seal)
        _check_files(problem, run.hold, cluster)
    except BaseException:
        end(run)
        if unfinished is None:
            with suppress(GemmflowError):
                run.hold.discard()
        raise
    return replace(run, started_at=started)


def greet(run: Run, cluster: Cluster) -> None:
    """The same checks for workers that join a run. Raises ClusterMismatch."""
    if not cluster.own:
        check_workers(cluster)
    check_kernels(cluster, run.plan)
    if run.staging.seal is not None:
        check_seal(cluster, run.staging.seal)
    _check_files(run.problem, run.hold, cluster)


def end(run: Run) -> None:
    """Let go of OUT: the next run may have it at once."""
    if run.lease is not None:
        run.lease.release()


def check_room(job: Job, problem: Problem, plan: Plan, done: Iterable[Measurement] | None = None) -> None:
    """Raise Refused where OUT's file system has no room for what is still to come of the product, uncompressed.

    `done` are the tiles of a run that was begun; None asks for the partial sums of a new one, too.
    """
    elements = product_spec(job, problem, plan).elements
    missing = elements * np.dtype(plan.dtype_out).itemsize - sum(tile.bytes_written for tile in done or ())
    site_of(job.out).check_space(missing + (_bytes_of_parts(plan) if done is None else 0))


def _bytes_of_parts(plan: Plan) -> int:
    (m, _, n), itemsize = plan.shape, ITEMSIZE[ARITHMETICS[plan.arithmetic].accumulate]
    return plan.parts * m * n * itemsize if plan.parts > 1 else 0


def product_spec(job: Job, problem: Problem, plan: Plan) -> OutputSpec:
    """How the product is stored."""
    return OutputSpec(
        shape=(problem.m, problem.n),
        dtype=plan.dtype_out,
        chunks=plan.chunk,
        codec=plan.codec,
        shard=plan.shard,
        sealed=job.seal is not None,
        remote=is_url(job.out),
        lower=plan.symmetry == "triangle",
    )


def _unfinished(job: Job, problem: Problem, plan: Plan) -> Unfinished | None:
    """What is gone on with, or stands in the way: what is neither this job nor this plan, and finished nothing, is removed."""
    unfinished = find_unfinished(job)
    if unfinished is None or not unfinished.is_empty or (is_same(unfinished, job, problem) and plan.does_as(unfinished.plan)):
        return unfinished
    unfinished.left.discard()
    return None


def _begin(job: Job, problem: Problem, hardware: Hardware, plan: Plan) -> Run:
    seal = create_seal(job.seal) if job.seal is not None else None
    spec = product_spec(job, problem, plan)
    check_room(job, problem, plan)
    run_id = new_run_id()
    inputs = input_stamps(problem)
    require_same_occupancy(problem)
    start = Start((run_record(job, inputs, plan, spec),), seal)
    staging, lease = site_of(job.out).begin(spec, job.durability, run_id, start)
    return Run(run_id, job, problem, hardware, plan, staging, now(), lease=lease, inputs=inputs)


def _go_on(unfinished: Unfinished, asked: tuple[Job, Problem, Hardware, Plan]) -> Run:
    job, problem, hardware, plan = asked
    require_same(unfinished, job, problem)
    if not plan.does_as(unfinished.plan):
        raise Refused(f"the unfinished run {unfinished.left.run_id} of {job.out} appeared meanwhile: run again to go on with it")
    check_room(job, problem, plan, unfinished.tiles)
    staging, lease = unfinished.left.take_over(unfinished.spec, job.durability)
    try:
        tiles = _sound_tiles(unfinished, hold_of(staging, lease))
        return Run(staging.run_id, job, problem, hardware, plan, staging, now(), tiles, lease, unfinished.inputs)
    except BaseException:
        lease.release()
        raise


def _sound_tiles(unfinished: Unfinished, hold: Hold) -> tuple[Measurement, ...]:
    """The finished tiles all of whose chunks are there; what belongs to none of them does not count any more."""
    sound = _keep(unfinished, unfinished.tiles, hold)
    whole = tuple(tile for tile in unfinished.tiles if all(chunk.key in sound for chunk in tile.chunks))
    if len(whole) < len(unfinished.tiles):
        _keep(unfinished, whole, hold)
    return whole


def _keep(unfinished: Unfinished, tiles: tuple[Measurement, ...], hold: Hold) -> set[str]:
    return hold.keep([unfinished.started, *map(tile_record, tiles)], [chunk for tile in tiles for chunk in tile.chunks])


def _check_files(problem: Problem, hold: Hold, cluster: Cluster) -> None:
    token = secrets.token_hex(16)
    matrices = [problem.a.matrix, problem.b.matrix] + ([problem.add] if problem.add is not None else [])
    check_files(cluster, hold.put_token(token), token, matrices)
