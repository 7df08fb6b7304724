"""Which job of a batch is next: of those that wait for nobody, the highest priority, then the first in the file.

    priority of a job      its own, or that of the highest job that waits for it
    a job that failed      those that wait for it, and for these, are left out

Pure: it knows numbers, starts nothing, and belongs to one thread at a time.
"""

from collections.abc import Sequence


class Order:
    """The turns of some jobs, each known by its place in the file from 0; every job needs only earlier ones."""

    def __init__(self, priorities: Sequence[int], needs: Sequence[frozenset[int]]) -> None:
        self._needs = [set(needed) for needed in needs]
        self._ranks = _inherited(priorities, needs)
        self._waiting = set(range(len(needs)))

    @property
    def over(self) -> bool:
        """Whether no job is left that could start, now or later."""
        return not self._waiting

    def take(self) -> int | None:
        """The job that starts now; None where all that are left wait for others, or none is left."""
        free = [number for number in self._waiting if not self._needs[number]]
        if not free:
            return None
        number = min(free, key=lambda number: (-self._ranks[number], number))
        self._waiting.remove(number)
        return number

    def done(self, number: int) -> None:
        """A job is done: those that waited for it may go on."""
        for needed in self._needs:
            needed.discard(number)

    def failed(self, number: int) -> tuple[int, ...]:
        """A job failed: takes out, and returns, those that can never start now."""
        lost = {number}
        for other in sorted(self._waiting):
            if self._needs[other] & lost:
                lost.add(other)
        self._waiting -= lost
        return tuple(sorted(lost - {number}))


def _inherited(priorities: Sequence[int], needs: Sequence[frozenset[int]]) -> list[int]:
    ranks = list(priorities)
    for number in reversed(range(len(ranks))):
        for needed in needs[number]:
            ranks[needed] = max(ranks[needed], ranks[number])
    return ranks
