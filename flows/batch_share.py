"""What a job of a batch gets of the machine: of one budget of memory and of all cores, the same for each that runs at once.

    budget    the file's `memory`, or else 60 % of what is free when the batch starts
    share     budget / N and cores / N, of at most N jobs at once

A job's own `memory` may be less than its share, never more. A share is not given to others when its job ends early.
"""

from dataclasses import dataclass
from math import inf

from tasks.hardware import default_memory
from tasks.job import Job
from tasks.resume import find_unfinished

OWN = ("local", "cuda")
"""Clusters whose memory is that of this host."""


@dataclass(frozen=True)
class Machine:
    """What there is."""

    free: int
    """Bytes."""
    cores: int


@dataclass(frozen=True)
class Share:
    """Of one of the jobs that run at once."""

    slots: int
    """How many run at once."""
    memory: int
    """Bytes."""
    cores: int
    stated: bool
    """Whether the file says the memory."""

    def of(self, job: Job) -> Job:
        """The job within its share. Raises Refused as `find_unfinished` does.

        Where the budget is only what happens to be free, an unfinished run keeps the memory that it was planned with, and a scheduler
        that runs elsewhere decides itself.
        """
        if job.memory is not None:
            return job if self._is_alone else job.model_copy(update={"memory": min(job.memory, self.memory)})
        if not self.stated and job.cluster not in OWN:
            return job
        return job.model_copy(update={"memory": self.memory if self.stated else max(self.memory, _planned_with(job))})

    def advice(self, job: Job) -> str:
        """What to change where the memory that `of` gave a job is too little; empty where that is what the job itself says."""
        if self._is_alone or (job.memory or inf) <= self.memory:
            return ""
        return f"; this is its share of the batch's memory, {self.slots} at once: give the file a larger memory, or a smaller at_once"

    @property
    def _is_alone(self) -> bool:
        """Whether a job's own memory is nobody else's business."""
        return self.slots == 1 and not self.stated


def share_of(at_once: int, budget: int | None, machine: Machine) -> Share:
    """What each of so many jobs gets; together they get no more than there is, but a core each."""
    memory = default_memory(machine.free) if budget is None else budget
    return Share(at_once, memory // at_once, max(1, machine.cores // at_once), budget is not None)


def _planned_with(job: Job) -> int:
    """Bytes of the plan of an unfinished run; 0 where there is none, or one that finished nothing."""
    unfinished = find_unfinished(job)
    return 0 if unfinished is None or unfinished.is_empty else unfinished.plan.memory_limit
