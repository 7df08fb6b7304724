"""Sending a tile to the workers: one Dask task, or one for each part of it and one that adds them up.

A preference for a worker is never a must: Dask gives a task to another one when that one is gone.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar, cast

from distributed import CancelledError, Client, Future, as_completed

from tasks.in_time import NoAnswer, Question
from tasks.outcome import Measurement, Part
from tasks.recipe import Recipe
from tasks.remote import compute_part, compute_tile, finish_tile
from tasks.short_logs import as_one_span
from tasks.walk import Tile

_T = TypeVar("_T")

WAIT_SECONDS = 0.1
"""How long nothing is looked at while no tile lands; one that lands ends the wait."""
RECORD_SECONDS = 1.0
"""How long a record is waited for before it is looked whether the tile was taken back."""


@dataclass(frozen=True)
class Errand:
    """A tile to compute."""

    recipe: Recipe
    tile: Tile
    attempt: int
    """0 the first time."""


@dataclass(frozen=True)
class Flight:
    """A tile that is out."""

    future: "Future[Measurement]"
    parts: "tuple[Future[Part], ...]"
    """Its parts; none where it is one task."""
    index: int
    """Its place in the walk."""
    worker: str
    """For whom it was meant."""


class Air:
    """The tiles that are out."""

    def __init__(self, client: Client, priority: int = 0) -> None:
        """`priority`: what waits on a worker is taken in this order, highest first, whichever run sent it."""
        self._client, self._priority = client, priority
        self._flights: dict[object, Flight] = {}
        """By the future's key."""
        self._parts: dict[object, tuple[int, int]] = {}
        """Tile and number of a part, by the future's key."""
        self._completed = as_completed(loop=client.loop)
        self.load = Counter[str]()
        """Tiles by worker."""

    def send(self, errand: Errand, workers: Sequence[str]) -> None:
        """Submit a tile, meant for the first of these workers; its parts for all of them in turn."""
        flight = self._submitted(errand, workers)
        self._flights[flight.future.key] = flight
        self._parts |= {future.key: (flight.index, part) for part, future in enumerate(flight.parts)}
        self.load[flight.worker] += 1
        self._completed.update([*flight.parts, flight.future])

    def landing(self, part_landed: Callable[[int, int], None], waiting: Callable[[], None]) -> Iterator[Flight]:
        """Tiles as they are finished, until none is out.

        Of a part that is done tile and number are only told, and `waiting` is called ten times a second while nothing is.
        """
        while not self._completed.is_empty():
            if not self._completed.has_ready():
                with self._completed.thread_condition:
                    self._completed.thread_condition.wait(WAIT_SECONDS)
                waiting()
                continue
            future = next(self._completed)
            if flight := self._flights.get(future.key):
                yield flight
            elif part := self._parts.pop(future.key, None):
                part_landed(*part)

    def record(self, flight: Flight) -> Measurement:
        """What a tile that landed says of itself. Raises what its tasks raised, and CancelledError where it was taken back.

        The record is fetched through the scheduler. One that is stopped just then never hands it over: whoever notices takes the tile back.
        """
        asked = Question(self._client.loop, lambda: cast("Awaitable[Measurement]", flight.future.result()))
        try:
            while True:
                with suppress(NoAnswer):
                    return asked.answer(RECORD_SECONDS)
                if flight.future.cancelled():
                    raise CancelledError(flight.future.key)
        finally:
            asked.drop()

    def over(self, flight: Flight) -> None:
        """Forget a tile, and let the workers forget it."""
        del self._flights[flight.future.key]
        self.load[flight.worker] -= 1
        flight.future.release()

    def cancel(self) -> None:
        """Take back what is out; parts go with the tile that nobody wants any more."""
        self._client.cancel([flight.future for flight in list(self._flights.values())])

    def _submitted(self, errand: Errand, workers: Sequence[str]) -> Flight:
        recipe, tile, attempt = errand.recipe, errand.tile, errand.attempt
        if recipe.parts == 1:
            return Flight(self._submit(workers[0], compute_tile, recipe, tile, attempt), (), tile.index, workers[0])
        crew = [workers[part % len(workers)] for part in range(recipe.parts)]
        parts = tuple(self._submit(worker, compute_part, recipe, tile, part, attempt) for part, worker in enumerate(crew))
        return Flight(self._submit(workers[0], finish_tile, recipe, tile, attempt, *parts), parts, tile.index, workers[0])

    def _submit(self, worker: str, function: Callable[..., _T], *arguments: object) -> "Future[_T]":
        with as_one_span():
            return self._client.submit(
                function, *arguments, workers=[worker], allow_other_workers=True, priority=self._priority, pure=False, retries=0
            )
