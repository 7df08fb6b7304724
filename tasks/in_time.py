"""What an event loop in another thread is asked, with a limit of time and an end at Ctrl-C that leaves nothing behind.

Dask's own `sync` makes the coroutine first and wraps its limit around it. Where Ctrl-C came before the first step of the two, the
inner one was dropped unasked, and Python wrote a warning of two lines between those of the command. And what is written in Python
(`Event`, `Condition`, `Future.result`) may be interrupted with its lock held, for which the loop then waits for ever: the queue here
is one of those that C keeps.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from tornado.ioloop import IOLoop
    from tornado.platform.asyncio import BaseAsyncIOLoop

R = TypeVar("R")


class NoAnswer(TimeoutError):
    """Nothing is known yet; where that what was asked took too long itself, it raises another TimeoutError."""


class Question(Generic[R]):
    """Something that is asked in an event loop."""

    def __init__(self, loop: "IOLoop | None", ask: Callable[[], Awaitable[R]]) -> None:
        """Call `ask` in the thread of `loop`, where what blocks anywhere else is awaitable. Raises RuntimeError where that is closed."""
        if loop is None:
            raise RuntimeError("a client that is closed has no loop")
        self._loop = cast("BaseAsyncIOLoop", loop).asyncio_loop
        self._ask = ask
        self._task: asyncio.Task[R] | None = None
        self._answers = SimpleQueue["asyncio.Task[R]"]()
        self._loop.call_soon_threadsafe(self._start)

    def answer(self, seconds: float) -> R:
        """What it comes to, or raises. Raises NoAnswer where that is not known within `seconds`: look again, or drop it."""
        try:
            answered = self._answers.get(timeout=seconds)
        except Empty:
            raise NoAnswer(f"no answer within {seconds:g} s") from None
        return answered.result()

    def drop(self) -> None:
        """Nobody waits for the answer any more."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._cancel)

    def _start(self) -> None:
        self._task = self._loop.create_task(self._asked())
        self._task.add_done_callback(self._tell)

    async def _asked(self) -> R:
        return await self._ask()

    def _tell(self, answered: "asyncio.Task[R]") -> None:
        if not answered.cancelled():
            answered.exception()  # seen, also where nobody waits any more
        self._answers.put(answered)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


def in_time(loop: "IOLoop | None", ask: Callable[[], Awaitable[R]], seconds: float) -> R:
    """What `ask`, called in the thread of `loop`, comes to. Raises NoAnswer after `seconds`, RuntimeError where the loop is closed."""
    question = Question(loop, ask)
    try:
        return question.answer(seconds)
    finally:
        question.drop()
