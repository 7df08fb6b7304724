"""Open workers: who they are, calls on them, and their end. How they are opened: `tasks.clusters`.

A worker may die while it is asked. Questions change nothing, so all are asked again once the dead one is back, or without it.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from copy import copy
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from tasks.errors import WorkersLost
from tasks.hearing import WorkerGone
from tasks.in_time import NoAnswer, in_time
from tasks.short_logs import as_one_span

if TYPE_CHECKING:
    from distributed import Client, Future

    from tasks.clusters import ClusterSpec

P = ParamSpec("P")
R = TypeVar("R")
Deaths = Callable[[], tuple[int, ...]]

AHEAD_OF_TILES = 2_000_000
"""Priority of a question: above that of any job, so that no run waits for the end of another one to be told who is there."""

TRIES = 4
"""How often a question is asked where workers go away before they answered."""
BACK_SECONDS = 30.0
"""How long a dead worker may take to be back before the others are asked without it."""
STEP_SECONDS = 0.1
SILENT_SECONDS = 60.0
"""How long a scheduler may take to say who is there. One that is stopped keeps its connections, and never answers."""
AGAIN_SECONDS = 5.0
"""How long it may take when it is asked once more: where this process stood still itself, the time was up before it could listen."""


class Cluster:
    """Open workers; `close` ends what was opened here and nothing else."""

    def __init__(self, spec: "ClusterSpec", client: "Client", own: bool, closing: ExitStack, deaths: Deaths = tuple) -> None:
        """`deaths`: how worker processes that were started here have ended so far, but for those that were ended."""
        self.spec = spec
        self.client = client
        self.own = own
        self._closing = closing
        self._deaths = deaths
        self._told = 0
        self._chosen: tuple[str, ...] | None = None
        self._given_up = 0
        """Workers that were waited for in vain."""
        self.greeted = frozenset[str]()
        """Addresses of workers that are known to run this code."""

    @property
    def address(self) -> str:
        """The scheduler's address."""
        return str(self._identity()["address"])

    @property
    def workers(self) -> tuple[str, ...]:
        """Addresses of the workers that are alive now."""
        return tuple(sorted(self.signs_of_life)) if self._chosen is None else self._chosen

    @property
    def signs_of_life(self) -> dict[str, float]:
        """For each worker that the scheduler knows, when that last heard of it, by the scheduler's clock in seconds since the epoch."""
        workers = cast("dict[str, dict[str, float]]", self._identity()["workers"])
        return {address: worker["last_seen"] for address, worker in workers.items()}

    def among(self, workers: Sequence[str]) -> "Cluster":
        """The same cluster as if it had these workers only; whoever closes it closes the whole."""
        some = copy(self)
        some._chosen = tuple(workers)
        return some

    def present(self) -> tuple[str, ...]:
        """The workers; where some of our own are being replaced, after BACK_SECONDS at most. Raises WorkersLost where none is there."""
        if self._chosen is not None:
            return self._chosen
        wanted, deadline = self.spec.workers - self._given_up if self.own else 1, monotonic() + BACK_SECONDS
        while len(workers := self.workers) < max(wanted, 1) and monotonic() < deadline:
            sleep(STEP_SECONDS)
        if not workers:
            raise WorkersLost(f"no worker is there for {BACK_SECONDS:.0f} s: see why they died")
        self._given_up = max(0, self.spec.workers - len(workers))
        return workers

    def ask(self, question: Callable[[tuple[str, ...]], R]) -> R:
        """What `question` makes of the workers; put again, TRIES times in all, where it raises WorkerGone."""
        for left in reversed(range(TRIES)):
            try:
                return question(self.present())
            except WorkerGone:
                if not left or self._chosen is not None:
                    raise
        raise AssertionError

    def new_deaths(self) -> tuple[int, ...]:
        """Exit statuses of worker processes that were started here and died since this was asked last."""
        deaths = self._deaths()
        told, self._told = self._told, len(deaths)
        return deaths[told:]

    def drop(self, worker: str, seconds: float) -> None:
        """Let the scheduler forget a worker and give its tasks to others. Raises TimeoutError where that takes longer.

        What only this worker holds is computed again: retiring it in the usual way would wait for it to hand that over.
        """
        assert self.client.scheduler is not None
        forget = self.client.scheduler.unregister
        in_time(self.client.loop, lambda: forget(address=worker, stimulus_id="gemmflow-drop", close=False), seconds)

    def run_on_workers(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> dict[str, R]:
        """Call `function` on every worker at the same time, as a task; returns results by worker address.

        Where a worker goes away before it answered, all are asked again. Raises what the function raises, and WorkersLost when
        they go away each time.
        """
        return self.ask(lambda workers: self._run_on(workers, function, *args, **kwargs))

    def run_on_one(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` on the first worker, as `run_on_workers` does on all."""
        (answer,) = self.ask(lambda workers: self._run_on(workers[:1], function, *args, **kwargs)).values()
        return answer

    def close(self) -> None:
        """Close the client, and end the worker processes that were started here, within a bounded time."""
        self._closing.close()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _run_on(self, addresses: tuple[str, ...], function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> dict[str, R]:
        with as_one_span():
            futures = {
                address: self.client.submit(
                    function, *args, **kwargs, workers=[address], pure=False, allow_other_workers=False, priority=AHEAD_OF_TILES
                )
                for address in addresses
            }
        try:
            answers, gone = dict[str, R](), list[WorkerGone]()
            for address, future in futures.items():  # to the last one: nobody is asked again while others are still at it
                try:
                    answers[address] = self._answer(address, future)
                except WorkerGone as error:
                    gone.append(error)
            if gone:
                raise gone[0]
            return answers
        finally:
            self.client.cancel(list(futures.values()))

    def _identity(self) -> dict[str, object]:
        """What the scheduler says of itself; `Client.scheduler_info` may give another question's answer, without any worker."""
        try:
            with suppress(TimeoutError):
                return self._asked(SILENT_SECONDS)
            return self._asked(AGAIN_SECONDS)
        except OSError as error:  # a TimeoutError is one
            raise self.gone() from error

    def _asked(self, seconds: float) -> dict[str, object]:
        assert self.client.scheduler is not None
        identity = self.client.scheduler.identity
        return cast("dict[str, object]", in_time(self.client.loop, lambda: identity(n_workers=-1), seconds))

    def gone(self) -> WorkersLost:
        """What to raise where the scheduler does not answer any more."""
        return WorkersLost(f"the scheduler at {self.spec.kind} does not answer any more: see why it ended, and start it again")

    def _answer(self, address: str, future: "Future[R]") -> R:
        while True:
            try:
                return in_time(self.client.loop, lambda: cast("Awaitable[R]", future.result()), 1)
            except TimeoutError as error:
                if future.status == "error" and not isinstance(error, NoAnswer):  # else it failed just now, and says why when asked again
                    raise
                if address not in self.signs_of_life:
                    raise WorkerGone(f"the worker at {address} went away before it answered") from None
