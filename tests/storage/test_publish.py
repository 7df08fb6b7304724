"""A result becomes visible whole, once, and a killed run leaves OUT as it was or as it should be."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import (
    ChunkRecord,
    DiskFull,
    GemmflowError,
    OutputSpec,
    Refused,
    Staging,
    TakenOver,
    certify,
    create_staging,
    discard,
    find_staging,
    is_published,
    open_result,
    publish,
    scrub,
    set_attributes,
    take_over,
    write_block,
)
from storage import publish as publish_function
from storage.publish import RENAME_EXCHANGE, RENAME_NOREPLACE, rename_with

module = sys.modules[publish_function.__module__]
ROOT = Path(__file__).parents[2]


def staged(out: Path, value: float, run_id: str = "r") -> Staging:
    staging = create_staging(out, OutputSpec((5, 7), "float32", (4, 4), "blosc-lz4"), "process", run_id)
    records = write_block(staging, 0, 0, np.full((5, 7), value, np.float32)).records
    certify(staging, {"value": value, "storage": {"codec": "blosc-lz4"}}, records)
    return staging


def read(out: Path) -> tuple[set[float], object]:
    """Values of an array, which must be complete, and its certificate."""
    array = zarr.open_array(out, mode="r")
    assert sorted(path.name for path in out.iterdir()) == ["c", "gemmflow", "zarr.json"]
    assert not list(out.rglob("*.partial"))
    certificate = array.attrs.asdict().get("gemmflow")
    return set(np.unique(np.asarray(array[...])).tolist()), certificate["value"] if isinstance(certificate, dict) else None


def records_in(staging: Staging) -> tuple[ChunkRecord, ...]:
    """What is in the manifest of the staged array."""
    with open_result(Path(staging.array)) as result:
        return result.manifest.chunks


def unsupported(*_: object) -> None:
    raise OSError(errno.EINVAL, "Invalid argument")


def test_a_new_result_appears_and_nothing_else_stays(tmp_path: Path) -> None:
    publish(staged(tmp_path / "out", 1), overwrite=False)
    assert read(tmp_path / "out") == ({1.0}, 1)
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_an_older_result_is_exchanged(tmp_path: Path) -> None:
    publish(staged(tmp_path / "out", 1), overwrite=True)
    publish(staged(tmp_path / "out", 2), overwrite=True)
    assert read(tmp_path / "out") == ({2.0}, 2)
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_attributes_add_to_what_is_there_and_are_whole(tmp_path: Path) -> None:
    staging = staged(tmp_path / "out", 1)
    set_attributes(staging, {"gemmflow": {"value": 1}})
    set_attributes(staging, {"units": "m"})
    assert zarr.open_array(staging.array, mode="r").attrs.asdict() == {"gemmflow": {"value": 1}, "units": "m"}
    with pytest.raises(ValueError, match="JSON"):
        set_attributes(staging, {"error": float("nan")})
    assert zarr.open_array(staging.array, mode="r").attrs.asdict() == {"gemmflow": {"value": 1}, "units": "m"}


def test_a_full_disk_while_attributes_are_set_keeps_the_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = staged(tmp_path / "out", 1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull):
        set_attributes(staging, {"gemmflow": 2})
    with pytest.raises(DiskFull):
        certify(staging, {"value": 2}, records_in(staging))
    assert read(Path(staging.array)) == ({1.0}, 1)


@pytest.mark.parametrize("flags_known", [True, False])
@pytest.mark.parametrize("appeared", ["folder", "file", "dangling link"])
def test_what_appeared_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch, flags_known: bool, appeared: str) -> None:
    staging, out = staged(tmp_path / "out", 1), tmp_path / "out"
    {"folder": out.mkdir, "file": out.touch, "dangling link": lambda: out.symlink_to("nowhere")}[appeared]()
    if not flags_known:
        monkeypatch.setattr(module, "rename_with", unsupported)
    with pytest.raises(Refused, match=rf"appeared during the run.*{staging.array}"):
        publish(staging, overwrite=False)
    assert read(Path(staging.array)) == ({1.0}, 1)


def test_a_file_system_without_flags_still_takes_a_new_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "rename_with", unsupported)
    publish(staged(tmp_path / "out", 1), overwrite=False)
    assert read(tmp_path / "out") == ({1.0}, 1)
    staging = staged(tmp_path / "out", 2)
    with pytest.raises(Refused, match="cannot be exchanged"):
        publish(staging, overwrite=True)
    assert read(tmp_path / "out") == ({1.0}, 1) and read(Path(staging.array)) == ({2.0}, 2)


def test_temporaries_of_killed_writers_are_not_published(tmp_path: Path) -> None:
    staging = staged(tmp_path / "out", 1)
    Path(staging.array, "c/0/1.77-1-0.partial").write_bytes(b"torn")
    publish(staging, overwrite=False)
    assert read(tmp_path / "out") == ({1.0}, 1)


def test_publishing_twice_is_an_error_with_a_name(tmp_path: Path) -> None:
    staging = staged(tmp_path / "out", 1)
    publish(staging, overwrite=False)
    with pytest.raises(TakenOver, match="this one stops"):
        publish(staging, overwrite=True)
    assert read(tmp_path / "out") == ({1.0}, 1)


@pytest.mark.parametrize("call", ["set_attributes", "certify", "publish"])
def test_a_run_that_was_taken_over_changes_nothing(tmp_path: Path, call: str) -> None:
    staging = staged(tmp_path / "out", 1)
    records, found = records_in(staging), find_staging(tmp_path / "out")
    assert found is not None
    take_over(found)
    asked = {
        "set_attributes": lambda: set_attributes(staging, {"gemmflow": 2}),
        "certify": lambda: certify(staging, {"value": 2}, records),
        "publish": lambda: publish(staging, overwrite=True),
    }
    with pytest.raises(TakenOver, match="run r of"):
        asked[call]()
    assert not Path(staging.folder).exists() and not (tmp_path / "out").exists()
    publish(replace(staging, epoch=2), overwrite=False)
    assert read(tmp_path / "out") == ({1.0}, 1)


def test_a_certificate_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    staging = staged(tmp_path / "out", 1)
    records = records_in(staging)
    for wrong in (records[:-1], (*records, records[0]), (*records, replace(records[0], key="c/9/9"))):
        with pytest.raises(ValueError, match="do not match"):
            certify(staging, {"value": 2}, wrong)
    for certificate in ({"value": float("nan")}, {"inner": {"root": ""}}):
        with pytest.raises(ValueError, match=r"JSON|root"):
            certify(staging, certificate, records)
    assert read(Path(staging.array)) == ({1.0}, 1)


def test_a_run_certified_but_not_published_is_known_as_such(tmp_path: Path) -> None:
    staged(tmp_path / "out", 1)  # its certificate does not say whose it is
    found = find_staging(tmp_path / "out")
    assert found is not None and not is_published(found)


def test_a_parent_that_cannot_be_synced_does_not_deny_what_was_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = staged(tmp_path / "out", 1)
    synced = module.sync_folder

    def fail(path: str) -> None:
        if path == str(tmp_path):
            raise OSError(errno.EIO, "Input/output error")
        synced(path)

    monkeypatch.setattr(module, "sync_folder", fail)
    with pytest.raises(GemmflowError, match="out is published and whole, but may not survive a power loss"):
        publish(staging, overwrite=False)
    assert read(tmp_path / "out") == ({1.0}, 1)


def test_discard_removes_the_staging_and_may_be_repeated(tmp_path: Path) -> None:
    staging = staged(tmp_path / "out", 1)
    discard(staging)
    discard(staging)
    assert list(tmp_path.iterdir()) == []


def test_renames_keep_what_they_promise(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_text("b")
    with pytest.raises(FileExistsError):
        rename_with(RENAME_NOREPLACE, str(tmp_path / "a"), str(tmp_path / "b"))
    rename_with(RENAME_EXCHANGE, str(tmp_path / "a"), str(tmp_path / "b"))
    assert (tmp_path / "a").read_text() == "b" and (tmp_path / "b").is_dir()


def test_a_system_without_renameat2_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LIBC", object())
    with pytest.raises(OSError) as caught:
        rename_with(RENAME_EXCHANGE, "a", "b")
    assert caught.value.errno in module.UNSUPPORTED


KILLED = textwrap.dedent(
    """
    import os, shutil, signal, sys
    from pathlib import Path
    import numpy as np
    from storage import OutputSpec, certify, create_staging, publish, write_block
    module = sys.modules[publish.__module__]
    step, out, overwrite = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "overwrite"
    count = 0

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    def die_after(function, nth):
        def call(*arguments):
            global count
            count += 1
            result = function(*arguments)
            if count == nth:
                die()
            return result
        return call

    staging = create_staging(out, OutputSpec((5, 7), "float32", (4, 4), "blosc-lz4"), "power", "killed")
    if step == "staging created":
        die()
    if step == "chunk written aside":
        os.replace = die
    if step == "first chunk renamed":
        os.replace = die_after(os.replace, 1)
    records = write_block(staging, 0, 0, np.full((5, 7), 2, np.float32)).records
    if step == "manifest written aside":
        os.replace = die
    for nth, written in enumerate(("manifest written", "metadata written", "root written"), 1):
        if step == written:
            os.replace = die_after(os.replace, nth)
    certify(staging, {"value": 2, "storage": {"codec": "blosc-lz4"}}, records)
    if step == "before the rename":
        module.rename_with = die
    if step == "after the rename":
        module.rename_with = die_after(module.rename_with, 1)
    if step == "while the old result is deleted":
        shutil.rmtree = lambda path, **_: (os.unlink(path / "journal"), die())
    publish(staging, overwrite)
    """
)
STEPS = {
    "staging created": 1,
    "chunk written aside": 1,
    "first chunk renamed": 1,
    "manifest written aside": 1,
    "manifest written": 1,
    "metadata written": 1,
    "root written": 1,
    "before the rename": 1,
    "after the rename": 2,
    "while the old result is deleted": 2,
}
NEW_STEPS = ["staging created", "first chunk renamed", "root written", "before the rename", "after the rename"]


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "step"), [*[("overwrite", step) for step in STEPS], *[("new", step) for step in NEW_STEPS]])
def test_kill_9_leaves_out_as_it_was_or_complete(tmp_path: Path, mode: str, step: str) -> None:
    out = tmp_path / "out"
    if mode == "overwrite":
        publish(staged(out, 1), overwrite=False)
    done = subprocess.run([sys.executable, "-c", KILLED, step, str(out), mode], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    if mode == "new" and STEPS[step] == 1:
        assert not out.exists()
    else:
        assert read(out) == ({float(STEPS[step])}, STEPS[step])
        with open_result(out) as result:
            assert list(scrub(result, full=True)) == []
    if (found := find_staging(out)) is not None:
        assert is_published(found) == (STEPS[step] == 2)
        discard(found)
    publish(staged(out, 3, "again"), overwrite=True)
    assert read(out) == ({3.0}, 3)
    assert list(tmp_path.iterdir()) == [out]
