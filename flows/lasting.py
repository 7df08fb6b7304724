"""Serving outlives a Prefect server that is away, and begins again when it is back.

Prefect's runner ends after three looks for runs that failed in a row, some four minutes with their repetitions, prints them, and ends the
runs that it started. It listens for cancellations no longer after as many. Here a look at a server that is away is one that found
nothing; the next comes as if it had succeeded.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from functools import wraps

from flows.recording import is_away
from flows.replaced import replaced

Look = Callable[..., Awaitable[None]]

LOOPS = (("prefect.runner._scheduled_run_poller", "critical_service_loop"), ("prefect._internal.observers", "critical_service_loop"))
"""Where Prefect calls its loop: for runs that are due, and for runs that are to be cancelled."""

CANCEL = ("prefect.runner.runner:Runner", "_cancel_run")
"""A task of the runner that ends it, should the server go away just then; the run itself sees to its end, see `flows.cancelled`."""


@contextmanager
def lasting() -> Generator[None]:
    """Within the block a runner of Prefect goes on without its server; a Prefect that has no such functions is left as it is."""
    with ExitStack() as stack:
        for place, name in LOOPS:
            stack.enter_context(replaced(place, name, _lasting_loop))
        stack.enter_context(replaced(*CANCEL, _harmless))
        yield


def _lasting_loop(honest: Look) -> Look:
    @wraps(honest)
    async def loop(workload: Look, *more: object, **named: object) -> None:
        await honest(_patient(workload), *more, **named)

    return loop


def _patient(look: Look) -> Look:
    @wraps(look)
    async def looked() -> None:
        try:
            await look()
        except Exception as error:
            if not is_away(error):
                raise

    return looked


def _harmless(honest: Look) -> Look:
    @wraps(honest)
    async def tried(*given: object, **named: object) -> None:
        with suppress(Exception):
            await honest(*given, **named)

    return tried
