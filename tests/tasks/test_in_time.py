"""Questions to an event loop: answers, limits of time, and an end before the first step, which leaves nothing behind."""

import asyncio
import gc
import threading
from contextlib import ExitStack

import pytest

from tasks.clusters import start_loop
from tasks.in_time import Question, in_time


@pytest.fixture
def loop():
    with ExitStack() as closing:
        yield start_loop(closing)


@pytest.fixture
def busy(loop):
    """The loop, which does nothing until the event is set."""
    free = threading.Event()
    loop.add_callback(free.wait)
    yield loop, free
    free.set()


async def seven():
    return 7


async def refused():
    raise ValueError("refused")


def test_the_answer_comes_from_the_thread_of_the_loop(loop):
    async def where():
        return threading.get_ident()

    assert in_time(loop, where, 10) != threading.get_ident()


def test_what_is_raised_is_raised_here(loop):
    with pytest.raises(ValueError, match="refused"):
        in_time(loop, refused, 10)


def test_no_answer_in_time_ends_what_was_asked(loop):
    ended = threading.Event()

    async def for_ever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"):
        in_time(loop, for_ever, 0.01)
    assert ended.wait(10)


def test_a_question_may_be_looked_at_again(loop):
    open_now = threading.Event()

    async def later():
        while not open_now.is_set():
            await asyncio.sleep(0.01)
        return 7

    question = Question(loop, later)
    with pytest.raises(TimeoutError):
        question.answer(0.01)
    open_now.set()
    assert question.answer(10) == 7


def test_what_is_dropped_before_its_first_step_leaves_no_coroutine(busy):
    """A coroutine that was made and never awaited would fail this test: warnings are errors."""
    loop, free = busy
    with pytest.raises(TimeoutError):
        in_time(loop, seven, 0.01)
    free.set()
    assert in_time(loop, seven, 10) == 7
    gc.collect()


def test_an_error_that_nobody_waits_for_is_not_written(busy, caplog):
    loop, free = busy
    question = Question(loop, refused)
    free.set()
    assert in_time(loop, seven, 10) == 7
    del question
    gc.collect()
    assert in_time(loop, seven, 10) == 7
    assert caplog.records == []


def test_a_loop_that_is_closed_says_so():
    with ExitStack() as closing:
        loop = start_loop(closing)
    with pytest.raises(RuntimeError, match="closed"):
        in_time(loop, seven, 10)
    with pytest.raises(RuntimeError, match="closed"):
        in_time(None, seven, 10)
