"""Each slow test is run by `make test-slow`, and once."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from tests.lanes import LANES, LAST, SLOW, causes

ROOT = Path(__file__).parents[1]

MARKS = ("slow", "server", "browser", "alone", "gpu")


@pytest.mark.parametrize("marks", list(product((False, True), repeat=len(MARKS))))
def test_a_slow_test_is_in_one_lane_and_no_other_test_in_any(marks: tuple[bool, ...]) -> None:
    known = dict(zip(MARKS, marks, strict=True))
    lanes = [name for name, chosen in (LANES | LAST).items() if eval(chosen, dict(known))]
    assert len(lanes) == bool(eval(SLOW, dict(known)))


def test_make_runs_them() -> None:
    assert "-m tests.lanes" in (ROOT / "Makefile").read_text()


FAILURE = """
def test_two():
    assert ask() == 3

E       assert 2 == 3
E        +  where 2 = ask()

tests/test_x.py:7: AssertionError
---------- Captured stdout call ----------
a server said much
"""


def test_what_failed_is_said_again_without_what_was_printed() -> None:
    head, last = "___________ test_two ___________", "FAILED tests/test_x.py::test_two - x"
    said = causes(["tests/test_x.py .F  [100%]\n", f"{head}\n", *FAILURE.splitlines(), f"{last}\n"])
    assert said == [
        head,
        "E       assert 2 == 3",
        "E        +  where 2 = ask()",
        "tests/test_x.py:7: AssertionError",
        last,
    ]


def test_it_is_short_however_much_failed() -> None:
    said = causes([f"E   {'x' * 1000} {number}\n" for number in range(100)] + ["FAILED tests/test_x.py::test_two"])
    assert sum(map(len, said)) < 2700 and said[-1].endswith("test_two")


TWO = """
import pytest

@pytest.mark.server
def test_one():
    assert 1 == 2

@pytest.mark.slow
def test_two():
    pass
"""


@pytest.mark.slow
def test_a_failure_stands_at_the_end_and_in_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(TWO)
    command = [sys.executable, "-m", "tests.lanes", str(tmp_path), "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    head, test, error, _, failed = done.stdout.splitlines()[-5:]
    assert head == "servers failed (1):" and "test_one" in test and error.strip() == "E       assert 1 == 2" and "FAILED" in failed
