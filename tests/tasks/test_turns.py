"""Turns with a worker's buffers: who stops a run frees them, and never under a tile's hands."""

import threading

import pytest

from tasks import remote, turns
from tasks.turns import Turns


@pytest.fixture
def freed(monkeypatch):
    """Which threads freed the buffers."""
    threads = list[int]()
    monkeypatch.setattr(turns, "release", lambda: threads.append(threading.get_ident()))
    return threads


def test_buffers_that_nobody_uses_are_freed_at_once(freed):
    Turns().free()
    assert freed == [threading.get_ident()]


def test_who_computes_frees_them_at_the_end(freed):
    made = Turns()
    with made:
        other = threading.Thread(target=made.free)
        other.start()
        other.join(30)
        assert not other.is_alive()
        assert freed == []
    assert freed == [threading.get_ident()]
    with made:
        pass
    assert len(freed) == 1


def test_a_tile_that_fails_frees_them_too(freed):
    made = Turns()
    with pytest.raises(OSError, match="no room"), made:
        made.free()
        raise OSError("no room")
    assert len(freed) == 1


def test_who_wants_them_freed_may_come_at_any_time(freed):
    """Of many turns and as many requests from another thread, none is forgotten."""
    made, done = Turns(), threading.Event()

    def ask():
        for _ in range(500):
            made.free()
        done.set()

    asking = threading.Thread(target=ask)
    asking.start()
    while not done.is_set():
        with made:
            pass
    asking.join(30)
    assert freed
    assert not made._unwanted.is_set()


def test_a_driver_frees_them_in_turn(freed):
    with turns.ONE_AT_A_TIME:
        remote.release()
        assert freed == []
    assert len(freed) == 1
