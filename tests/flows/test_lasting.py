"""A runner of Prefect whose server is away; on a real server: tests/faults/test_lasting.py."""

import asyncio
from importlib import import_module

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError
from prefect.runner import Runner

from flows import lasting as module
from flows.lasting import CANCEL, LOOPS, lasting

REQUEST = httpx.Request("POST", "http://prefect")


def refused(status: int) -> PrefectHTTPStatusError:
    return PrefectHTTPStatusError("no", request=REQUEST, response=httpx.Response(status, request=REQUEST))


class Looks:
    """What Prefect does again and again: it fails so often, then ends the loop."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.times, self.made = error, times, 0

    async def look(self) -> None:
        self.made += 1
        if self.made > self.times:
            raise asyncio.CancelledError
        raise self.error

    def repeat(self, place: str) -> None:
        loop = getattr(import_module(place), "critical_service_loop")  # noqa: B009 - another one than it was imported as
        asyncio.run(loop(workload=self.look, interval=0.001, jitter_range=0.3))


@pytest.mark.parametrize("place", [place for place, _ in LOOPS])
@pytest.mark.parametrize("error", [httpx.ConnectError("away"), httpx.ReadTimeout("late"), refused(503)], ids=["away", "late", "503"])
def test_a_loop_goes_on_without_a_server_and_prints_nothing(place: str, error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    itself = Looks(error, 20)
    with pytest.raises(RuntimeError, match="threshold"):
        itself.repeat(place)
    assert itself.made == 3 and "Traceback" in capsys.readouterr().out
    looks = Looks(error, 20)
    with lasting(), pytest.raises(asyncio.CancelledError):
        looks.repeat(place)
    assert looks.made == 21 and capsys.readouterr().out == ""


@pytest.mark.parametrize("error", [refused(401), ValueError("a mistake")], ids=["401", "a mistake"])
def test_what_is_no_absence_ends_it_at_once(error: Exception) -> None:
    looks = Looks(error, 20)
    with lasting(), pytest.raises(type(error)):
        looks.repeat(LOOPS[0][0])
    assert looks.made == 1


def test_a_cancellation_that_fails_ends_no_runner() -> None:
    cancel = lambda: asyncio.run(getattr(Runner, CANCEL[1])(object(), "no flow run"))  # noqa: E731
    with pytest.raises(AttributeError):
        cancel()
    with lasting():
        cancel()


def test_all_is_given_back() -> None:
    now = lambda: [getattr(import_module(place), name) for place, name in LOOPS] + [getattr(Runner, CANCEL[1])]  # noqa: E731
    before = now()
    with lasting():
        assert not any(one is other for one, other in zip(now(), before, strict=True))
    assert now() == before


@pytest.mark.parametrize("missing", ["prefect.no_such_module", "prefect.runner.runner:NoSuchClass", "prefect.runner.runner"])
def test_a_prefect_without_them_is_left_alone(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOPS", ((missing, "no_such_function"),))
    monkeypatch.setattr(module, "CANCEL", (missing, "no_such_function"))
    with lasting():
        pass
