"""A question to workers that each answers beside its tasks, and who went away before it answered.

Dask itself would try to reach a dead worker for half a minute, and then call what happened an answer.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic, sleep
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from tasks.errors import WorkersLost
from tasks.in_time import NoAnswer, Question

if TYPE_CHECKING:
    from tasks.cluster import Cluster

P = ParamSpec("P")
R = TypeVar("R")

LOOK_SECONDS = 0.5
"""Between two looks whether those who are asked are still there."""

NOTICED_SECONDS = 2.0
"""How long a scheduler may take to notice that a connection was broken because its worker died."""


class WorkerGone(WorkersLost):
    """A worker went away before it answered."""


@dataclass(frozen=True)
class Audience:
    """Who is asked, and how long they may take together."""

    cluster: "Cluster"
    workers: tuple[str, ...]
    seconds: float

    def hear(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> dict[str, R | BaseException]:
        """Each worker's answer, or what the function raised there. Raises WorkerGone, and TimeoutError where one is silent."""
        client, deadline = self.cluster.client, monotonic() + self.seconds

        def ask() -> "Awaitable[dict[str, R | BaseException]]":
            asked = client.run(function, *args, workers=list(self.workers), on_error="return", **kwargs)
            return cast("Awaitable[dict[str, R | BaseException]]", asked)

        question = Question(client.loop, ask)
        try:
            answers = self._answers(question, deadline)
        finally:
            question.drop()
        self._require_those_who_broke_off(answers)
        return answers

    def _answers(self, question: "Question[R]", deadline: float) -> R:
        while True:
            try:
                return question.answer(LOOK_SECONDS)
            except NoAnswer:
                self._require_all()
                if monotonic() > deadline:
                    raise

    def _require_those_who_broke_off(self, answers: "dict[str, R | BaseException]") -> None:
        deadline = monotonic() + NOTICED_SECONDS
        while any(isinstance(answer, OSError) for answer in answers.values()) and monotonic() < deadline:
            self._require_all()
            sleep(0.1)

    def _require_all(self) -> None:
        there = self.cluster.signs_of_life
        for address in self.workers:
            if address not in there:
                raise WorkerGone(f"the worker at {address} went away before it answered")
