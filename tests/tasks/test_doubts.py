"""What becomes of tiles in doubt, and of the workers that computed them."""

from dataclasses import replace

import pytest

from storage import ChunkRecord
from tasks.alarm import Yard
from tasks.doubts import MOST_TIMES, Doubts
from tasks.errors import NotCertified
from tasks.outcome import Measurement
from tests.tasks.test_outcome import measurement

A, B, C = (f"tcp://10.0.0.{number}:4000" for number in (1, 2, 3))
YARD = Yard(10, (1e-14,))


def tile(index=0, worker=A, values="00", **changes) -> Measurement:
    chunks = (ChunkRecord(f"c/{index}/0", 10, 1, "ab" * 32, values * 16),)
    made = {"rows": 512, "typical": 1e-8, "outlier": 2.5, "outlier_single": 4.0, "chunks": chunks}
    return measurement(index=index, worker=worker, **(made | changes))


def wrong(index=0, worker=A, **changes) -> Measurement:
    return tile(index, worker, "ff", **({"outlier": 40.0} | changes))


def refused(index=0, worker=A) -> Measurement:
    return tile(index, worker, worst=3.0, chunks=(), rows=0)


class Driver:
    """What tasks.run does, without a cluster."""

    def __init__(self, *resumed: Measurement) -> None:
        self.doubts, self.done = Doubts(YARD, resumed), {one.index: one for one in resumed}

    def lands(self, landed: Measurement, over: bool = False) -> int | None:
        """Returns the tile that is to be computed again."""
        record = self.doubts.hear(landed)
        if record is not None:
            self.done[record.index] = record
        suspect = self.doubts.suspect(record, self.done, over)
        if suspect is not None:
            del self.done[suspect.index]
        return suspect.index if suspect else None if record else landed.index

    @property
    def retired(self) -> list[str]:
        return [one.worker for one in self.doubts.retired]


def test_what_shows_nothing_the_second_time_was_wrong():
    run = Driver()
    assert run.lands(wrong()) == 0 and run.done == {}
    assert run.lands(tile(worker=B)) is None
    assert run.done == {0: tile(worker=B)} and run.retired == []
    assert run.lands(wrong(1)) == 1
    assert run.lands(tile(1, B)) is None
    assert [(one.worker, one.host, one.tiles) for one in run.doubts.retired] == [(A, "10.0.0.1", (0, 1))]
    assert run.doubts.fit([A, B]) == [B]
    assert run.lands(tile(2, A)) == 2, "nothing of a retired worker is taken"
    assert run.lands(tile(2, B)) is None


def test_the_same_values_again_are_the_datas_and_their_kind_is_known():
    run = Driver()
    assert run.lands(wrong(outlier=40.0)) == 0
    assert run.lands(wrong(worker=B, outlier=40.0)) is None
    assert run.done[0].confirmed
    assert run.lands(wrong(1, outlier=40.0)) == 1, "with two tiles there is a usual one, from which it stands out too"
    assert run.lands(wrong(1, worker=B, outlier=40.0)) is None
    assert run.lands(wrong(2, outlier=100.0), over=True) is None, "not much worse than what was found sound"
    assert run.lands(wrong(3, outlier=200.0)) == 3
    assert run.lands(wrong(3, worker=B, outlier=200.0)) is None
    assert run.retired == []


def test_other_values_that_stand_out_by_the_same_are_the_datas_too():
    """Another processor rounds otherwise."""
    run = Driver()
    assert run.lands(wrong(outlier=40.0)) == 0
    assert run.lands(tile(worker=B, outlier=45.0)) is None
    assert run.done[0].confirmed and run.retired == []


def test_two_that_differ_need_a_third():
    run = Driver()
    for index, size in ((0, 40.0), (1, 400.0)):
        assert run.lands(wrong(index, outlier=size)) == index
        assert run.lands(wrong(index, B, outlier=9 * size, chunks=tile(values="ee").chunks)) == index
        assert run.lands(wrong(index, C, outlier=size)) is None
        assert run.done[index].confirmed
    assert run.retired == [B]


def test_one_worker_owes_the_same_values():
    run = Driver()
    assert run.lands(wrong(outlier=40.0)) == 0
    assert run.lands(wrong(outlier=41.0, chunks=tile(values="ee").chunks)) == 0
    assert run.lands(wrong(outlier=41.0, chunks=tile(values="ee").chunks)) is None


def test_a_tile_that_is_never_the_same_ends_the_run():
    run = Driver()
    for time in range(MOST_TIMES - 1):
        assert run.lands(wrong(worker=(A, B, C)[time], outlier=40.0 * 9**time, chunks=tile(values=f"{time}a").chunks)) == 0
    with pytest.raises(NotCertified, match=rf"computed {MOST_TIMES} times, never the same, by {A}, {B}, {C}: check this hardware"):
        run.lands(wrong(outlier=1e9, chunks=tile(values="dd").chunks))


def test_a_refused_tile_counts_against_its_worker_once_another_is_taken():
    run = Driver()
    for index in (0, 1):
        assert run.lands(refused(index)) == index
        assert run.lands(tile(index, B)) is None
    assert run.retired == [A]


def test_a_tile_that_is_refused_twice_ends_the_run():
    run = Driver()
    run.lands(refused())
    with pytest.raises(NotCertified, match=rf"tile 0 \(row 0, column 0\) is 3 times outside its bound, computed by {A} and again by {B}"):
        run.lands(refused(worker=B))


def test_who_computes_again_did_not_before_if_there_is_such_a_one():
    run = Driver()
    run.lands(wrong())
    assert {run.doubts.next_for(0, [A, B])} == {B}
    assert run.doubts.next_for(0, [A]) == A
    assert run.doubts.next_for(5, [A, B, C]) == C, "nobody had it"


def test_one_alarm_at_a_time_and_the_others_are_looked_at_when_it_is_answered():
    run = Driver()
    assert run.lands(wrong(0)) == 0
    assert run.lands(wrong(1)) is None and 1 in run.done
    assert run.lands(tile(0, B)) == 1, "the answer does not excuse the other"
    assert run.lands(tile(1, B)) is None


def test_a_spoilt_first_tile_is_found_when_there_are_others():
    run = Driver()
    spoilt = tile(0, typical=1e-6)
    assert run.lands(spoilt) is None
    assert [run.lands(tile(index, B)) for index in range(1, 5)] == [None] * 4
    assert run.lands(tile(5, B), over=True) == 0
    assert run.lands(tile(0, B), over=True) is None


def test_half_of_the_tiles_being_of_another_kind_costs_one_alarm_a_kind():
    run, alarms = Driver(), 0
    for index in range(40):
        landed = tile(index, typical=1e-7 if index % 3 == 0 else 1e-9)
        again = run.lands(landed, over=index == 39)
        while again is not None:
            alarms += 1
            record = next(one for one in (landed, *[tile(again, typical=1e-7)]) if one.index == again)
            again = run.lands(replace(record, worker=B), over=index == 39)
    assert alarms <= 2 and len(run.done) == 40 and run.retired == []


def test_a_resumed_run_knows_what_was_confirmed():
    spread = [tile(index) for index in range(1, 9)]
    run = Driver(replace(tile(0, typical=1e-5), confirmed=True), *spread)
    assert run.doubts.suspect(None, run.done, over=True) is None
    assert run.lands(tile(9, typical=1e-5)) is None
    unknown = Driver(tile(0, typical=1e-5), *spread)
    suspect = unknown.doubts.suspect(None, unknown.done, over=True)
    assert suspect is not None and suspect.index == 0


def test_a_miss_counts_against_the_arithmetic_when_another_worker_that_may_compute_confirms_it():
    doubts = Doubts(YARD)
    missed = {"missed": True, "error": 1.0, "chunks": ()}
    for index in (1, 2):
        assert doubts.hear(refused(index, A)) is None
        assert doubts.hear(tile(index, B)) is not None
    assert [one.worker for one in doubts.retired] == [A]
    assert not doubts.confirms_miss(tile(3, B, **missed)) and doubts.hear(tile(3, B, **missed)) is None
    assert not doubts.confirms_miss(tile(3, A, **missed)), "A is retired"
    assert doubts.confirms_miss(tile(3, C, **missed))
    assert not doubts.confirms_miss(tile(3, C, **missed)), "one rung up it is asked anew"
