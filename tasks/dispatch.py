"""Sending a tile to the workers: one Dask task, or one for each part of it and one that adds them up.

A preference for a worker is never a must: Dask gives a task to another one when that one is gone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from distributed import Client, Future

from tasks.outcome import Measurement, Part
from tasks.recipe import Recipe
from tasks.remote import compute_part, compute_tile, finish_tile
from tasks.walk import Tile

_T = TypeVar("_T")


@dataclass(frozen=True)
class Errand:
    """A tile to compute."""

    recipe: Recipe
    tile: Tile
    attempt: int
    """0 the first time."""


@dataclass(frozen=True)
class Sent:
    """A tile that is out."""

    future: "Future[Measurement]"
    parts: "tuple[Future[Part], ...]" = ()
    """Its parts; none where it is one task."""


def send(client: Client, errand: Errand, workers: Sequence[str]) -> Sent:
    """Submit a tile, meant for the first of these workers; its parts for all of them in turn."""
    if errand.recipe.parts == 1:
        return Sent(_submit(client, workers[0], compute_tile, errand.recipe, errand.tile, errand.attempt))
    parts = tuple(
        _submit(client, workers[part % len(workers)], compute_part, errand.recipe, errand.tile, part, errand.attempt)
        for part in range(errand.recipe.parts)
    )
    return Sent(_submit(client, workers[0], finish_tile, errand.recipe, errand.tile, errand.attempt, *parts), parts)


def _submit(client: Client, worker: str, function: Callable[..., _T], *arguments: object) -> "Future[_T]":
    return client.submit(function, *arguments, workers=[worker], allow_other_workers=True, pure=False, retries=0)
