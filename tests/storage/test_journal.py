"""The journal: what was appended is read back, up to the first torn or damaged byte."""

import errno
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import BadInput, DiskFull, GemmflowError, Journal, read_journal, scan_journal
from storage.journal import MAGIC, frame

several = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
texts = st.text(max_size=8)
records = st.lists(st.dictionaries(texts, st.none() | st.integers() | texts | st.lists(st.integers(), max_size=3), max_size=4), max_size=6)


def write(path: Path, contents: list[dict[str, object]]) -> bytes:
    path.unlink(missing_ok=True)
    with Journal.create(path) as journal:
        for record in contents:
            journal.append(record)
    return path.read_bytes()


@several
@given(records)
def test_what_is_appended_is_read_back(tmp_path: Path, contents: list) -> None:
    raw = write(tmp_path / "j", contents)
    assert read_journal(tmp_path / "j") == contents
    assert scan_journal(tmp_path / "j").good_bytes == len(raw)


def test_a_torn_tail_at_every_byte_offset(tmp_path: Path) -> None:
    contents: list[dict[str, object]] = [{"kind": "plan", "tiles": 3}, {"kind": "tile", "é": [1, 2]}, {}]
    raw = write(tmp_path / "j", contents)
    ends = [len(MAGIC)]
    for record in contents:
        ends.append(ends[-1] + len(frame(record)))
    assert ends[-1] == len(raw)
    for cut in range(len(raw) + 1):
        (tmp_path / "j").write_bytes(raw[:cut])
        scan = scan_journal(tmp_path / "j")
        whole = sum(end <= cut for end in ends) - 1
        assert scan.records == contents[: max(whole, 0)]
        assert scan.good_bytes == (ends[whole] if whole >= 0 else 0)


@several
@given(st.data())
def test_a_damaged_byte_never_gives_a_wrong_record(tmp_path: Path, data: st.DataObject) -> None:
    contents: list[dict[str, object]] = [{"kind": "tile", "index": index} for index in range(5)]
    raw = bytearray(write(tmp_path / "j", contents))
    at = data.draw(st.integers(len(MAGIC), len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    (tmp_path / "j").write_bytes(raw + b"\0" * data.draw(st.integers(0, 20)))
    scan = scan_journal(tmp_path / "j")
    assert scan.records == contents[: len(scan.records)] and len(scan.records) < 5
    assert scan.good_bytes <= at


def test_zeros_after_the_records_are_a_torn_tail(tmp_path: Path) -> None:
    raw = write(tmp_path / "j", [{"kind": "plan"}])
    (tmp_path / "j").write_bytes(raw + bytes(100))
    assert scan_journal(tmp_path / "j").good_bytes == len(raw)


def test_creating_replaces_what_was_there_whole(tmp_path: Path) -> None:
    old = Journal.create(tmp_path / "j")
    old.append({"kind": "old"})
    old.sync()
    with Journal.create(tmp_path / "j", [{"kind": "first"}]) as journal:
        old.append({"kind": "late"})  # to a file that no path reaches any more
        old.sync()
        journal.append({"kind": "second"})
    old.close()
    assert read_journal(tmp_path / "j") == [{"kind": "first"}, {"kind": "second"}]
    assert list(tmp_path.iterdir()) == [tmp_path / "j"]


def test_reopening_keeps_the_records_and_cuts_a_torn_tail(tmp_path: Path) -> None:
    contents: list[dict[str, object]] = [{"kind": "tile", "index": index, "seconds": index / 7, "é": "\u2028"} for index in range(2000)]
    raw = write(tmp_path / "j", contents)
    for torn in (b"", b"\x10", frame({"kind": "tile"})[:-1], bytes(50)):
        (tmp_path / "j").write_bytes(raw + torn)
        with Journal.reopen(tmp_path / "j") as journal:
            assert (tmp_path / "j").read_bytes() == raw
            journal.append({"kind": "more"})
        assert read_journal(tmp_path / "j") == [*contents, {"kind": "more"}]


def test_a_killed_creation_leaves_the_old_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = write(tmp_path / "j", [{"kind": "old"}])
    (tmp_path / "j.partial").write_bytes(b"torn")

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(DiskFull, match="no room to write"):
            Journal.create(tmp_path / "j", [{"kind": "new"}])
    assert (tmp_path / "j").read_bytes() == raw and list(tmp_path.iterdir()) == [tmp_path / "j"]


def test_a_failed_sync_is_never_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.create(tmp_path / "j")
    journal.append({"kind": "tile"})

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(GemmflowError, match="Input/output error"):
            journal.sync()
    for ask in (journal.sync, journal.close):
        with pytest.raises(GemmflowError, match="Input/output error"):
            ask()
    journal.close()


def test_a_sync_without_new_records_does_not_ask_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal.create(tmp_path / "j") as journal:
        journal.append({})
        journal.sync()
        monkeypatch.setattr(os, "fsync", lambda descriptor: pytest.fail("synced"))
        journal.sync()


def test_threads_share_a_journal(tmp_path: Path) -> None:
    def work(thread: int) -> None:
        for index in range(100):
            journal.append({"thread": thread, "index": index, "text": "x" * index})
            if index % 25 == 0:
                journal.sync()

    with Journal.create(tmp_path / "j") as journal, ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    found = read_journal(tmp_path / "j")
    assert len(found) == 400
    for thread in range(4):
        assert [record["index"] for record in found if record["thread"] == thread] == list(range(100))


def test_every_single_bit_flip_is_detected(tmp_path: Path) -> None:
    contents: list[dict[str, object]] = [{"i": index} for index in range(3)]
    raw = write(tmp_path / "j", contents)
    for bit in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / "j").write_bytes(flipped)
        if bit < 8 * len(MAGIC):
            with pytest.raises(BadInput, match="no gemmflow journal"):
                scan_journal(tmp_path / "j")
        else:
            scan = scan_journal(tmp_path / "j")
            assert scan.records == contents[: len(scan.records)] and len(scan.records) < 3 and scan.good_bytes <= bit // 8


def test_what_is_no_journal_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        read_journal(tmp_path / "gone")
    (tmp_path / "text").write_text("something else")
    with pytest.raises(BadInput, match="no gemmflow journal"):
        read_journal(tmp_path / "text")


def test_records_that_are_not_json_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with Journal.create(tmp_path / "j") as journal:
        with pytest.raises(ValueError, match="JSON"):
            journal.append({"kind": float("nan")})
        journal.append({"kind": "tile"})
    journal.close()
    assert read_journal(tmp_path / "j") == [{"kind": "tile"}]


def test_a_full_disk_takes_the_torn_record_back(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal.create(tmp_path / "j") as journal:
        journal.append({"kind": "plan"})
        good = (tmp_path / "j").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (good + 20, hard))
        try:
            with pytest.raises(DiskFull):
                journal.append({"kind": "tile", "text": "x" * 100})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (tmp_path / "j").stat().st_size == good
        journal.append({"kind": "tile"})
    assert read_journal(tmp_path / "j") == [{"kind": "plan"}, {"kind": "tile"}]
