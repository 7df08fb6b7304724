import threading
from weakref import WeakSet

import pytest

from tasks import gate as gate_module
from tasks.errors import GemmflowError
from tasks.gate import Gate, shut_all

PATIENCE = 10


@pytest.fixture(autouse=True)
def none_but_ours(monkeypatch):
    """Shutting all gates leaves alone those of clusters that other tests share."""
    monkeypatch.setattr(gate_module, "_GATES", WeakSet())


def test_an_open_gate_lets_through():
    assert Gate().start(lambda: 7) == 7


@pytest.mark.parametrize("shut", [lambda gate: gate.shut(), lambda _: shut_all()])
def test_a_shut_gate_lets_nothing_through(shut):
    gate, started = Gate(), []
    shut(gate)
    with pytest.raises(GemmflowError, match="ended while they started"):
        gate.start(lambda: started.append(1))
    with pytest.raises(GemmflowError):
        gate.check()
    assert started == []


def test_shutting_waits_for_the_one_on_its_way():
    gate, steps, begun, go = Gate(), [], threading.Event(), threading.Event()

    def process():
        begun.set()
        go.wait(PATIENCE)
        steps.append("started")

    def shut():
        gate.shut()
        steps.append("shut")

    starting, shutting = threading.Thread(target=gate.start, args=(process,)), threading.Thread(target=shut)
    starting.start()
    assert begun.wait(PATIENCE)
    shutting.start()
    go.set()
    starting.join(PATIENCE)
    shutting.join(PATIENCE)
    assert steps == ["started", "shut"]


def test_a_handler_shuts_it_in_the_middle_of_a_start():
    gate = Gate()
    gate.start(gate.shut)
    with pytest.raises(GemmflowError):
        gate.check()


def test_a_start_that_fails_leaves_the_gate_free():
    gate = Gate()
    with pytest.raises(OSError, match="no"):
        gate.start(lambda: (_ for _ in ()).throw(OSError("no")))
    assert gate.start(lambda: 1) == 1
