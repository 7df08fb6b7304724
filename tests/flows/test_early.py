"""The first moments of a command, in real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.early import started_as_command

ROOT = Path(__file__).resolve().parents[2]
FLOWS = [sys.executable, "-m", "flows"]


@pytest.mark.parametrize(
    ("given", "original", "ours"),
    [
        ("-m", ["python", "-P", "-m", "flows", "--version"], True),
        ("-m", ["python", "-m", "flows.cli"], True),
        ("-m", ["python", "-m", "pytest", "flows"], False),
        ("/usr/bin/gemmflow", ["python", "/usr/bin/gemmflow"], True),
        ("gemmflow", ["gemmflow"], True),
        ("-c", ["python", "-c", "import flows", "-m", "flows"], False),
        ("/home/me/gemmflow.py", ["python", "/home/me/gemmflow.py"], False),
        ("", ["python"], False),
    ],
)
def test_only_the_command_is_prepared(given: str, original: list[str], ours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [given])
    monkeypatch.setattr(sys, "orig_argv", original)
    assert started_as_command() is ours


def test_an_import_leaves_the_signals_alone() -> None:
    program = "import signal, flows.cli; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("True\n", "")


SLOW_IMPORT = """
import os, sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "flows.analyze":
            print("importing", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
"""
"""Read by Python at its start: stops the imports of the command at their first."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_first_imports_is_one_line(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_IMPORT)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    process = subprocess.Popen(
        [*FLOWS, "multiply", "A", "my B", "C"], env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "importing\n"
    time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert errors == "gemmflow: interrupted; nothing at OUT was changed. To start again: gemmflow multiply A 'my B' C\n"
    assert process.returncode == 130


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams_change_nothing(closed: str, tmp_path: Path) -> None:
    line = f"{sys.executable} -m flows multiply no.zarr B.zarr {tmp_path}/C {closed}; exit $?"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert ("no.zarr does not exist" in done.stderr) == ("2>&-" not in closed)
    assert list(tmp_path.iterdir()) == []


def test_closed_descriptors_are_open_afterwards_for_children_too() -> None:
    program = """
import os, subprocess, sys
from flows.early import open_streams
open_streams()
print("lost")
child = subprocess.run([sys.executable, "-c", "import os; os.fstat(0), os.fstat(1)"])
sys.stderr.write(f"{[os.readlink(f'/proc/self/fd/{n}') for n in (0, 1)]} {child.returncode}")
"""
    line = f'{sys.executable} -c "$PROGRAM" <&- >&-'
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, env=os.environ | {"PROGRAM": program})
    assert done.stderr == "['/dev/null', '/dev/null'] 0"


def test_a_run_started_with_nohup_survives_the_terminal() -> None:
    program = "from flows.early import SIGNALS; print([number.name for number in SIGNALS])"
    for trap, names in (("trap '' HUP;", ["SIGINT", "SIGTERM"]), ("", ["SIGINT", "SIGTERM", "SIGHUP"])):
        done = subprocess.run(["bash", "-c", f'{trap} exec {sys.executable} -c "{program}"'], cwd=ROOT, capture_output=True, text=True)
        assert done.stdout == f"{names}\n", done.stderr


def test_a_deleted_working_directory_is_one_line(tmp_path: Path) -> None:
    line = f"mkdir {tmp_path}/gone && cd {tmp_path}/gone && rmdir ../gone && exec {sys.executable} -m flows multiply A B C"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert done.stderr == "gemmflow: the working directory is gone (No such file or directory): change to one that exists\n"
