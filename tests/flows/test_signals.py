"""What ends a process that hangs: in a subprocess, since the end is the end."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

PROGRAM = """
import subprocess, sys, time
from flows import signals
signals.GRACE_SECONDS = 0.5
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"], stdout=subprocess.DEVNULL)
with signals.interruptible(lambda: "last words"):
    try:
        print(child.pid, flush=True)
        time.sleep(100)
    except signals.Stop as stop:
        print(stop, flush=True)
        {then}
print("after", flush=True)
"""


def start(then: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM.format(then=then)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_way_out_that_hangs_is_cut_short_with_its_children(number: signal.Signals) -> None:
    process, child = start("time.sleep(100)")
    sent = time.monotonic()
    process.send_signal(number)
    output, errors = process.communicate(timeout=10)
    assert time.monotonic() - sent < 3
    assert (process.returncode, output, errors) == (130, f"{number.name}\n", "last words\n")
    assert not psutil.pid_exists(child)


def test_a_way_out_that_is_quick_is_left_alone() -> None:
    process, child = start("child.kill(); child.wait()")
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "SIGTERM\nafter\n", "")
    assert not psutil.pid_exists(child)


def test_a_block_that_nobody_owns_keeps_its_signals() -> None:
    from flows.signals import still_interruptible

    before = signal.getsignal(signal.SIGTERM)
    with still_interruptible():
        assert signal.getsignal(signal.SIGTERM) is before


LOST = """
import gc, signal, sys, threading, time
from flows import signals
signals.GRACE_SECONDS = 5

class Callback:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.01)

with signals.interruptible():
    try:
        Callback()
        for _ in range(300):
            time.sleep(0.01)
        print("went on")
    except signals.Stop:
        print("stopped", signals.stopping())
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
print(signals.stopping(), sys.unraisablehook is sys.__unraisablehook__, threading.excepthook is threading.__excepthook__)
"""


def test_a_stop_that_a_callback_loses_comes_again_and_nothing_is_printed() -> None:
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("stopped True\nFalse True True\n", "")


def test_without_a_signal_callbacks_complain_as_ever() -> None:
    program = """
from flows import signals

class Callback:
    def __del__(self):
        raise ValueError("seen")

with signals.interruptible():
    Callback()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert "ValueError: seen" in done.stderr
