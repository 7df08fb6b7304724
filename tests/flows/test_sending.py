import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar

from flows import sending
from flows.sending import SETTLE_SECONDS, Sender, ended_senders


class Gate:
    """A message that waits until it may go, and remembers what went."""

    def __init__(self) -> None:
        self.open, self.reached, self.sent = threading.Event(), threading.Event(), []

    def message(self, name: str):
        def send() -> None:
            self.reached.set()
            self.open.wait(30)
            self.sent.append(name)

        return send


def test_only_the_newest_of_a_kind_waits() -> None:
    gate, sender = Gate(), Sender()
    sender.send("plan", gate.message("plan"))
    assert gate.reached.wait(10)
    for number in range(50):
        sender.send("progress", gate.message(f"progress {number}"))
    sender.send("report", gate.message("report"))
    gate.open.set()
    sender.settle(10)
    assert gate.sent == ["plan", "progress 49", "report"]


def test_everything_comes_from_one_daemon_thread_in_the_context_of_the_caller() -> None:
    where, threads, seen = ContextVar("where", default="nowhere"), [], []
    sender = Sender()
    for place in ("flow", "task"):
        where.set(place)
        sender.send(place, lambda: (threads.append(threading.current_thread()), seen.append(where.get())))
        sender.settle(10) if place == "task" else None
    assert seen == ["flow", "task"]
    assert all(thread.daemon and thread is not threading.main_thread() for thread in threads)


def test_what_fails_is_tried_again_until_it_goes_and_only_the_newest(monkeypatch) -> None:
    monkeypatch.setattr(sending, "PAUSE_SECONDS", 0.01)
    away, tries, sent, sender = threading.Event(), [], [], Sender()
    away.set()

    def message(name: str):
        def send() -> None:
            tries.append(name)
            if away.is_set():
                raise ConnectionError("gone")
            sent.append(name)

        return send

    for name in ("plan", "progress 1", "progress 2"):
        sender.send(name.partition(" ")[0], message(name))
    while tries.count("plan") < 3:
        time.sleep(0.01)
    away.clear()
    sender.settle(10)
    assert sent == ["plan", "progress 2"]


def test_a_server_that_is_away_is_asked_once_more_at_the_end_and_not_waited_for() -> None:
    tries, started = [], time.monotonic()

    def fail() -> None:
        tries.append(1)
        raise ConnectionError("gone")

    with ended_senders():
        sender = Sender()
        sender.send("plan", fail)
        while not tries:
            time.sleep(0.01)
        sender.settle(10)
    assert time.monotonic() - started < 1
    count = len(tries)
    sender.send("report", fail)
    time.sleep(1.2)
    assert len(tries) == count and count <= 4


def test_each_try_has_its_frame() -> None:
    entered = []

    @contextmanager
    def attempt():
        entered.append(1)
        yield

    sender = Sender(attempt)
    sender.send("plan", lambda: None)
    sender.send("report", lambda: None)
    sender.settle(10)
    assert len(entered) == 2


def test_what_hangs_is_given_up() -> None:
    gate, sender = Gate(), Sender()
    sender.send("progress", gate.message("progress"))
    assert gate.reached.wait(10)
    sender.send("report", gate.message("report"))
    started = time.monotonic()
    sender.end(0.1)
    assert time.monotonic() - started < 2
    gate.open.set()
    sender.settle(10)
    assert gate.sent == ["progress"]


def test_the_end_of_a_run_waits_two_seconds_at_most() -> None:
    assert SETTLE_SECONDS <= 2
