"""A rate is the best of the repetitions that fit into a moment: others only ever make a machine slower."""

import time
from collections.abc import Callable

SECONDS_A_RATE = 0.05
"""Time for the repetitions of one rate; one is made in any case."""

MOST_TURNS = 25
"""Repetitions of one rate: the best of more is no better."""


def rate_of(amount: float, once: Callable[[], object], seconds: float = SECONDS_A_RATE) -> float:
    """Amount per second, the best repetition of so many seconds; the first, which warms up, does not count."""
    once()
    best, deadline = float("inf"), time.perf_counter() + seconds
    for _ in range(MOST_TURNS):
        start = time.perf_counter()
        once()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > deadline:
            break
    return amount / best
