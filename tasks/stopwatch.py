"""A rate is the best of the repetitions that fit into a moment: others only ever make a machine slower."""

import time
from collections.abc import Callable

SECONDS_A_RATE = 0.05
"""Time for the repetitions of one rate; one is made in any case."""


def rate_of(amount: float, once: Callable[[], object], seconds: float = SECONDS_A_RATE) -> float:
    """Amount per second, the best repetition of so many seconds; the first, which warms up, does not count."""
    once()
    best, deadline = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        once()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > deadline:
            return amount / best
