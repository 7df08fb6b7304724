"""A task with a limit whose server is away: nothing but the limit is lost. On real servers: tests/faults/test_slot.py."""

import time
from collections.abc import Callable

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from flows import limited
from flows.limited import Limited
from flows.recording import is_away
from flows.session import Session, open_session

TAGS = ("gemmflow-multiply",)


class Away(Exception):
    """As Prefect's own, which says in its cause what happened."""

    def __init__(self, cause: Exception) -> None:
        self.__cause__ = cause


def answered(status: int) -> PrefectHTTPStatusError:
    response = httpx.Response(status, request=httpx.Request("POST", "http://prefect"))
    return PrefectHTTPStatusError("no", request=response.request, response=response)


GONE = httpx.ConnectError("nobody there")


@pytest.mark.parametrize("error", [GONE, Away(GONE), answered(503), Away(answered(502)), answered(429), answered(408), Away(answered(500))])
def test_a_server_is_away_that_cannot_be_reached_or_cannot_work(error: Exception) -> None:
    assert is_away(error)


@pytest.mark.parametrize("error", [ValueError("ours"), answered(401), answered(404), Away(answered(422)), Away(ValueError())])
def test_a_server_that_says_no_is_there(error: Exception) -> None:
    assert not is_away(error)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What the server answers after the work; else True."""
    answers: list[bool] = []
    monkeypatch.setattr(limited, "answers", lambda: answers.pop(0) if answers else True)
    return answers


def before(error: Exception) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """A task that fails before its work."""

    def wrap(work: Callable[[], None]) -> Callable[[], None]:
        def fail() -> None:
            raise error

        return fail

    return wrap


def after(error: Exception) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """A task that fails after its work."""

    def wrap(work: Callable[[], None]) -> Callable[[], None]:
        def both() -> None:
            work()
            raise error

        return both

    return wrap


def test_without_a_slot_the_work_is_done_where_the_server_is_away() -> None:
    assert Limited(lambda: 7, TAGS).run(before(Away(answered(503)))) == 7  # pyright: ignore[reportArgumentType]


def test_what_else_prefect_says_before_the_work_is_an_error() -> None:
    with pytest.raises(PrefectHTTPStatusError):
        Limited(lambda: 7, TAGS).run(before(answered(401)))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("error", [GONE, answered(401), ValueError("Prefect's")])
def test_what_was_done_counts_and_is_done_once(error: Exception) -> None:
    done: list[int] = []
    assert Limited(lambda: done.append(1) or 7, TAGS).run(after(error)) == 7  # pyright: ignore[reportArgumentType]
    assert done == [1]


def test_an_error_of_the_work_is_its_own_and_it_is_not_done_again() -> None:
    done: list[int] = []

    def fail() -> int:
        done.append(1)
        raise GONE  # an object store's, say

    with pytest.raises(httpx.ConnectError):
        Limited(fail, TAGS).run(lambda work: work)  # pyright: ignore[reportArgumentType]
    assert done == [1]


def test_a_stopped_run_does_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "stopping", lambda: True)
    with pytest.raises(httpx.ConnectError):
        Limited(lambda: pytest.fail("begun"), TAGS).run(before(GONE))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("tags", "slow_start", "said"), [(TAGS, True, 1), (TAGS, False, 0), ((), True, 0)])
def test_who_waits_in_line_is_told_so(tags: tuple[str, ...], slow_start: bool, said: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "LINE_SECONDS", 0.05)
    heard: list[str] = []

    def wrap(work: Callable[[], None]) -> Callable[[], None]:
        def task() -> None:
            time.sleep(0.5 if slow_start else 0)
            work()

        return task

    with open_session(Session(notify=heard.append)):
        assert Limited(lambda: time.sleep(0.2) or 7, tags).run(wrap) == 7  # pyright: ignore[reportArgumentType]
    assert heard == ["waiting for a slot of the limit gemmflow-multiply: others that have one are at work"][:said]
