"""OUT is refused before anything is written: inputs, foreign folders, full disks, weak file systems."""

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import BadInput, GemmflowError, OutputSpec, Refused, check_out, check_space, create_staging, place


@pytest.fixture
def array(tmp_path: Path) -> Path:
    zarr.create_array(tmp_path / "a.zarr", shape=(4, 4), chunks=(2, 2), dtype="f4")[...] = 1
    return tmp_path / "a.zarr"


def unsupported(flags: int, source: str, target: str) -> None:
    raise OSError(errno.EINVAL, "Invalid argument")


def test_a_fresh_place_is_fine_and_left_clean(tmp_path: Path, array: Path) -> None:
    for overwrite in (False, True):
        check_out(tmp_path / "out", [array], overwrite)
    assert list(tmp_path.iterdir()) == [array]


def test_out_must_stand_apart_from_the_inputs(tmp_path: Path, array: Path) -> None:
    (tmp_path / "link").symlink_to(array)
    (tmp_path / "up").symlink_to(tmp_path)
    cases = {
        array: "is also the input",
        tmp_path / "link": "is also the input",
        tmp_path / "up/a.zarr": "is also the input",
        tmp_path / "x/../a.zarr": "is also the input",
        array / "out": "lies inside the input",
        array / "c/deep/out": "lies inside the input",
        tmp_path / "link/out": "lies inside the input",
        tmp_path: "contains the input",
        tmp_path / "up": "contains the input",
    }
    for out, why in cases.items():
        for overwrite in (False, True):
            with pytest.raises(BadInput, match=why):
                check_out(out, [array], overwrite)


def test_out_must_not_lie_in_an_array(tmp_path: Path, array: Path) -> None:
    (tmp_path / "link").symlink_to(array / "c")
    zarr.create_group(tmp_path / "group")
    for inside in (array / "out", array / "c/out", tmp_path / "link/out"):
        with pytest.raises(BadInput, match=f"lies inside the Zarr array {array}"):
            check_out(inside, [], False)
    check_out(tmp_path / "group/out", [], False)


def test_a_hard_link_to_an_input_is_found(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 2)))
    os.link(tmp_path / "a.npy", tmp_path / "b.npy")
    with pytest.raises(BadInput, match="is also the input"):
        check_out(tmp_path / "b.npy", [tmp_path / "a.npy"], True)


def test_what_a_run_left_that_was_killed_after_its_last_step_goes(tmp_path: Path, array: Path) -> None:
    spec = OutputSpec((4, 4), "float32", (2, 2), "none")
    unfinished = create_staging(array, spec, "process", "running")
    with pytest.raises(BadInput, match="exists"):
        check_out(array, [], False)
    assert Path(unfinished.array).is_dir()
    shutil.rmtree(unfinished.array)  # as if it had become OUT
    with pytest.raises(BadInput, match="exists"):
        check_out(array, [], False)
    assert list(tmp_path.iterdir()) == [array]


def test_what_exists_is_replaced_only_when_asked(array: Path) -> None:
    with pytest.raises(BadInput, match="exists: choose another place or pass --overwrite"):
        check_out(array, [], False)
    check_out(array, [], True)


def test_a_file_is_no_folder_to_write_in(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match=r"/file is not a folder: choose another place"):
        check_out(tmp_path / "file/C", [], False)


def test_an_array_of_version_2_may_be_replaced(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", shape=(4, 4), chunks=(2, 2), dtype="f4", zarr_format=2)[...] = 1
    check_out(tmp_path / "a", [], True)


def test_what_is_no_array_is_never_replaced(tmp_path: Path, array: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    zarr.create_group(tmp_path / "group")
    for name in ("home", "file", "group"):
        with pytest.raises(BadInput, match="is no Zarr array"):
            check_out(tmp_path / name, [], True)
    (array / "thesis.tex").write_text("x")
    with pytest.raises(BadInput, match=r"holds thesis\.tex beside a Zarr array"):
        check_out(array, [], True)


def test_a_missing_or_read_only_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=r"/no does not exist: create it"):
        check_out(tmp_path / "no/out", [], False)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(BadInput, match="cannot be written"):
        check_out(tmp_path / "out", [], False)


def test_a_file_system_without_exchange(tmp_path: Path, array: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "rename_with", unsupported)
    with pytest.raises(Refused, match="cannot exchange folders"):
        check_out(array, [], True)
    check_out(tmp_path / "out", [], False)
    assert list(tmp_path.iterdir()) == [array]


def test_another_failure_of_the_probe_is_said(array: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(flags: int, source: str, target: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(place, "rename_with", fail)
    with pytest.raises(GemmflowError, match="Input/output error"):
        check_out(array, [], True)


def test_space_counts_a_percent_and_a_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(place.shutil, "disk_usage", lambda _: usage(10**9))
    check_space(tmp_path / "out", 970_000_000)
    with pytest.raises(Refused, match=r"1000000000 bytes free, the result needs 1006678214"):
        check_space(tmp_path / "out", 980_100_000 - 1)


def test_inputs_on_an_object_store_are_apart_from_any_folder(tmp_path: Path) -> None:
    check_out(tmp_path / "C", ["s3://lab/C", str(tmp_path / "A")], False)
