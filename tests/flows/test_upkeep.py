import errno
import os
import time
from pathlib import Path

import pytest

from flows import upkeep
from flows.chores import DAYS, Stale
from storage import Lease, OutputSpec, create_staging
from tasks.errors import BadInput, Refused
from tests.storage.test_stale import staging


@pytest.mark.usefixtures("impatient")
def test_only_runs_that_nobody_goes_on_with_are_given_up(tmp_path: Path) -> None:
    old, young = tmp_path / "old.zarr", tmp_path / "young.zarr"
    staging(old, age=30 * DAYS)
    staging(young, age=2 * DAYS)
    assert upkeep.clean_stale(tmp_path) == {"removed": [f"{old}.gemmflow"], "kept": [str(young)]}
    assert upkeep.clean_stale(tmp_path, Stale(days=0)) == {"removed": [f"{young}.gemmflow"], "kept": []}
    assert upkeep.clean_stale(tmp_path, Stale(days=0)) == {"removed": [], "kept": []}


def test_a_run_that_writes_now_is_kept_whatever_its_age(tmp_path: Path) -> None:
    out = tmp_path / "C.zarr"
    held = create_staging(out, OutputSpec((4, 6), "float32", (4, 6), "none"), "process", "run")
    lease = Lease.take(held)
    try:
        assert upkeep.clean_stale(out, Stale(days=0)) == {"removed": [], "kept": [str(out)]}
    finally:
        lease.release()
    assert upkeep.clean_stale(out, Stale(days=0))["kept"] == []


def test_a_run_that_begins_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(out: Path) -> list[str]:
        raise Refused(f"{out} is written to")

    monkeypatch.setattr(upkeep, "clean", refuse)
    run = staging(tmp_path / "C.zarr", age=30 * DAYS)
    assert upkeep.clean_stale(tmp_path)["kept"] == [str(tmp_path / "C.zarr")]
    assert run.exists()


def test_a_place_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist: check the path"):
        upkeep.clean_stale(tmp_path / "no" / "C.zarr")
    with pytest.raises(BadInput, match="age of a run on an object store is not known"):
        upkeep.clean_stale("s3://bucket/C.zarr")


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(place: Path) -> list[Path]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), place)

    monkeypatch.setattr(upkeep, "unfinished_in", deny)
    with pytest.raises(BadInput, match=f"{tmp_path} cannot be read: Permission denied"):
        upkeep.clean_stale(tmp_path)


@pytest.mark.usefixtures("impatient")
def test_age_is_what_the_clock_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staging(tmp_path / "C.zarr")
    later = time.time() + 8 * DAYS
    monkeypatch.setattr(time, "time", lambda: later)
    assert upkeep.clean_stale(tmp_path)["kept"] == []
