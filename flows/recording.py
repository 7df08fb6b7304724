"""What Prefect is told of a run whose server is away for a while, or does not come back.

    events    kept, in their order, until the server can be reached again: every task of the run gets its state
    artifacts the newest of each kind is tried again, see `flows.sending`
    logs      of that time are lost
    the end   waited for: half a minute by a command, an hour by a run that Prefect started

The run itself waits for none of it, and none of it prints a word.
"""

import logging
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Event
from time import monotonic, sleep

from httpx import HTTPStatusError, TransportError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext, SyncClientContext
from prefect.events.clients import PrefectEventsClient
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.sending import ended_senders

COMMAND_SECONDS = 30.0
"""How long a command waits at its end for a server of somebody else's."""

OWN_SECONDS = 2.0
"""The same for the temporary server of this command: what does not answer is dead."""

SERVED_SECONDS = 3600.0
"""The same in a run that Prefect started: nobody sits in front of it, and workers and memory are given back by then."""

LAST_SECONDS = 2.0
"""How long a request with logs may take."""

PAUSE_SECONDS = 1.0
"""From one look whether the server can record to the next."""

PROBE_SECONDS = 5.0
"""How long such a look may take; a database that is locked keeps a request waiting for a minute."""


@dataclass(frozen=True)
class Patience:
    """How long a run waits at its end for a server that is away."""

    seconds: float
    rest: ExitStack
    """What holds from the moment when it was given up."""
    given_up: Event = field(default_factory=Event)


_PATIENCE: "ContextVar[Patience | None]" = ContextVar("patience", default=None)


@contextmanager
def patient(seconds: float) -> Generator[None]:
    """Within the block nothing that is recorded holds a run up, or is lost while the server is away; nor do blocks inside change that."""
    if _PATIENCE.get() is not None:
        yield
        return
    with ExitStack() as stack:
        patience = Patience(seconds, stack)
        token = _PATIENCE.set(patience)
        stack.callback(_PATIENCE.reset, token)
        stack.enter_context(_kept_events(patience))
        stack.enter_context(ended_senders())
        yield


@contextmanager
def _kept_events(patience: Patience) -> Generator[None]:
    """Events are kept for a server that is away; a log that cannot be sent is lost without noise, as this process ends, too."""
    noise = logging.raiseExceptions
    EventsWorker.set_client_override(PrefectEventsClient, reconnection_attempts=1, checkpoint_interval=PAUSE_SECONDS)
    logging.raiseExceptions = False
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: LAST_SECONDS}):
        APILogWorker.instance()  # a thread of Prefect's, which keeps the settings of this moment
    try:
        yield
    finally:
        EventsWorker.set_client_override(None)
        logging.raiseExceptions = noise and not patience.given_up.is_set()


def await_server() -> None:
    """Return when the server can record, or is given up: then no request within the block of `patient` is tried twice any more.

    The run's own state comes next. Prefect would take a server that is away for a failure of the run.
    """
    patience, context = _PATIENCE.get(), FlowRunContext.get()
    if patience is None or context is None or context.flow_run is None:
        return
    deadline, away = monotonic() + patience.seconds, False
    while not records(context.flow_run):
        if monotonic() > deadline:
            patience.given_up.set()
            patience.rest.enter_context(one_try())
            context.client._client.timeout = PROBE_SECONDS  # pyright: ignore[reportPrivateUsage] - of the engine, which made it before
            return
        away = True
        sleep(PAUSE_SECONDS)
    if away:
        sleep(2 * PAUSE_SECONDS)  # for the events that were kept


def records(run: FlowRun) -> bool:
    """Whether the server can write of this run: it says that it is well, too, while its database is locked."""
    try:
        with probing() as client:
            client.update_flow_run(run.id, name=run.name)
    except Exception:  # noqa: BLE001 - whatever it is, it did not write
        return False
    return True


@contextmanager
def probing() -> Generator[SyncPrefectClient]:
    """A client of its own, whose requests are tried once and not for long."""
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: PROBE_SECONDS}),
        _new_client(),
        get_client(sync_client=True) as client,
    ):
        yield client


def answers() -> bool:
    """Whether the server does, at once."""
    with one_try():
        client = get_client(sync_client=True)
        with nullcontext(client) if SyncClientContext.get() is not None else client:  # that of the run stays open
            return client.api_healthcheck() is None


def is_away(error: BaseException) -> bool:
    """Whether an error of Prefect's says that its server could not be reached, or cannot do its work now."""
    causes = [error, error.__cause__]
    return any(isinstance(one, TransportError) or (isinstance(one, HTTPStatusError) and _is_busy(one)) for one in causes)


def _is_busy(error: HTTPStatusError) -> bool:
    """Also what a proxy says of a server behind it that is gone."""
    status = error.response.status_code
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


@contextmanager
def one_try() -> Generator[None]:
    """Within the block a request that fails is not tried again; it needs no client of a run that is over."""
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), _open_client():
        yield


def _open_client() -> AbstractContextManager[None]:
    known = SyncClientContext.get()
    closed = known is not None and known.client._client.is_closed  # pyright: ignore[reportPrivateUsage] - there is no other way to ask
    return _new_client() if closed else nullcontext()


@contextmanager
def _new_client() -> Generator[None]:
    """Within the block requests go through a client of the settings of this moment."""
    token = SyncClientContext.__var__.set(None)  # pyright: ignore[reportArgumentType] - else the one that is there would be taken again
    try:
        yield
    finally:
        SyncClientContext.__var__.reset(token)
