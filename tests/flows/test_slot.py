"""What becomes of a slot that Prefect could not renew; on a real server: tests/faults/test_slot.py."""

import logging
import threading
import time
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from flows import slot
from flows.slot import FAILURE, FORGOTTEN, FRACTION, MODULE, kept_slot, renew, renew_often

LEASES = import_module(MODULE)


class Prefect:
    """Its thread, and a server that answers as it is told: True, False, or None where it is away."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: bool | None) -> None:
        self.answers, self.asked, self.told, self.cancelled = list(answers), 0, [], threading.Event()
        monkeypatch.setattr(slot, "PAUSE_SECONDS", 0.01)
        monkeypatch.setattr(slot, "RENEW_SECONDS", 0.01)
        monkeypatch.setattr(slot, "renew", self.answer)
        monkeypatch.setattr(slot, "get_run_logger", lambda: SimpleNamespace(warning=self.told.append))

    def answer(self, lease: UUID) -> bool | None:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def gives_up(self) -> threading.Thread:
        """As the renewal of a deployment's slot does, by whose failure the run would be cancelled."""
        handle: Callable[..., None] = getattr(LEASES, FAILURE)
        scope = SimpleNamespace(cancel=self.cancelled.set)
        thread = threading.Thread(target=handle, args=(ConnectionError("away"), uuid4(), True, False, scope), daemon=True)
        thread.start()
        return thread


def test_prefect_itself_would_cancel_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    prefect = Prefect(monkeypatch, None)
    prefect.gives_up().join(10)
    assert prefect.cancelled.is_set()


def test_it_is_asked_for_until_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    prefect = Prefect(monkeypatch, None, None, True)
    with kept_slot():
        thread = prefect.gives_up()
        while prefect.asked < 6:
            time.sleep(0.01)
        assert thread.is_alive()
    thread.join(10)
    assert not thread.is_alive() and not prefect.cancelled.is_set() and prefect.told == []


def test_one_that_is_forgotten_is_told_of_once_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    prefect = Prefect(monkeypatch, None, True, False)
    with kept_slot():
        prefect.gives_up().join(10)
        assert (prefect.asked, prefect.told) == (3, [FORGOTTEN])
    assert not prefect.cancelled.is_set()


def test_a_block_inside_changes_nothing_and_all_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    prefect, honest = Prefect(monkeypatch, None), getattr(LEASES, FAILURE)
    with kept_slot():
        with kept_slot():
            thread = prefect.gives_up()
        asked = prefect.asked
        while prefect.asked < asked + 3:
            time.sleep(0.01)
        assert thread.is_alive() and logging.getLogger("prefect.concurrency").disabled
    assert getattr(LEASES, FAILURE) is honest and not logging.getLogger("prefect.concurrency").disabled


@pytest.mark.parametrize(("before", "then"), [(0.75, 0.1), (0.01, 0.01)])
def test_slots_are_renewed_while_most_of_their_time_is_left(before: float, then: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LEASES, FRACTION, before)
    renew_often()
    assert getattr(LEASES, FRACTION) == then


@pytest.mark.parametrize(("name", "value"), [("MODULE", "prefect.no_such_module"), ("FRACTION", "_no_such_number")])
def test_a_prefect_that_renews_otherwise_is_left_alone(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LEASES, FRACTION, 0.75)
    monkeypatch.setattr(slot, name, value)
    renew_often()
    assert LEASES._RENEWAL_FRACTION == 0.75 and not hasattr(LEASES, "_no_such_number")


@pytest.mark.parametrize(("module", "failure"), [("prefect.no_such_module", FAILURE), (MODULE, "no_such_function")])
def test_a_prefect_without_it_is_left_alone(module: str, failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot, "MODULE", module)
    monkeypatch.setattr(slot, "FAILURE", failure)
    with kept_slot():
        assert not logging.getLogger("prefect.concurrency").disabled


@pytest.mark.parametrize(("status", "renewed"), [(204, True), (410, False), (503, None), (404, None)])
def test_what_the_server_says_is_yes_no_or_nothing(status: int, renewed: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        def __enter__(self) -> "Client":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def renew_concurrency_lease(self, lease_id: UUID, lease_duration: float) -> None:
            response = httpx.Response(status, request=httpx.Request("POST", "http://prefect"))
            if status >= 400:
                raise PrefectHTTPStatusError("no", request=response.request, response=response)

    monkeypatch.setattr(slot, "probing", Client)
    assert renew(uuid4()) is renewed


def test_a_server_that_is_away_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert renew(uuid4()) is None
