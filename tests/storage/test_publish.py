"""A result becomes visible whole, once, and a killed run leaves OUT as it was or as it should be."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import DiskFull, GemmflowError, OutputSpec, Refused, Staging, create_staging, discard, publish, set_attributes, write_block
from storage import publish as publish_function
from storage.publish import RENAME_EXCHANGE, RENAME_NOREPLACE, rename_with

module = sys.modules[publish_function.__module__]
ROOT = Path(__file__).parents[2]


def staged(out: Path, value: float, run_id: str = "r") -> Staging:
    staging = create_staging(out, OutputSpec((5, 7), "float32", (4, 4), "blosc-lz4"), "process", run_id)
    write_block(staging, 0, 0, np.full((5, 7), value, np.float32))
    set_attributes(staging, {"gemmflow": {"value": value}})
    return staging


def read(out: Path) -> tuple[set[float], object]:
    """Values of an array, which must be complete, and its certificate."""
    array = zarr.open_array(out, mode="r")
    assert sorted(path.name for path in out.iterdir()) == ["c", "zarr.json"]
    assert not list(out.rglob("*.partial"))
    certificate = array.attrs.asdict().get("gemmflow")
    return set(np.unique(np.asarray(array[...])).tolist()), certificate["value"] if isinstance(certificate, dict) else None


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
    set_attributes(staging, {"units": "m"})
    array = zarr.open_array(staging.array, mode="r")
    assert array.attrs.asdict() == {"gemmflow": {"value": 1}, "units": "m"}
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
    assert zarr.open_array(staging.array, mode="r").attrs.asdict() == {"gemmflow": {"value": 1}}


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
    with pytest.raises(GemmflowError, match="cannot be published"):
        publish(staging, overwrite=True)
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
    from storage import OutputSpec, create_staging, publish, set_attributes, write_block
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
    write_block(staging, 0, 0, np.full((5, 7), 2, np.float32))
    if step == "attributes written aside":
        os.replace = die
    set_attributes(staging, {"gemmflow": {"value": 2}})
    if step == "before the rename":
        module.rename_with = die
    if step == "after the rename":
        module.rename_with = die_after(module.rename_with, 1)
    if step == "while the old result is deleted":
        shutil.rmtree = lambda *_, **__: (os.unlink(staging.journal), die())
    publish(staging, overwrite)
    """
)
STEPS = {
    "staging created": 1,
    "chunk written aside": 1,
    "first chunk renamed": 1,
    "attributes written aside": 1,
    "before the rename": 1,
    "after the rename": 2,
    "while the old result is deleted": 2,
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("mode", ["new", "overwrite"])
def test_kill_9_leaves_out_as_it_was_or_complete(tmp_path: Path, step: str, mode: str) -> None:
    out = tmp_path / "out"
    if mode == "overwrite":
        publish(staged(out, 1), overwrite=False)
    done = subprocess.run([sys.executable, "-c", KILLED, step, str(out), mode], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    if mode == "new" and STEPS[step] == 1:
        assert not out.exists()
    else:
        assert read(out) == ({float(STEPS[step])}, STEPS[step])
    publish(staged(out, 3, "again"), overwrite=True)
    assert read(out) == ({3.0}, 3)
