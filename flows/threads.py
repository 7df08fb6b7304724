"""Ends other threads as a signal ends the main one: `Stop` is raised in them, and every `with` and `finally` on the way out does its work.

Python delivers signals to the main thread alone. Threads of ours wait in steps of at most a second, and a step is where it arrives.
"""

import ctypes
import threading
from collections.abc import Iterable
from time import monotonic

from flows.signals import Stop

STEP_SECONDS = 0.05


def raise_in(thread: threading.Thread, error: type[BaseException] = Stop) -> None:
    """Have `error` raised in a thread, soon; nothing where it has ended."""
    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error))


def join_all(threads: Iterable[threading.Thread], seconds: float) -> None:
    """Wait until all have ended, but no longer than so."""
    deadline = monotonic() + seconds
    for thread in threads:
        while thread.is_alive() and monotonic() < deadline:
            thread.join(STEP_SECONDS)
