"""Stand-ins for workers and stages: runs that take no time and start nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from flows.stages import Stages
from tasks.clusters import ClusterSpec
from tasks.gate import Gate
from tests.tasks import builders


@dataclass
class FakeCluster:
    spec: ClusterSpec
    closed: bool = False

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeClusters:
    """Use as `open_cluster`; keeps what was opened."""

    opened: list[FakeCluster] = field(default_factory=list)
    error: BaseException | None = None

    def __call__(self, spec: ClusterSpec, gate: Gate) -> FakeCluster:
        self.gate = gate
        if self.error is not None:
            raise self.error
        self.opened.append(FakeCluster(spec))
        return self.opened[-1]


def plan(workers: int = 2, memory: int = 2**30) -> Any:
    return replace(builders.report(builders.Scene()).run.plan, workers=workers, memory_limit=memory)


def stages(calls: list[str] | None = None, **replaced: Callable[..., object]) -> Stages:
    """Every stage answers at once with the parts of a hand-made report, and `replaced` ones do as told."""
    made = builders.report(builders.Scene(grid=(2, 2)))
    calls = calls if calls is not None else []
    answers = {
        "survey": made.run.problem,
        "measure": made.run.hardware,
        "plan": made.run.plan,
        "prepare": made.run,
        "multiply": made.outcome,
        "verify": made.certificate,
        "publish": made.stored,
        "report": made,
    }

    def stage(name: str) -> Callable[..., object]:
        def call(*args: object) -> object:
            calls.append(name)
            return replaced[name](*args) if name in replaced else answers[name]

        return call

    return Stages(**{name: stage(name) for name in answers})
