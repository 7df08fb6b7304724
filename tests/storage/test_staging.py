"""The folder that a result grows in: one for an OUT, made at once, taken over in one step, swept when nobody needs it."""

import errno
import fcntl
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import zarr

from storage import (
    BadInput,
    DiskFull,
    Found,
    OutputSpec,
    Refused,
    Staging,
    Start,
    create_staging,
    discard,
    find_staging,
    is_published,
    leftovers,
    open_result,
    publish,
    read_journal,
    sweep,
    take_over,
    write_block,
)
from storage.beside import NEW, OLD, PROBE, held
from storage.publish import RENAME_EXCHANGE, rename_with

module = sys.modules[create_staging.__module__]
ROOT = Path(__file__).parents[2]


def found_beside(out: Path) -> Found:
    found = find_staging(out)
    assert found is not None
    return found


def is_locked(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_the_staged_array_is_complete_but_empty(staging: Staging, spec: OutputSpec, tmp_path: Path) -> None:
    array = zarr.open_array(staging.array, mode="r")
    assert (array.shape, array.chunks, array.dtype) == (spec.shape, spec.chunks, np.dtype("f4"))
    assert np.isnan(array[...]).all(), "a lost chunk must not read as a plausible number"
    assert Path(staging.folder) == tmp_path / "out.zarr.gemmflow" / "run1.1"
    assert read_journal(Path(staging.journal)) == []
    assert sorted(path.name for path in Path(staging.array, "c").iterdir()) == ["0", "1", "2"]
    assert list(tmp_path.iterdir()) == [Path(staging.home)] and not is_locked(Path(staging.home))


def test_integer_results_fill_with_zero(tmp_path: Path) -> None:
    staging = create_staging(tmp_path / "o", OutputSpec((4, 4), "int64", (2, 2), "none"), "power", "r")
    assert json.loads(Path(staging.array, "zarr.json").read_text())["fill_value"] == 0


def test_the_journal_starts_with_what_is_given(tmp_path: Path, spec: OutputSpec) -> None:
    staging = create_staging(tmp_path / "o", spec, "process", "r", Start(({"kind": "run", "n": 0}, {"kind": "run", "n": 1})))
    assert read_journal(Path(staging.journal)) == [{"kind": "run", "n": 0}, {"kind": "run", "n": 1}]


def test_a_staging_travels(staging: Staging) -> None:
    assert pickle.loads(pickle.dumps(staging)) == staging


def test_a_second_run_is_refused_whatever_its_id(tmp_path: Path, staging: Staging, spec: OutputSpec) -> None:
    for run_id in ("run1", "run2"):
        with pytest.raises(Refused, match=r"out\.zarr\.gemmflow exists: another run"):
            create_staging(tmp_path / "out.zarr", spec, "process", run_id)
    assert list(tmp_path.iterdir()) == [Path(staging.home)]


def test_of_runs_that_start_together_exactly_one_wins(tmp_path: Path, spec: OutputSpec) -> None:
    together = Barrier(4)

    def start(index: int) -> str:
        together.wait()
        try:
            return create_staging(tmp_path / "out", spec, "process", f"run{index}").run_id
        except Refused:
            return ""

    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            winners = [run_id for run_id in pool.map(start, range(4)) if run_id]
            assert len(winners) == 1 and found_beside(tmp_path / "out").run_id == winners[0]
            assert [path.name for path in tmp_path.iterdir()] == ["out.gemmflow"]
            assert len(list((tmp_path / "out.gemmflow").iterdir())) == 1
            discard(found_beside(tmp_path / "out"))


@pytest.mark.parametrize("moment", ["before the lock", "as it is locked"])
def test_a_sweep_that_is_faster_than_the_lock_does_not_end_a_run(tmp_path: Path, spec: OutputSpec, monkeypatch, moment: str) -> None:
    """Another run that starts sweeps between mkdir and lock."""
    locked: list[Path] = []

    def late(folder: Path):
        locked.append(folder)
        if len(locked) == 1 and moment == "before the lock":
            shutil.rmtree(folder)
        if len(locked) == 1 and moment == "as it is locked":
            stack.enter_context(held(folder))
        return held(folder)

    monkeypatch.setattr(module, "held", late)
    with ExitStack() as stack:
        staging = create_staging(tmp_path / "out", spec, "process", "r")
    assert len(locked) == 2 and [path.name for path in tmp_path.iterdir()] == ["out.gemmflow"]
    assert zarr.open_array(staging.array, mode="r").shape == spec.shape


def test_a_home_that_is_empty_is_used(tmp_path: Path, spec: OutputSpec) -> None:
    (tmp_path / "out.gemmflow").mkdir()  # a run was killed while it removed its folder
    assert find_staging(tmp_path / "out") is None
    assert Path(create_staging(tmp_path / "out", spec, "process", "r").folder).is_dir()


def test_a_missing_parent_is_named(tmp_path: Path, spec: OutputSpec) -> None:
    with pytest.raises(BadInput, match=rf"the folder {tmp_path}/no does not exist: create it"):
        create_staging(tmp_path / "no/out", spec, "process", "r")


@pytest.mark.parametrize("run_id", ["../../x", "", "a.1", "é", "x" * 65])
def test_a_run_id_cannot_leave_the_folder(tmp_path: Path, spec: OutputSpec, run_id: str) -> None:
    with pytest.raises(ValueError, match="run id"):
        create_staging(tmp_path / "out", spec, "process", run_id)


@pytest.mark.parametrize(("code", "kind"), [(errno.EROFS, BadInput), (errno.EACCES, BadInput), (errno.ENOSPC, DiskFull)])
@pytest.mark.parametrize("call", ["mkdir", "rename"])
def test_what_the_system_refuses_is_said_and_nothing_stays(
    tmp_path, spec, monkeypatch, code: int, kind: type[Exception], call: str
) -> None:
    real = getattr(Path, call)

    def deny(path: Path, *given: object, **named: object) -> None:
        if path.parent == tmp_path:
            raise OSError(code, "no")
        real(path, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, call, deny)
        with pytest.raises(kind, match=str(tmp_path)):
            create_staging(tmp_path / "out", spec, "process", "r")
    assert list(tmp_path.iterdir()) == []


def test_a_link_as_out_means_its_target(tmp_path: Path, spec: OutputSpec) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk/real")
    assert create_staging(tmp_path / "link", spec, "process", "r").out == str(tmp_path / "disk/real")
    assert found_beside(tmp_path / "link") == found_beside(tmp_path / "disk/real")


def test_a_staging_folder_is_found_beside_its_own_out_only(tmp_path: Path, spec: OutputSpec) -> None:
    made = create_staging(tmp_path / "o[1]", spec, "process", "a-1_B")
    create_staging(tmp_path / "o[1].zarr", spec, "process", "b")
    found = found_beside(tmp_path / "o[1]")
    assert found.staging(spec, "process") == made and str(found.folder) == made.folder
    assert [find_staging(tmp_path / name) for name in ("o[1", "o1", "o", "no/out")] == [None] * 4


@pytest.mark.parametrize("name", ["a b", "üñí ☃.zarr", "-x", "new\nline", "o'q\"uote", "%d{}"])
def test_any_name_of_out(tmp_path: Path, store, name: str) -> None:
    for value in (1, 2):
        out = store(name, value=value)
        with open_result(out) as result:
            assert result.manifest.chunks and result.certificate["run_id"] == "r"
    staging = create_staging(out, OutputSpec((4, 4), "f4", (2, 2), "none"), "power", "s")
    write_block(staging, 0, 0, np.ones((4, 4), np.float32))
    (tmp_path / f"{name}{OLD}x").mkdir()
    assert leftovers(out) == [Path(staging.home), tmp_path / f"{name}{OLD}x"]
    discard(take_over(found_beside(out)))
    assert list(tmp_path.iterdir()) == [out]


def test_taking_over_is_one_rename_and_the_second_contender_is_refused(tmp_path: Path, staging: Staging) -> None:
    found = found_beside(tmp_path / "out.zarr")
    following = take_over(found)
    assert (following.run_id, following.epoch) == ("run1", 2) and following == found_beside(tmp_path / "out.zarr")
    assert not found.folder.exists() and (following.folder / "journal").is_file()
    with pytest.raises(Refused, match="taken over or ended meanwhile"):
        take_over(found)
    assert take_over(following).folder.name == "run1.3"


def test_of_contenders_exactly_one_takes_over(tmp_path: Path, staging: Staging) -> None:
    found, together = found_beside(tmp_path / "out.zarr"), Barrier(4)

    def contend(_: int) -> int:
        together.wait()
        try:
            return take_over(found).epoch
        except Refused:
            return 0

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(contend, range(4))) == [0, 0, 0, 2]


def test_a_run_that_was_taken_over_discards_nothing_of_the_new_one(tmp_path: Path, staging: Staging) -> None:
    following = take_over(found_beside(tmp_path / "out.zarr"))
    discard(staging)
    discard(Found(following.out, "run1", 1))
    assert (following.folder / "array/zarr.json").is_file()
    discard(following)
    discard(following)
    assert list(tmp_path.iterdir()) == []


def test_sweeping_leaves_what_is_held_or_read(tmp_path: Path, staging: Staging) -> None:
    out = tmp_path / "out.zarr"
    kept, gone = tmp_path / f"out.zarr{OLD}1", [tmp_path / f"out.zarr{mark}2" for mark in (NEW, OLD, PROBE)]
    other = tmp_path / f"out.zarr2{OLD}1"
    for folder in (kept, *gone, other):
        (folder / "array/c").mkdir(parents=True)
    (tmp_path / f"out.zarr{OLD}file").touch()
    with held(gone[0]), open_result(kept / "array"):
        sweep(out)
        assert kept.is_dir() and gone[0].is_dir() and not gone[1].exists() and not gone[2].exists()
    sweep(out)
    assert sorted(tmp_path.iterdir()) == sorted([Path(staging.home), other, tmp_path / f"out.zarr{OLD}file"])
    sweep(tmp_path / "no" / "out")


def test_what_is_gone_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), held(tmp_path / "gone"):
        pass


def test_a_hold_that_fails_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "x/array").mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with open_result(tmp_path / "x/array"):
        for _ in range(3):
            with pytest.raises(BlockingIOError), held(tmp_path / "x"):
                pass
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_kill_9_during_creation_leaves_what_the_next_sweep_removes(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from storage import *; from storage.staging import Journal\n"
        "Journal.create = lambda *_: os.kill(os.getpid(), 9)\n"
        "create_staging(Path(sys.argv[1]), OutputSpec((4, 4), 'float32', (2, 2), 'none'), 'power', 'r')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("out.gemmflow-new-") and find_staging(tmp_path / "out") is None
    sweep(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def older(kind: str, out: Path) -> None:
    match kind:
        case "foreign":
            zarr.create_array(out, shape=(4, 4), chunks=(2, 2), dtype="f4", zarr_format=3)
        case "version 2":
            zarr.create_array(out, shape=(4, 4), chunks=(2, 2), dtype="f4", zarr_format=2)
        case "odd":
            zarr.create_array(out, shape=(4, 4), chunks=(2, 2), dtype="f4", zarr_format=3, attributes={"gemmflow": 3})
        case _:
            publish(create_staging(out, OutputSpec((4, 4), "float32", (2, 2), "none"), "process", "older"), overwrite=False)


@pytest.mark.parametrize("kind", ["ours", "foreign", "version 2", "odd"])
def test_a_run_that_was_killed_after_it_replaced_an_older_result_is_known(tmp_path: Path, spec: OutputSpec, kind: str) -> None:
    older(kind, tmp_path / "out")
    staging = create_staging(tmp_path / "out", spec, "process", "r")
    assert not is_published(found_beside(tmp_path / "out"))
    rename_with(RENAME_EXCHANGE, staging.array, staging.out)
    assert is_published(found_beside(tmp_path / "out"))


def test_a_run_that_was_killed_after_it_published_a_new_result_is_known(tmp_path: Path, staging: Staging) -> None:
    found = found_beside(tmp_path / "out.zarr")
    assert not is_published(found)
    Path(staging.array).rename(staging.out)
    assert is_published(found)


@pytest.mark.parametrize("content", [None, b"", b"{ torn", b"\xff"])
def test_a_damaged_header_is_no_publication(tmp_path: Path, staging: Staging, content: bytes | None) -> None:
    header = Path(staging.array, "zarr.json")
    header.unlink()
    if content is not None:
        header.write_bytes(content)
    assert not is_published(found_beside(tmp_path / "out.zarr"))
