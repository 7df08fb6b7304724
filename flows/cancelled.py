"""A run that Prefect started looks itself whether it is to be cancelled, and ends then.

Prefect's runner or worker does that too, and sooner: it listens to the server's events. But it stops to listen for good after some
minutes without its server, and the run, which outlives these, would stay Cancelling. So whoever cancels is heard by the run itself: by one
request every few seconds. It ends as by the SIGTERM of Prefect's runner, and says Cancelled.
"""

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from time import monotonic, sleep
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.context import FlowRunContext
from prefect.exceptions import Abort
from prefect.states import Cancelled

from flows.recording import PAUSE_SECONDS, probing
from flows.replaced import owner
from flows.signals import end_descendants

LOOK_SECONDS = 4.0
"""From one look at the run's state to the next: the server closes a connection that is idle for five."""

OTHERS_SECONDS = 15.0
"""How long Prefect's own way has the first try: where its server was away for a moment, it looks every ten seconds or so."""

END_SECONDS = 30.0
"""From the signal to the forced end, as Prefect's runner has it."""

TRIES = 10
"""How often the server is told, one second after the other."""

LISTENER, INTENT = "prefect._internal.control_listener", "get_intent"
"""What says that Prefect's runner is ending this run; a Prefect that has no such function does not say so."""

MESSAGE = "cancelled; the run saw it by itself"


@dataclass
class _Watch:
    """What looks at the state of a run, in a thread of its own, until the run is over."""

    run: UUID
    over: threading.Event = field(default_factory=threading.Event)
    struck: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> None:
        """Look until the run is over, or has to end."""
        since: float | None = None
        with probing() as client:
            while not self.over.wait(LOOK_SECONDS):
                wanted = ends(client, self.run)
                if wanted is None:
                    continue
                since = (since or monotonic()) if wanted and not _prefect_ends_it() else None
                if since is not None and monotonic() - since >= OTHERS_SECONDS:
                    self.strike()
                    return

    def strike(self) -> None:
        with self.lock:
            self.struck = not self.over.is_set()
            if self.struck:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        if self.struck and not self.over.wait(END_SECONDS):
            end_descendants()
            tell(self.run)
            os._exit(0)

    def end(self) -> None:
        with self.lock:
            self.over.set()


@contextmanager
def cancellable() -> Generator[None]:
    """Within the block a run that Prefect started ends once it is Cancelling (or Cancelled) there, whoever else hears of it or not.

    Raises Prefect's Abort for it, which its engine takes for an end that is recorded already.
    """
    run = _started_run()
    if run is None:
        yield
        return
    watch = _Watch(run)
    threading.Thread(target=copy_context().run, args=(watch.look,), name="gemmflow-cancelled", daemon=True).start()
    try:
        try:
            yield
        finally:
            watch.end()
    except BaseException as error:
        if not watch.struck:
            raise
        tell(run)
        raise Abort(MESSAGE) from error


def _started_run() -> UUID | None:
    """The run of this thread, where a deployment's, and where SIGTERM would end it in good order."""
    context = FlowRunContext.get()
    run = None if context is None else context.flow_run
    ours = threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGTERM))
    return run.id if run is not None and run.deployment_id is not None and ours else None


def ends(client: SyncPrefectClient, run: UUID) -> bool | None:
    """Whether the server says that the run is to end; None where it says nothing."""
    try:
        state = client.read_flow_run(run).state
    except Exception:  # noqa: BLE001 - whatever it is, it says nothing of the run
        return None
    return state is not None and (state.is_cancelling() or state.is_cancelled())


def tell(run: UUID) -> None:
    """Say that the run is cancelled, unless it has ended in another way there, to a server that answers within some seconds."""
    for left in reversed(range(TRIES)):
        with suppress(Exception), probing() as client:  # whatever it is, it was not recorded
            state = client.read_flow_run(run).state
            if state is None or not state.is_final():
                client.set_flow_run_state(run, Cancelled(message=MESSAGE), force=True)
            return
        sleep(PAUSE_SECONDS if left else 0)


def _prefect_ends_it() -> bool:
    intent: Callable[[], object] = getattr(owner(LISTENER), INTENT, lambda: None)
    return intent() is not None
