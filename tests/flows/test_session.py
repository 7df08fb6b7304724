from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flows.session import Session, open_session
from tasks.outcome import Progress

HALF = Progress(tiles_done=1, tiles=2, flops_done=1.0, flops=2.0, bytes_moved=3, seconds=1.0, seconds_left=1.0)


def test_an_open_session_is_shared_by_what_runs_in_it() -> None:
    with open_session() as outer, open_session() as inner:
        assert inner is outer
    with open_session() as another:
        assert another is not outer


def test_everybody_who_watches_is_told() -> None:
    seen: list[tuple[str, Progress]] = []
    session = Session(observers=(lambda progress: seen.append(("a", progress)), lambda progress: seen.append(("b", progress))))
    session.observe(HALF)
    assert seen == [("a", HALF), ("b", HALF)]


def test_what_is_kept_is_entered_once_and_left_at_the_end_even_after_an_error() -> None:
    events: list[str] = []

    @contextmanager
    def server() -> Iterator[None]:
        events.append("start")
        try:
            yield
        finally:
            events.append("stop")

    with pytest.raises(ZeroDivisionError), open_session() as session:
        session.keep(server)
        session.keep(server)
        events.append("run")
        raise ZeroDivisionError
    assert events == ["start", "run", "stop"]
