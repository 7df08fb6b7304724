import threading
import time

from flows.signals import Stop
from flows.threads import join_all, raise_in


def test_a_thread_ends_as_after_a_signal_and_cleans_up() -> None:
    events: list[str] = []
    waiting = threading.Event()

    def work() -> None:
        try:
            while True:
                waiting.set()
                time.sleep(0.01)
        except Stop:
            events.append("stopped")
        finally:
            events.append("cleaned")

    thread = threading.Thread(target=work, daemon=True)
    raise_in(thread)  # not started yet
    thread.start()
    assert waiting.wait(5)
    raise_in(thread)
    join_all([thread], 5)
    assert events == ["stopped", "cleaned"] and not thread.is_alive()
    raise_in(thread)  # over


def test_who_does_not_end_is_left_after_a_while() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait, daemon=True)
    thread.start()
    started = time.monotonic()
    join_all([thread], 0.1)
    assert thread.is_alive() and time.monotonic() - started < 2
    over.set()
    join_all([thread], 5)
    assert not thread.is_alive()
