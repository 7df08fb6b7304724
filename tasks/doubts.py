"""Tiles in doubt and the workers that computed them: what a driver does with a tile that does not look right.

    refused     outside its a priori bound: never taken
    alarmed     stands out (`tasks.alarm`): taken back
    missed      sound, but not as exact as asked (`tasks.proof`): if another worker's misses, too, the arithmetic is to blame

Each is computed again, elsewhere if there is an elsewhere, and then

    same values, or on another worker   that is what the data give: accepted, and its level raised
    by other bits the same finding
    nothing of it                       accepted, and who computed it before computed it wrong
    something else                      once more, MOST_TIMES in all

A worker with MOST_WRONG wrong tiles is retired. At most one alarmed tile is in doubt at a time, for its answer says what others of
its kind are; when it is answered, and again at the end of the run, all tiles are looked at in the light of all others.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from tasks.alarm import Alarm, Yard, alarms, alike, cleared, raised, same_values, usual
from tasks.errors import NotCertified
from tasks.outcome import Measurement, Retired
from tasks.proof import MOST_TIMES

MOST_WRONG = 2
"""Wrong tiles after which a worker gets no more."""

GROWTH = 8
"""The usual tile is found anew whenever the landed ones have grown by one in so many."""


@dataclass(frozen=True)
class Question:
    """A tile in doubt."""

    seen: tuple[Measurement, ...]
    """Its computations so far."""
    alarms: tuple[Alarm, ...] = ()
    """What made it stand out; empty where it was refused, or missed what was asked."""


class Doubts:
    """The state of one run's doubts."""

    def __init__(self, yard: Yard, resumed: Iterable[Measurement] = ()) -> None:
        tiles = list(resumed)
        self._yard = replace(yard, references=usual(tiles))
        self._questions: dict[int, Question] = {}
        self._settled: set[int] = set()
        self._landed, self._known, self._due = list(tiles), len(tiles), False
        self._wrong: dict[str, list[int]] = {}
        for tile in tiles:
            if tile.confirmed:
                self._settle(tile)

    @property
    def retired(self) -> tuple[Retired, ...]:
        """Workers that computed too many tiles wrong."""
        return tuple(
            Retired(worker, urlsplit(worker).hostname or "", tuple(wrong))
            for worker, wrong in self._wrong.items()
            if len(wrong) >= MOST_WRONG
        )

    def fit(self, workers: Iterable[str]) -> list[str]:
        """Those of the workers that are not retired."""
        retired = {one.worker for one in self.retired}
        return [worker for worker in workers if worker not in retired]

    def next_for(self, index: int, fit: list[str]) -> str:
        """Which of these workers, at least one, should compute a tile again: one that did not yet, if there is one."""
        question = self._questions.get(index)
        before = {tile.worker for tile in question.seen} if question else set[str]()
        others = [worker for worker in fit if worker not in before] or fit
        return others[index % len(others)]

    def hear(self, tile: Measurement) -> Measurement | None:
        """The record to keep of a tile that landed; None where it must be computed again.

        Raises NotCertified for a tile that is refused twice, or never the same.
        """
        question = self._questions.get(tile.index)
        if not self.fit([tile.worker]):
            return None
        if question is not None:
            return self._answered(question, tile)
        if not tile.accepted:
            self._questions[tile.index] = Question((tile,))
            return None
        return self._heard(tile)

    def confirms_miss(self, tile: Measurement) -> bool:
        """Whether a tile misses what was asked, as it did when another worker, if there is one, computed it: the arithmetic is to blame."""
        question = self._questions.get(tile.index) if self.fit([tile.worker]) else None
        confirmed = tile.verdict == "missed" and question is not None and any(seen.verdict == "missed" for seen in question.seen)
        if confirmed:
            del self._questions[tile.index]
        return confirmed

    def suspect(self, tile: Measurement | None, done: Mapping[int, Measurement], over: bool) -> Measurement | None:
        """The tile to take back now, and to compute again: the one that just landed, or when it is time any of those done.

        `over` says that there are no others to come. From now on the tile is in doubt.
        """
        if any(question.alarms for question in self._questions.values()):
            return None
        candidates: Collection[Measurement] = (tile,) if tile else ()
        if over or self._due:
            self._due, candidates = False, done.values()
            self._yard = replace(self._yard, references=usual(candidates))
        found = [(one, seen) for one in candidates if self._standing(one, done) and (seen := alarms(one, self._yard))]
        if not found:
            return None
        worst, seen = max(found, key=lambda pair: max(alarm.excess for alarm in pair[1]))
        self._questions[worst.index] = Question((worst,), seen)
        return worst

    def _standing(self, tile: Measurement, done: Mapping[int, Measurement]) -> bool:
        return tile.index in done and tile.index not in self._settled

    def _heard(self, tile: Measurement) -> Measurement:
        self._landed.append(tile)
        if len(self._landed) * GROWTH >= self._known * (GROWTH + 1):
            self._known, self._yard = len(self._landed), replace(self._yard, references=usual(self._landed))
        return tile

    def _answered(self, question: Question, tile: Measurement) -> Measurement | None:
        same = [seen for seen in question.seen if same_values(seen, tile)]
        clean = tile.accepted and not same and cleared(tile, question.alarms, self._yard)
        if not same and not clean:
            same = [seen for seen in question.seen if seen.worker != tile.worker and alike(seen, tile, self._yard)]
        if not same and not clean:
            return self._ask_again(question, tile)
        del self._questions[tile.index]
        self._due = True
        self._blame(seen for seen in question.seen if seen not in same)
        if same:
            tile = replace(tile, confirmed=True)
            self._settle(tile, question.alarms)
        return self._heard(tile)

    def _ask_again(self, question: Question, tile: Measurement) -> None:
        refused = [seen for seen in (*question.seen, tile) if seen.verdict == "refused"]
        place = f"tile {tile.index} (row {tile.row}, column {tile.col})"
        if len(refused) > 1:
            raise NotCertified(
                f"{place} is {tile.worst:.3g} times outside its bound, "
                f"computed by {refused[0].worker} and again by {tile.worker}: check this hardware"
            )
        if len(question.seen) + 1 >= MOST_TIMES:
            workers = ", ".join(sorted({seen.worker for seen in (*question.seen, tile)}))
            raise NotCertified(f"{place} was computed {MOST_TIMES} times, never the same, by {workers}: check this hardware")
        self._questions[tile.index] = replace(question, seen=(*question.seen, tile))

    def _settle(self, tile: Measurement, found: Iterable[Alarm] = ()) -> None:
        self._settled.add(tile.index)
        self._yard = raised(self._yard, (*found, *alarms(tile, self._yard)))

    def _blame(self, wrong: Iterable[Measurement]) -> None:
        for tile in wrong:
            self._wrong.setdefault(tile.worker, []).append(tile.index)
