"""Which files a tile fills: its own, and those of its mirror image, where a symmetric product is stored full.

  j               A tile (i, j) below the diagonal is written a second time, turned, to (j, i): part by part, each a view of
. T'  j           the accumulator that storage copies into its own chunk buffer. Of a triangle the files wholly above the
T .   i           diagonal are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from storage import OutputSpec
from tasks.walk import Tile, Walk

Span = tuple[int, int]


@dataclass(frozen=True)
class Place:
    """One file of a tile."""

    origin: tuple[int, int]
    """Row and column of its first element in C."""
    rows: Span
    """In the tile's own numbering, turned where it is."""
    cols: Span
    turned: bool

    def part(self, accumulator: torch.Tensor) -> torch.Tensor:
        """What goes into it: a view of the tile."""
        return (accumulator.T if self.turned else accumulator)[slice(*self.rows), slice(*self.cols)]

    @property
    def elements(self) -> int:
        """How many it holds of the tile."""
        return (self.rows[1] - self.rows[0]) * (self.cols[1] - self.cols[0])


def places(walk: Walk, spec: OutputSpec, tile: Tile) -> Iterator[Place]:
    """The files that a tile fills, its own first."""
    (height, width), (top, left) = spec.objects, (tile.rows[0], tile.cols[0])
    for rows, cols in cuts(tile, spec.objects):
        if spec.holds((top + rows[0]) // height, (left + cols[0]) // width):
            yield Place((top + rows[0], left + cols[0]), rows, cols, turned=False)
    if walk.copies(tile.row, tile.col) > 1 and not spec.lower:
        for rows, cols in cuts(replace(tile, rows=tile.cols, cols=tile.rows), spec.objects):
            yield Place((left + rows[0], top + cols[0]), rows, cols, turned=True)


def written_elements(walk: Walk, spec: OutputSpec, tile: Tile) -> int:
    """Elements of C that a tile fills."""
    return sum(place.elements for place in places(walk, spec, tile))


def cuts(tile: Tile, edges: tuple[int, int]) -> Iterator[tuple[Span, Span]]:
    """The tile's chunks or shards, in its own numbering."""
    height, width = edges
    rows, cols = tile.rows[1] - tile.rows[0], tile.cols[1] - tile.cols[0]
    for top in range(0, rows, height):
        for left in range(0, cols, width):
            yield (top, min(top + height, rows)), (left, min(left + width, cols))
