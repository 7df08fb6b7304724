from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch_share import Machine, Share, share_of
from tasks.hardware import default_memory
from tasks.job import make_job

GIB = 2**30


@given(st.integers(1, 64), st.none() | st.integers(2**26, 2**45), st.integers(0, 2**45), st.integers(1, 256))
def test_shares_are_equal_and_together_no_more_than_there_is(at_once: int, budget: int | None, free: int, cores: int) -> None:
    share = share_of(at_once, budget, Machine(free, cores))
    whole = default_memory(free) if budget is None else budget
    assert whole - at_once < share.memory * at_once <= whole
    assert share.cores * at_once <= max(cores, at_once) and share.cores >= 1
    assert (share.cores + 1) * at_once > cores


@given(st.integers(1, 8), st.integers(2**27, 2**40), st.none() | st.integers(2**26, 2**41))
def test_no_job_gets_more_than_its_share(slots: int, memory: int, own: int | None) -> None:
    job = Share(slots, memory, 1, stated=True).of(make_job(a="/a", b="/b", out="/gemmflow-none/c", memory=own))
    assert job.memory == min(memory, own or memory)


def test_a_job_alone_keeps_its_own_memory_where_the_file_says_nothing() -> None:
    alone = Share(1, GIB, 2, stated=False)
    assert alone.of(make_job(a="/a", b="/b", out="/gemmflow-none/c", memory=4 * GIB)).memory == 4 * GIB
    assert alone.of(make_job(a="/a", b="/b", out="/gemmflow-none/c")).memory == GIB
    assert alone.of(make_job(a="/a", b="/b", out="/gemmflow-none/c", cluster="tcp://h:1")).memory is None
    assert replace(alone, stated=True).of(make_job(a="/a", b="/b", out="/c", cluster="tcp://h:1")).memory == GIB


def test_an_unfinished_run_keeps_the_memory_that_it_was_planned_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("flows.batch_share"), "_planned_with", lambda _: 3 * GIB)
    job = make_job(a="/a", b="/b", out="/c")
    assert Share(2, GIB, 1, stated=False).of(job).memory == 3 * GIB
    assert Share(2, GIB, 1, stated=True).of(job).memory == GIB


@pytest.mark.parametrize(("empty", "memory"), [(False, 3 * GIB), (True, GIB)])
def test_only_what_finished_something_keeps_its_memory(monkeypatch: pytest.MonkeyPatch, empty: bool, memory: int) -> None:
    unfinished = SimpleNamespace(is_empty=empty, plan=SimpleNamespace(memory_limit=3 * GIB))
    monkeypatch.setattr(import_module("flows.batch_share"), "find_unfinished", lambda _: unfinished)
    assert Share(2, GIB, 1, stated=False).of(make_job(a="/a", b="/b", out="/c")).memory == memory
