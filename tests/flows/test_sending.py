import threading
import time
from contextvars import ContextVar

from flows.sending import SETTLE_SECONDS, Sender


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


def test_nothing_is_sent_after_a_failure() -> None:
    sent, sender = [], Sender()

    def fail() -> None:
        raise ConnectionError("gone")

    sender.send("plan", fail)
    sender.settle(10)
    sender.send("report", lambda: sent.append("report"))
    started = time.monotonic()
    sender.settle(10)
    assert sent == [] and time.monotonic() - started < 1


def test_what_hangs_is_given_up() -> None:
    gate, sender = Gate(), Sender()
    sender.send("progress", gate.message("progress"))
    started = time.monotonic()
    sender.settle(0.1)
    assert time.monotonic() - started < 2
    sender.send("report", gate.message("report"))
    gate.open.set()
    sender.settle(10)
    assert gate.sent == ["progress"]


def test_the_end_of_a_run_waits_two_seconds_at_most() -> None:
    assert SETTLE_SECONDS <= 2
