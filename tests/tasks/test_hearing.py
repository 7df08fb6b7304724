"""A question to workers that ends by itself: what it came to is told at once, not taken for silence."""

import time
from contextlib import ExitStack
from types import SimpleNamespace
from typing import cast

import pytest
from distributed import Client

from tasks.cluster import Cluster
from tasks.clusters import start_loop
from tasks.hearing import Audience


async def too_long():
    raise TimeoutError("the connection took too long")


def test_what_took_too_long_by_itself_is_not_waited_for():
    with ExitStack() as closing:
        client = SimpleNamespace(loop=start_loop(closing), run=lambda *args, **kwargs: too_long())
        cluster = cast("Cluster", SimpleNamespace(client=cast("Client", client), signs_of_life={"here": 0.0}))
        start = time.monotonic()
        with pytest.raises(TimeoutError, match="the connection took too long"):
            Audience(cluster, ("here",), 60).hear(time.time)
        assert time.monotonic() - start < 30
