"""Plans of hand-made products as files, and what was done to them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tasks.hardware import Hardware
from tasks.job import Job, make_job
from tasks.plan import Plan
from tasks.plan_file import digest_of, plan_file, text_of
from tasks.planner import make_plan
from tasks.survey import Problem, survey
from tests.tasks.machines import hardware

Content = dict[str, object]

TWO_CORES = replace(hardware((2, 1), (1, 2)), fingerprint="f00d")


@dataclass(frozen=True)
class Saved:
    """A plan, its file, and what it was made of."""

    job: Job
    problem: Problem
    hardware: Hardware
    plan: Plan
    path: Path

    @property
    def following(self) -> Job:
        """The job, now with its plan."""
        return self.job.model_copy(update={"plan": str(self.path), "memory": self.plan.memory_limit})

    def edit(self, change: Callable[[Content], object], signed: bool = True) -> None:
        """Change the file's content; signed: with a digest that fits."""
        content = json.loads(self.path.read_text())
        change(content)
        if signed:
            content.pop("digest")
            content["digest"] = digest_of(content)
        self.path.write_text(json.dumps(content))


def save(folder: Path, machine: Hardware = TWO_CORES, **fields: object) -> Saved:
    """The plan of a small product on a hand-made machine, in P.json."""
    rng = np.random.default_rng(0)
    for name, shape in {"A": (60, 40), "B": (40, 50), "C0": (60, 50)}.items():
        np.save(folder / f"{name}.npy", rng.standard_normal(shape).astype("float32"))
    places = {"a": str(folder / "A.npy"), "b": str(folder / "B.npy"), "out": str(folder / "C")}
    job = make_job(**(places | {"memory": "2GiB", "max_error": 1e-3} | fields))
    problem = survey(job)
    plan = make_plan(job, problem, machine)
    path = folder / "P.json"
    path.write_text(text_of(plan_file(job, problem, machine, plan)))
    return Saved(job, problem, machine, plan, path)
