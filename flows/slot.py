"""The slot of a concurrency limit: a run keeps it as well as it can, and does not end for want of it.

Prefect renews the slot of a deployment's limit every four minutes, and cancels a run whose slot it cannot renew. But a server that is
away renews nothing, and one that starts again has forgotten the slots of before, which it keeps in memory unless told otherwise; the
run is as sound as it was. It goes on: what the limit would prevent, two runs at once, no run can prevent without its server. Here a
slot is renewed every half minute, so that most of its five minutes are left whenever a server goes away.
"""

from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus
from logging import Logger, getLogger
from threading import Event
from uuid import UUID

from prefect.exceptions import PrefectHTTPStatusError
from prefect.logging import get_run_logger

from flows.recording import PAUSE_SECONDS, probing
from flows.replaced import owner, replaced

LEASE_SECONDS = 300.0
"""What Prefect asks for; it asks again when three quarters are over."""

RENEW_SECONDS = 30.0

FRACTION = "_RENEWAL_FRACTION"
"""Prefect's own, of a lease."""

MODULE, FAILURE = "prefect.concurrency._leases", "_handle_lease_renewal_failure"
"""What Prefect calls, in a thread of its own, when a slot could not be renewed; a Prefect that has no such function ends the run."""

FORGOTTEN = "Prefect's server has forgotten the slot of this run, which goes on; another run may start beside it"


@contextmanager
def kept_slot() -> Generator[None]:
    """Within the block a slot that cannot be renewed is asked for again until it is, or is lost, and nothing else comes of it."""
    there = getattr(owner(MODULE), FAILURE, None)
    if there is None or there.__module__ == __name__:
        yield
        return
    over = Event()

    def keep(error: BaseException, lease: UUID, *_: object) -> None:
        del error
        while not over.wait(PAUSE_SECONDS):
            renewed = renew(lease)
            if renewed is False:
                get_run_logger().warning(FORGOTTEN)
                return
            if renewed:
                over.wait(RENEW_SECONDS)

    with replaced(MODULE, FAILURE, lambda _: keep), _silent(getLogger("prefect.concurrency")):
        try:
            yield
        finally:
            over.set()


@contextmanager
def _silent(noise: Logger) -> Generator[None]:
    loud, noise.disabled = noise.disabled, True
    try:
        yield
    finally:
        noise.disabled = loud


def renew_often() -> None:
    """From now on, in this process, Prefect asks for its slots again every `RENEW_SECONDS`."""
    leases = owner(MODULE)
    if hasattr(leases, FRACTION):
        setattr(leases, FRACTION, min(getattr(leases, FRACTION), RENEW_SECONDS / LEASE_SECONDS))


def renew(lease: UUID) -> bool | None:
    """Whether the server renewed it; None where it did not answer, or neither yes nor no."""
    try:
        with probing() as client:
            client.renew_concurrency_lease(lease, LEASE_SECONDS)
    except PrefectHTTPStatusError as error:
        return False if error.response.status_code == HTTPStatus.GONE else None
    except Exception:  # noqa: BLE001 - whatever it is, it did not renew
        return None
    return True
