"""Dask's messages leave in time, whatever happens to the wall clock."""

import subprocess
import sys
from importlib import import_module

from tasks.moment import now
from tasks.steady import steady_clock

TALK = """
import asyncio, time
honest, jump = time.time, 0.0
time.time = lambda: honest() + jump  # before Dask takes it

from distributed.batched import BatchedSend
from tornado.ioloop import IOLoop
from tasks.steady import steady_clock

class Wire:
    sent = []
    closed = lambda self: False
    abort = lambda self: None
    async def close(self): pass
    async def write(self, payload, **_):
        self.sent += payload
        return 1

async def talk():
    global jump
    steady_clock()
    sender = BatchedSend(interval="50ms", loop=IOLoop.current())
    sender.start(Wire())
    for jump in (0, -3600):
        sender.send(jump)
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.5)
    print(Wire.sent, flush=True)

asyncio.run(talk())
"""
"""In a process of its own, since Dask keeps the clock that it finds when it is imported."""


def test_messages_leave_though_the_wall_clock_is_set_back_between_them() -> None:
    done = subprocess.run([sys.executable, "-c", TALK], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[0, -3600]\n", done


def test_every_module_of_dask_reads_it() -> None:
    steady_clock()
    steady_clock()
    modules = [import_module(f"distributed.{name}") for name in ("batched", "scheduler", "worker", "client", "comm.core", "metrics")]
    assert all(vars(module)["time"] is now for module in modules)
