"""In processes of ours Dask and Tornado read the clock of `tasks.moment`, which nobody sets.

They date what they wait for by the wall clock. Set back by an hour between two messages of a connection, it held the second one for
an hour: 4 of 14 runs stood still while it jumped once a second.
"""

import sys
from importlib import import_module

from tasks.moment import now


def steady_clock() -> None:
    """Give every module of Dask that is loaded, or that will be, and every event loop of Tornado this clock."""
    from tornado.ioloop import IOLoop  # noqa: PLC0415 - nobody needs it before there is a cluster

    wall_clock = vars(import_module("distributed.metrics"))["time"]
    for name, module in tuple(sys.modules.items()):
        if name.partition(".")[0] == "distributed" and vars(module).get("time") is wall_clock:
            vars(module)["time"] = now
    IOLoop.time = lambda self: now()
