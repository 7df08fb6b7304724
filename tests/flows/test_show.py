"""Answers that cannot be delivered."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows import cli_run
from flows.cli import run
from flows.options import Manner
from flows.show import check_places, write_file
from tasks.errors import BadInput
from tests.tasks.builders import Scene, report

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
from flows import cli_run
from flows.cli import main
from tests.tasks.builders import Scene, report
cli_run.run_job = lambda *_: report(Scene(grid=(2, 2)))
sys.argv = ["x", *(() if "--help" in sys.argv else ("multiply", "a", "b", "c")), *sys.argv[1:]]
main()
"""


def command(shell: str) -> subprocess.CompletedProcess[str]:
    """A finished run that reports as `shell` says; RUN stands for the program."""
    line = shell.replace("RUN", f'{sys.executable} -c "$PROGRAM"')
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=ROOT, env=os.environ | {"PROGRAM": PROGRAM})


@pytest.mark.parametrize("options", ["--json -", ""])
def test_a_reader_that_has_gone_is_no_failure(options: str) -> None:
    done = command(f'set -o pipefail; (sleep 0.1; RUN {options}; echo "code $?" >&2) | true')
    assert done.stderr.endswith("any more: not everything was shown; /data/scores.zarr is complete\ncode 0\n"), done.stderr
    assert done.stderr.count("\n") == 2


def test_a_reader_of_the_help_that_has_gone_is_no_failure() -> None:
    done = command('(sleep 0.1; RUN --help; echo "code $?" >&2) | true')
    assert done.stderr == "gemmflow: nobody reads standard output any more: not everything was shown\ncode 0\n"


def test_what_the_terminal_cannot_show_is_no_failure() -> None:
    done = command("PYTHONIOENCODING=ascii RUN")
    assert done.returncode == 0 and "\\xb1" in done.stdout, done.stderr


def test_a_page_holds_names_that_are_no_text(tmp_path: Path) -> None:
    write_file(str(tmp_path / "page.html"), "<p>/data/\udcff")
    assert (tmp_path / "page.html").read_text() == "<p>/data/\\udcff"


def test_a_full_standard_output_is_one_line() -> None:
    done = command("RUN --json - >/dev/full")
    assert done.stderr == "gemmflow: standard output cannot be written (No space left on device)\n"
    assert done.returncode == 1


def test_nobody_reading_standard_error_stops_nothing() -> None:
    done = command("(RUN --json /no/such/folder/x 2>&1; echo $? >&3) 3>&1 | true; exit 0")
    assert done.returncode == 0 and done.stderr == ""
    done = command("RUN --json - 2>/dev/full >/dev/full")
    assert done.returncode == 1


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_report_that_cannot_be_written_is_one_line(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_run, "run_job", lambda *_: report(Scene(grid=(2, 2))))
    assert run(["multiply", "a", "b", "c", option, "/dev/full"]) == 1
    assert capsys.readouterr().err == "gemmflow: /dev/full cannot be written (No space left on device)\n"


@pytest.mark.parametrize("option", ["json", "html"])
def test_home_is_expanded_before_a_place_is_judged(option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    check_places(Manner.model_validate({option: "~/r"}))
    for place, says in (
        ("~/folder", "nothing can be written"),
        ("~/no/r", f"{tmp_path}/no does not exist"),
        ("~nobody7/r", "no such user"),
    ):
        with pytest.raises(BadInput, match=says):
            check_places(Manner.model_validate({option: place}))


def test_a_report_goes_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(cli_run, "run_job", lambda *_: report(Scene(grid=(2, 2))))
    assert run(["multiply", "a", "b", "c", "--json", "~/r.json", "--quiet"]) == 0
    assert (tmp_path / "r.json").exists()
