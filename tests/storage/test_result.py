"""A stored result tells how it was made, and stays whole for its reader whatever happens to OUT."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import zarr

from storage import BadInput, CorruptData, Result, leftovers, open_result, read_certificate, result, scrub, sweep


def values(opened: Result) -> set[float]:
    block = np.empty(opened.matrix.shape, opened.matrix.dtype)
    opened.matrix.read_into(block, slice(None), slice(None))
    return set(np.unique(block).tolist())


def test_a_result_tells_what_it_is(store) -> None:
    out = store(codec="zstd", value=3)
    with open_result(out) as opened:
        assert opened.out == out and values(opened) == {3}
        assert opened.certificate == read_certificate(out) == {**opened.certificate, "schema": 1, "run_id": "r", "root": opened.root}
        assert len(opened.root) == 64 and [chunk.key for chunk in opened.manifest.chunks] == ["c/0/0", "c/0/1", "c/1/0", "c/1/1"]
        assert opened.manifest.stored_bytes == sum(path.stat().st_size for path in (out / "c").rglob("*") if path.is_file())


def test_the_same_run_has_the_same_root_and_any_other_value_another(store) -> None:
    roots = [read_certificate(store(name, value=value))["root"] for name, value in (("a", 1), ("b", 1), ("c", 2))]
    assert roots[0] == roots[1] != roots[2]


def test_a_reader_keeps_the_old_result_across_an_overwrite(tmp_path: Path, store) -> None:
    out = store(value=1)
    with open_result(out) as old:
        store(value=2)
        store(value=3)
        with open_result(out) as new:
            assert values(new) == {3}
        assert values(old) == {1} and list(scrub(old, full=True)) == []
        assert old.certificate["root"] == old.root and len(old.manifest.chunks) == 4
        assert len(leftovers(out)) == 1, "only what is read is kept"
        sweep(out)
        assert values(old) == {1}
    sweep(out)
    assert list(tmp_path.iterdir()) == [out]


def test_a_result_knows_whether_it_is_still_the_one_at_out(store) -> None:
    out = store(value=1)
    with open_result(out) as old:
        assert old.is_current
        store(value=2)
        assert not old.is_current
    with open_result(out) as new:
        out.rename(f"{out}.moved")
        assert not new.is_current


def test_what_the_last_reader_closed_goes_with_the_next_publication(tmp_path: Path, store) -> None:
    out = store(value=1)
    with open_result(out):
        store(value=2)
        assert len(list(tmp_path.iterdir())) == 2
    store(value=3)
    assert list(tmp_path.iterdir()) == [out]


def test_out_replaced_between_open_and_lock_is_opened_again(store, monkeypatch: pytest.MonkeyPatch) -> None:
    out, flock, turns = store(value=1), result.fcntl.flock, iter(range(10))

    def late(descriptor: int, operation: int) -> None:
        if operation & result.fcntl.LOCK_SH and next(turns) == 0:
            store(value=2)
        flock(descriptor, operation)

    monkeypatch.setattr(result.fcntl, "flock", late)
    with open_result(out) as opened:
        assert values(opened) == {2} and list(scrub(opened, full=True)) == []
    assert next(turns) == 2


def test_out_that_is_replaced_for_ever_is_said(store, monkeypatch: pytest.MonkeyPatch) -> None:
    out = store()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    monkeypatch.setattr(os.path, "samestat", lambda *_: False)
    with pytest.raises(BadInput, match="exchanged faster than it can be opened"), open_result(out):
        pass
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_readers_beside_a_writer_always_see_one_whole_result(tmp_path: Path, store) -> None:
    out, over = store(value=0), Event()

    def watch() -> Iterator[float]:
        while not over.is_set():
            with open_result(out) as opened:
                seen = values(opened)
                assert len(seen) == 1 and list(scrub(opened, full=True)) == []
                yield seen.pop()

    with ThreadPoolExecutor(1) as pool:
        seen = pool.submit(lambda: list(watch()))
        for value in range(1, 9):
            store(value=value)
        over.set()
        assert seen.result() == sorted(seen.result())
    sweep(out)
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_system_without_locks_is_read_all_the_same(store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    out = store(value=1)
    monkeypatch.setattr(result.fcntl, "flock", refuse)
    with open_result(out) as opened:
        assert values(opened) == {1}


def test_what_is_no_result_is_bad_input(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "plain", shape=(4, 4), chunks=(2, 2), dtype="f4")
    zarr.create_array(tmp_path / "odd", shape=(4, 4), chunks=(2, 2), dtype="f4", attributes={"gemmflow": 3})
    (tmp_path / "bare").mkdir()
    for name in ("bare", "plain", "odd"):
        with pytest.raises(BadInput, match="is no result of gemmflow"):
            read_certificate(tmp_path / name)
        with open_result(tmp_path / name) as opened, pytest.raises(BadInput, match=rf"{name} is no result of gemmflow"):
            _ = opened.root
    (tmp_path / "file").touch()
    for name, why in (("gone", "does not exist"), ("file", "it is a file"), ("gone/deep", "does not exist")):
        with pytest.raises(BadInput, match=why), open_result(tmp_path / name):
            pass
    with pytest.raises(BadInput, match="does not exist: check the path"):
        read_certificate(tmp_path / "gone")


def test_a_result_of_before_has_no_manifest(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "old", shape=(4, 4), chunks=(2, 2), dtype="f4", attributes={"gemmflow": {"schema": 1}})
    with open_result(tmp_path / "old") as opened:
        assert opened.root == ""
        with pytest.raises(BadInput, match="older gemmflow"):
            _ = opened.manifest


def test_damaged_metadata_are_damage_and_named_as_the_caller_did(store) -> None:
    out = store()
    (out / "gemmflow/manifest").unlink()
    with open_result(out) as opened, pytest.raises(CorruptData, match=rf"^{out}/gemmflow/manifest cannot be read"):
        _ = opened.manifest
    (out / "zarr.json").write_bytes((out / "zarr.json").read_bytes()[:100])
    with pytest.raises(CorruptData, match=r"damaged zarr\.json .*repair"):
        read_certificate(out)
    with open_result(out) as opened, pytest.raises(CorruptData, match=rf"^{out} has a damaged"):
        _ = opened.certificate
