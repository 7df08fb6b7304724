"""What the workers of a plan hold, counted again from its decisions: the sum in a file is that of other workers, or of whoever wrote it."""

from dataclasses import dataclass, replace

from storage import OutputSpec, is_url, resolve_codec
from tasks.candidate import Candidate
from tasks.compression import candidates
from tasks.hardware import Layout
from tasks.job import Job
from tasks.ladder import ARITHMETICS
from tasks.memory import tile_memory
from tasks.plan import Plan
from tasks.survey import Problem


@dataclass(frozen=True)
class Held:
    """Bytes of one worker, in whichever of the plan's arithmetics takes most."""

    host: int
    """Interpreter and libraries included."""
    device: int
    """0 on the CPU."""


def held_by(job: Job, problem: Problem, plan: Plan, layout: Layout) -> Held:
    """What each worker holds on workers of this layout."""
    shown = replace(problem, symmetry=plan.symmetry, data=plan.data)
    planned = candidate_of(job, plan, layout)
    memory = [tile_memory(shown, replace(planned, arithmetic=ARITHMETICS[rung.arithmetic])) for rung in plan.rungs]
    return Held(layout.base_bytes + max(one.host_bytes for one in memory), max(one.device_bytes for one in memory))


def candidate_of(job: Job, plan: Plan, layout: Layout) -> Candidate:
    """The plan as the planner weighed it."""
    (m, _, n), slabs = plan.shape, plan.grid[2]
    output = OutputSpec(
        shape=(m, n),
        dtype=plan.dtype_out,
        chunks=plan.chunk,
        codec=resolve_codec(plan.codec).name,
        shard=plan.shard,
        sealed=job.seal is not None,
        remote=is_url(job.out),
        lower=plan.symmetry == "triangle",
    )
    return Candidate(
        shape=plan.shape,
        arithmetic=ARITHMETICS[plan.arithmetic],
        tile=plan.tile,
        kept=(plan.slots[0] >= slabs, plan.slots[1] >= slabs),
        output=output,
        layout=layout,
        workers=plan.workers,
        device=plan.device,
        probes=plan.probes,
        durability=job.durability,
        settles=candidates(job, plan.dtype_out),
        parts=plan.parts,
        symmetry=plan.symmetry,
    )
