"""What the driver sends to workers, without loading what only workers need: torch takes a second and 200 MiB."""

from tasks.outcome import Measurement
from tasks.recipe import Recipe
from tasks.walk import Tile


def compute_tile(recipe: Recipe, tile: Tile, attempt: int = 0) -> Measurement:
    """`tasks.tile.compute_tile`, imported where it runs."""
    from tasks import tile as work  # noqa: PLC0415

    return work.compute_tile(recipe, tile, attempt)


def release() -> None:
    """`tasks.workspace.release`, imported where it runs."""
    from tasks import workspace  # noqa: PLC0415

    workspace.release()
