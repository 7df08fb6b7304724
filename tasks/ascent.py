"""Which arithmetic each tile is computed in, where a tile has to prove its error: as cheap as the data allow.

    pilots, the first tile of each worker's run, are computed in the planned arithmetic, and nothing else until all are back
    half of them miss what was asked  ->  every other tile starts one rung up
    a tile that misses                ->  is computed again, one rung up

Verdicts belong to tiles and probes, not to the moment or to the workers alive, so a run that was killed and resumed takes the same
arithmetics as one that was not.
"""

from collections.abc import Iterable

from tasks.errors import NotCertified
from tasks.outcome import Measurement
from tasks.plan import Plan
from tasks.recipe import Recipe, on_rung, walk_of


class Ascent:
    """The rungs of one run."""

    def __init__(self, plan: Plan, recipe: Recipe, done: Iterable[Measurement]) -> None:
        self.plan = plan
        self.recipes = tuple(on_rung(recipe, plan, rung) if rung else recipe for rung in range(len(plan.rungs)))
        self.base = 0
        self._at = {tile.index: tile.rung for tile in done if tile.rung}
        """Rungs of tiles that do not start where the others do."""

    @property
    def pilots(self) -> frozenset[int]:
        """Tiles that are computed first; none where the arithmetic certifies what was asked."""
        if len(self.plan.rungs) == 1:
            return frozenset()
        return frozenset(run.start for run in walk_of(self.plan).runs(self.plan.workers) if run)

    def settle(self) -> None:
        """All pilots are back: decide where the other tiles start."""
        pilots = self.pilots
        if pilots and 2 * sum(self._at.get(index, 0) > 0 for index in pilots) >= len(pilots):
            self.base = 1

    def recipe(self, index: int) -> Recipe:
        """How this tile is computed now."""
        return self.recipes[self._at.get(index, self.base)]

    def missed(self, tile: Measurement) -> None:
        """Book a miss; raises NotCertified where there is no better arithmetic."""
        above = tile.rung + 1
        if above == len(self.recipes):
            last = self.plan.rungs[-1].arithmetic
            asked = any(choice.verdict == f"{last} was asked for" for choice in self.plan.choices)
            why = f"all that --precision {last} allows" if asked else "the best that there is"
            raise NotCertified(
                f"tile {tile.index} (row {tile.row}, column {tile.col}) misses max-error {self.plan.max_error:.3g}: {tile.error:.3g} is "
                f"measured in {last}, {why}; ask for that"
            )
        self._at[tile.index] = above

    def climbed(self, tiles: Iterable[Measurement]) -> int:
        """How many of these tiles missed on the rung where they started."""
        pilots = self.pilots
        return sum(tile.rung > (0 if tile.index in pilots else self.base) for tile in tiles)

    def repeat(self, tile: Measurement) -> None:
        """Let a tile that landed be computed again as it was."""
        self._at[tile.index] = tile.rung
