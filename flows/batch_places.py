"""How the places of a batch's jobs go together: who reads what another writes.

    a later job reads what an earlier one writes       it waits for it
    an earlier job reads what a later one writes       a problem: it would see the old product, or half of what is replaced
    two jobs write one place, or one inside another    a problem
    a job reads a place that is missing                a problem, unless an earlier job makes it

Places are compared as `storage.locate` does, however they are spelt.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from storage import Location, locate


@dataclass(frozen=True)
class Places:
    """Where one job reads and writes."""

    inputs: dict[str, str]
    """By field: a, b, add."""
    out: str | None
    """None where the job does not say, which is its own problem."""


@dataclass(frozen=True)
class Tie:
    """What one job's places mean for its turn."""

    needs: frozenset[int] = frozenset()
    """Earlier jobs, by their place in the file from 0, whose products it reads."""
    problems: tuple[str, ...] = ()
    makers: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """By input that is not on disk: the earlier job that makes it; none where it is a part of what one makes, or not yet made by then."""


@dataclass
class _Book:
    """Locations by path, looked up once; and who writes where."""

    outs: list[Location | None]
    known: dict[str, Location] = field(default_factory=dict[str, Location])

    def locate(self, place: str) -> Location:
        if place not in self.known:
            self.known[place] = locate(place)
        return self.known[place]

    def touching(self, place: Location) -> Iterator[tuple[int, str]]:
        """Jobs that write there, below it or around it, and how."""
        for number, out in enumerate(self.outs):
            if out is None:
                continue
            how = "is" if out.key == place.key else "lies inside" if place.inside(out) else "holds" if out.inside(place) else ""
            if how:
                yield number, how


def tie(jobs: Sequence[Places], missing: Callable[[str], str]) -> list[Tie]:
    """For each job whom it waits for and what is wrong; `missing` says why an input cannot be read, empty where it can."""
    book = _Book([None if job.out is None else locate(job.out) for job in jobs])
    return [_tie(book, jobs, number, missing) for number in range(len(jobs))]


def _tie(book: _Book, jobs: Sequence[Places], number: int, missing: Callable[[str], str]) -> Tie:
    needs: set[int] = set()
    problems = list(_rivals(book, jobs, number))
    makers: dict[str, tuple[int, ...]] = {}
    for name, place in jobs[number].inputs.items():
        writers = list(book.touching(book.locate(place)))
        if writers:
            makers[place] = tuple(writer for writer, how in writers if how == "is" and writer < number)
        problems += (_too_early(name, place, number, writer) for writer in writers if writer[0] >= number)
        before = {writer for writer, _ in writers if writer < number}
        needs |= before
        if not writers and (why := missing(place)):
            problems.append(f"{name}: {why}")
    return Tie(frozenset(needs), tuple(problems), makers)


def _rivals(book: _Book, jobs: Sequence[Places], number: int) -> Iterator[str]:
    place, out = jobs[number].out, book.outs[number]
    for other, how in book.touching(out) if out is not None else ():
        if other < number:
            spelt = "" if jobs[other].out == place or how != "is" else f", there spelt {jobs[other].out}"
            yield f"out: {place} {how} the output of job {other + 1}{spelt}: give each its own place"


def _too_early(name: str, place: str, number: int, writer: tuple[int, str]) -> str:
    other, how = writer
    if other == number:
        return f"{name}: {place} {how} the job's own output: choose another place for the result"
    return f"{name}: {place} {how} the output of job {other + 1}, which comes later: put job {other + 1} first"
