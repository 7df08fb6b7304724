"""Who may get tiles: those of the plan, newcomers that pass, spares for those that leave; silence ends it."""

from types import SimpleNamespace

import pytest

from tasks import roster as module
from tasks.errors import ClusterMismatch
from tasks.roster import Roster, most_workers


class Crowd:
    """A cluster whose workers a test names."""

    def __init__(self, *workers: str) -> None:
        self.signs_of_life: dict[str, float] = dict.fromkeys(workers, 0.0)
        self.dropped: list[str] = []

    @property
    def workers(self) -> tuple[str, ...]:
        return tuple(sorted(self.signs_of_life))

    def among(self, workers: list[str]) -> SimpleNamespace:
        return SimpleNamespace(workers=tuple(workers))

    def drop(self, worker: str, seconds: float) -> None:
        self.dropped.append(worker)
        self.signs_of_life.pop(worker)

    def breathe(self, *workers: str) -> None:
        for worker in workers or self.workers:
            self.signs_of_life[worker] += 1.0


def roster(crowd: Crowd, planned: int, most: int, strangers: tuple[str, ...] = ()) -> Roster:
    def greet(some: SimpleNamespace) -> None:
        if some.workers[0] in strangers:
            raise ClusterMismatch(f"worker {some.workers[0]} runs other code")

    return Roster(crowd, (planned, most), greet)


def test_a_newcomer_is_told_once_and_gets_tiles() -> None:
    crowd = Crowd("a")
    found = roster(crowd, 1, 3)
    assert found.look() == ("a",) and found.arrived() == []
    crowd.signs_of_life["b"] = 0.0
    assert found.look() == ("a", "b")
    assert (found.arrived(), found.arrived(), found.workers, found.joined) == (["b"], [], ("a", "b"), 1)


def test_who_leaves_is_left_out_and_may_come_back() -> None:
    crowd = Crowd("a", "b")
    found = roster(crowd, 2, 2)
    del crowd.signs_of_life["b"]
    found.look()
    assert found.workers == ("a",)
    crowd.signs_of_life["b"] = 9.0
    found.look()
    assert found.workers == ("a", "b") and found.arrived() == ["b"]


def test_there_are_never_more_than_the_budget_is_for() -> None:
    crowd = Crowd("a", "b")
    found = roster(crowd, 2, 3)
    crowd.signs_of_life |= {"c": 0.0, "d": 0.0}
    found.look()
    assert found.workers == ("a", "b", "c")


def test_a_spare_waits_until_somebody_leaves() -> None:
    crowd = Crowd("a", "b", "c")
    found = roster(crowd, 2, 5)
    found.look()
    assert found.workers == ("a", "b") and not found.arrived()
    del crowd.signs_of_life["a"]
    found.look()
    assert found.workers == ("b", "c") and found.arrived() == ["c"]


def test_a_stranger_is_asked_once_and_named() -> None:
    crowd = Crowd("a")
    found = roster(crowd, 1, 3, strangers=("x",))
    crowd.signs_of_life["x"] = 0.0
    found.look()
    found.look()
    assert found.workers == ("a",) and found.refused == {"x": "worker x runs other code"} and not found.arrived()


def test_silence_counts_from_the_last_sign_whatever_the_clocks_say(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    crowd = Crowd("a", "b")
    found = roster(crowd, 2, 2)
    found.look()
    crowd.signs_of_life["a"] = -5e9  # its scheduler's clock jumped
    for _ in range(3):
        now[0] += module.HUNG_SECONDS / 2
        crowd.breathe("a")
        found.look()
    assert crowd.dropped == ["b"] and found.workers == ("a",)


def test_what_cannot_be_dropped_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    crowd, tried = Crowd("a"), list[str]()

    def fail(worker: str, seconds: float) -> None:
        tried.append(worker)
        raise TimeoutError

    monkeypatch.setattr(crowd, "drop", fail)
    found = roster(crowd, 1, 1)
    found.look()
    now[0] += module.HUNG_SECONDS + 1
    assert [found.look() for _ in range(2)] == [("a",), ("a",)] and tried == ["a", "a"]


@pytest.mark.parametrize(
    ("asked", "limit", "peak", "most"), [(None, 100, 50, 4), (None, 100, 100, 2), (2, 100, 10, 2), (None, 120, 50, 4), (None, 90, 100, 2)]
)
def test_more_workers_than_planned_only_where_memory_and_the_caller_allow(asked: int | None, limit: int, peak: int, most: int) -> None:
    plan = SimpleNamespace(workers=2, memory_limit=limit, predicted=SimpleNamespace(peak_memory_bytes=peak))
    assert most_workers(plan, asked) == most
