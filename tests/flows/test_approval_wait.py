"""A run that waits for an answer while the server is away; the same with a server is in `tests.faults.test_prefect`."""

from types import SimpleNamespace

import pytest
from httpx import ConnectError, HTTPStatusError, Request, Response
from prefect.exceptions import FlowPauseTimeout
from prefect.states import Paused, Running

from flows import approval
from flows.approval import KEY, LOOK_SECONDS, Answer
from tasks.asking import AskAbove
from tasks.errors import Refused
from tests.tasks.test_asking import PLAN

AWAY = ConnectError("refused")
BUSY = HTTPStatusError("503", request=Request("GET", "http://server"), response=Response(503))


class Server:
    """What it says, question by question and look by look; time passes as the run sleeps."""

    def __init__(self, questions: list[object], looks: list[object]) -> None:
        self.questions, self.looks, self.now, self.asked = questions, looks, 0.0, list[tuple[int, str]]()

    def pause(self, wait_for_input: type[Answer], timeout: int, key: str) -> object:
        self.asked.append((timeout, key))
        return said(self.questions)

    def read_flow_run(self, run: object) -> object:
        return SimpleNamespace(state=said(self.looks))

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None: ...

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def said(words: list[object]) -> object:
    """The next; the last for ever."""
    word = words.pop(0) if len(words) > 1 else words[0]
    if isinstance(word, Exception):
        raise word
    return word


def wait(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """For an hour at most."""
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "4d69acf3-322b-432e-abad-3a1429d99757")
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "")
    for name, fake in {"pause_flow_run": server.pause, "probing": lambda: server, "sleep": server.sleep}.items():
        monkeypatch.setattr(approval, name, fake)
    monkeypatch.setattr(approval, "monotonic", lambda: server.now)
    monkeypatch.setattr(approval, "question", lambda *_: "")
    approval.require_approval(AskAbove(seconds=0, hours=1), None, PLAN)  # pyright: ignore[reportArgumentType] - nobody asks for the problem


def test_the_question_is_put_again_when_it_was_answered_and_no_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server([AWAY, AWAY, Answer(proceed=True)], [AWAY, Paused(), BUSY, Running(), Running()])
    wait(server, monkeypatch)
    rest = round(3600 - 3 * LOOK_SECONDS)
    assert server.asked == [(3600, KEY), (rest, KEY), (rest, KEY)]


def test_the_answer_may_be_no(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="not approved"):
        wait(Server([AWAY, Answer(proceed=False)], [Running()]), monkeypatch)


@pytest.mark.parametrize("looks", [[AWAY], [AWAY, Paused()]])
def test_nobody_waits_longer_than_was_allowed(looks: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server([AWAY], looks)
    with pytest.raises(FlowPauseTimeout, match="never resumed"):
        wait(server, monkeypatch)
    assert 3600 < server.now <= 3600 + LOOK_SECONDS and len(server.asked) == 1


@pytest.mark.parametrize(("questions", "looks"), [([ValueError("no")], [Running()]), ([AWAY], [ValueError("no")])])
def test_other_errors_are_not_waited_out(questions: list[object], looks: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no"):
        wait(Server(questions, looks), monkeypatch)
