"""A run that looks itself whether it is to be cancelled; on a real server: tests/faults/test_cancelled.py."""

import signal
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import Abort, TerminationSignal

from flows import cancelled
from flows.cancelled import INTENT, LISTENER, MESSAGE, cancellable

RUNNING, CANCELLING, CANCELLED, CRASHED = (State(type=kind) for kind in ("RUNNING", "CANCELLING", "CANCELLED", "CRASHED"))
AWAY = httpx.ConnectError("away")
ALIVE_SECONDS = 0.2


class Server:
    """Answers with these states, the last one ever after; an error is raised."""

    def __init__(self, *answers: State | Exception) -> None:
        self.answers, self.asked, self.told = list(answers), 0, []

    @contextmanager
    def probing(self) -> Generator["Server"]:
        yield self

    def read_flow_run(self, run: UUID) -> SimpleNamespace:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(state=answer)

    def set_flow_run_state(self, run: UUID, state: State, force: bool) -> None:
        self.told.append((state.type, state.message, force))


def ended(signum: int, frame: object) -> None:
    """As Prefect's engine takes SIGTERM."""
    raise TerminationSignal(signum)


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, ended)
    yield
    signal.signal(signal.SIGTERM, before)


def run_of(monkeypatch: pytest.MonkeyPatch, server: Server, deployment: UUID | None) -> None:
    """From now on this is a run, whose time is short."""
    context = SimpleNamespace(flow_run=SimpleNamespace(id=uuid4(), deployment_id=deployment))
    monkeypatch.setattr(cancelled, "FlowRunContext", SimpleNamespace(get=lambda: context))
    monkeypatch.setattr(cancelled, "probing", server.probing)
    for name, seconds in {"LOOK_SECONDS": 0.005, "OTHERS_SECONDS": 0.03, "PAUSE_SECONDS": 0.001, "END_SECONDS": 10.0}.items():
        monkeypatch.setattr(cancelled, name, seconds)


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gemmflow-cancelled"]


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    yield
    for thread in watchers():
        thread.join(5)
    assert watchers() == []


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ((RUNNING, AWAY, CANCELLING), [(StateType.CANCELLED, MESSAGE, True)]),
        ((RUNNING, CANCELLED), []),
        ((CANCELLING, AWAY) * 200, [(StateType.CANCELLED, MESSAGE, True)]),
    ],
    ids=["cancelling", "cancelled by force", "every other look fails"],
)
def test_it_ends_and_says_so(answers: tuple[State | Exception, ...], told: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    server, left = Server(*answers), []
    run_of(monkeypatch, server, uuid4())
    with pytest.raises(Abort), cancellable():
        try:
            time.sleep(20)
        finally:
            left.append("in good order")
    assert server.told == told and left == ["in good order"]


@pytest.mark.parametrize(
    "answers", [(RUNNING,), (AWAY,), (CANCELLING, RUNNING), (CRASHED,)], ids=["running", "away", "not long", "crashed"]
)
def test_it_goes_on_otherwise(answers: tuple[State | Exception, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(*answers)
    run_of(monkeypatch, server, uuid4())
    with cancellable():
        time.sleep(ALIVE_SECONDS)
    assert server.asked > 3 and server.told == []


def test_prefects_own_way_has_the_first_try(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(CANCELLING)
    run_of(monkeypatch, server, uuid4())
    monkeypatch.setattr(import_module(LISTENER), INTENT, lambda: "cancel")
    with pytest.raises(TerminationSignal), cancellable():
        time.sleep(ALIVE_SECONDS)
        signal.raise_signal(signal.SIGTERM)
    assert server.asked > 3 and server.told == []


@pytest.mark.parametrize(("listener", "intent"), [("prefect.no_such_module", INTENT), (LISTENER, "no_such_function")])
def test_a_prefect_that_does_not_say_so_is_not_waited_for(listener: str, intent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_of(monkeypatch, Server(CANCELLING), uuid4())
    monkeypatch.setattr(cancelled, "LISTENER", listener)
    monkeypatch.setattr(cancelled, "INTENT", intent)
    with pytest.raises(Abort), cancellable():
        time.sleep(20)


def test_an_end_in_a_wrapping_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    run_of(monkeypatch, Server(CANCELLING), uuid4())
    with pytest.raises(Abort), cancellable():
        try:
            time.sleep(20)
        except TerminationSignal as error:
            raise ValueError("somebody's wrapping") from error


def test_one_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    server, done, over = Server(CANCELLING), [], threading.Event()
    run_of(monkeypatch, server, uuid4())
    monkeypatch.setattr(cancelled, "END_SECONDS", 0.05)
    monkeypatch.setattr(cancelled, "end_descendants", lambda: done.append("children"))
    monkeypatch.setattr(cancelled, "os", SimpleNamespace(_exit=lambda code: (done.append(code), over.set())))
    with pytest.raises(Abort), cancellable():
        try:
            time.sleep(20)
        except TerminationSignal:
            assert over.wait(10)
            assert (done, server.told) == (["children", 0], [(StateType.CANCELLED, MESSAGE, True)])
            raise


def test_a_server_that_does_not_answer_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(AWAY, AWAY, CANCELLING)
    run_of(monkeypatch, server, uuid4())
    cancelled.tell(uuid4())
    assert server.told == [(StateType.CANCELLED, MESSAGE, True)]
    gone = Server(AWAY)
    run_of(monkeypatch, gone, uuid4())
    cancelled.tell(uuid4())
    assert (gone.asked, gone.told) == (cancelled.TRIES, [])


def test_a_command_looks_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(CANCELLING)
    run_of(monkeypatch, server, None)
    with cancellable():
        assert watchers() == []
    monkeypatch.setattr(cancelled, "FlowRunContext", SimpleNamespace(get=lambda: None))
    with cancellable():
        assert watchers() == []
    assert server.asked == 0


def test_where_a_signal_would_leave_everything_behind_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    run_of(monkeypatch, Server(CANCELLING), uuid4())
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with cancellable():
        assert watchers() == []
