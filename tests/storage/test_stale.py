import math
import os
import time
from pathlib import Path

import pytest

from storage import idle_seconds, unfinished_in

DAY = 24 * 3600.0


def staging(out: Path, age: float = 0.0) -> Path:
    run = Path(f"{out}.gemmflow", "run.1")
    (run / "array").mkdir(parents=True)
    for name in ("journal", "holder"):
        (run / name).touch()
    for path in (run / "journal", run / "holder", run, run.parent):
        os.utime(path, (time.time() - age,) * 2)
    return run


def test_a_folder_of_results_and_a_result_are_both_places(tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("A.zarr", "B.zarr")]
    for out in outs:
        staging(out)
    (tmp_path / "whole.zarr").mkdir()
    (tmp_path / "notes.gemmflow.txt").touch()
    (tmp_path / ".gemmflow").mkdir()
    assert unfinished_in(tmp_path) == outs
    assert unfinished_in(outs[0]) == [outs[0]]
    assert unfinished_in(tmp_path / "whole.zarr") == []


def test_a_folder_in_the_making_is_unfinished_too(tmp_path: Path) -> None:
    (tmp_path / "C.zarr.gemmflow-new-1234").mkdir()
    assert unfinished_in(tmp_path) == [tmp_path / "C.zarr"]


@pytest.mark.parametrize("written", ["journal", "holder"])
def test_a_run_is_as_old_as_what_it_wrote_last(tmp_path: Path, written: str) -> None:
    run = staging(tmp_path / "C.zarr", age=30 * DAY)
    assert idle_seconds(tmp_path / "C.zarr") == pytest.approx(30 * DAY, abs=100)
    os.utime(run / written, (time.time() - 2 * DAY,) * 2)
    assert idle_seconds(tmp_path / "C.zarr") == pytest.approx(2 * DAY, abs=100)


def test_where_nothing_lies_nothing_was_written_ever(tmp_path: Path) -> None:
    assert idle_seconds(tmp_path / "C.zarr") == math.inf


def test_a_clock_that_runs_ahead_makes_a_run_young(tmp_path: Path) -> None:
    staging(tmp_path / "C.zarr", age=-DAY)
    assert idle_seconds(tmp_path / "C.zarr") == 0.0
