"""What the driver sends to workers, without loading what only workers need: torch takes a second and 200 MiB."""

from collections.abc import Sequence

from tasks.metrics import counted
from tasks.outcome import Measurement, Part
from tasks.recipe import Recipe
from tasks.walk import Tile
from tasks.worker_rates import WorkerRates


def compute_tile(recipe: Recipe, tile: Tile, attempt: int = 0) -> Measurement:
    """`tasks.tile.compute_tile`, imported where it runs."""
    from tasks import tile as work  # noqa: PLC0415

    return counted(work.compute_tile(recipe, tile, attempt))


def compute_part(recipe: Recipe, tile: Tile, part: int, attempt: int = 0) -> Part:
    """`tasks.parts.compute_part`, imported where it runs."""
    from tasks import parts as work  # noqa: PLC0415

    return work.compute_part(recipe, tile, part, attempt)


def finish_tile(recipe: Recipe, tile: Tile, attempt: int, *partials: Part) -> Measurement:
    """`tasks.parts.finish_tile`, imported where it runs."""
    from tasks import parts as work  # noqa: PLC0415

    return counted(work.finish_tile(recipe, tile, attempt, *partials))


def measure_worker(device: str, folder: str) -> WorkerRates:
    """`tasks.rates.measure_worker`, imported where it runs."""
    from tasks import rates  # noqa: PLC0415

    return rates.measure_worker(device, folder)


def measure_threads(alone: WorkerRates, device: str, folder: str) -> WorkerRates:
    """`tasks.rates.measure_threads`, imported where it runs."""
    from tasks import rates  # noqa: PLC0415

    return rates.measure_threads(alone, device, folder)


def wrong_kernels(keys: Sequence[tuple[str, str, str]]) -> tuple[str, ...]:
    """`tasks.selftest.wrong_kernels`, imported where it runs."""
    from tasks import selftest  # noqa: PLC0415

    return selftest.wrong_kernels(keys)


def nothing() -> None:
    """What is timed to know what a task costs."""


def release() -> None:
    """Free this worker's buffers, once it computes no tile: `tasks.turns.Turns.free`, imported where it runs."""
    from tasks.turns import ONE_AT_A_TIME  # noqa: PLC0415

    ONE_AT_A_TIME.free()
