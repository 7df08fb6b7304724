"""Who holds a folder: a live holder is named, a dead one replaced at once, a silent one after a while, and none writes after that."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from storage import (
    DiskFull,
    Found,
    Journal,
    Lease,
    Refused,
    Staging,
    TakenOver,
    create_staging,
    discard,
    find_staging,
    read_journal,
    require_free,
    take_over,
)
from storage import lease as module
from storage.lease import HOLDER, HOLDER_BYTES, JUST_MADE_SECONDS, Holder, read_holder, this_process

ROOT = Path(__file__).parents[2]
SHORT = 0.3


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.02)


@pytest.fixture
def found(staging: Staging) -> Found:
    found = find_staging(Path(staging.out))
    assert found is not None
    return found


def write(found: Found, holder: Holder | dict[str, object] | bytes) -> None:
    content = holder if isinstance(holder, bytes) else json.dumps(holder if isinstance(holder, dict) else asdict(holder)).encode()
    (found.folder / HOLDER).write_bytes(content.ljust(HOLDER_BYTES))


def dead_pid() -> int:
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    return process.pid


def seconds(function, *arguments: object) -> float:
    began = time.monotonic()
    function(*arguments)
    return time.monotonic() - began


def waited(found: Found) -> bool:
    """Whether a standstill had to be awaited."""
    return seconds(require_free, found, SHORT) >= SHORT


def test_a_folder_without_a_holder_is_free_once_it_is_not_just_made(found: Found) -> None:
    assert read_holder(found) is None
    assert JUST_MADE_SECONDS <= seconds(require_free, found) < JUST_MADE_SECONDS + 2
    assert not waited(take_over(found))


def test_a_folder_that_was_just_made_gets_its_holder_in_a_moment(found: Found, staging: Staging) -> None:
    leases: list[Lease] = []
    late = threading.Timer(JUST_MADE_SECONDS / 3, lambda: leases.append(Lease.take(staging)))
    late.start()
    with pytest.raises(Refused, match="is being written by process"):
        require_free(found)
    late.join()
    leases[0].release()


def test_a_living_holder_is_named_soon(found: Found, staging: Staging) -> None:
    with Lease.take(staging) as lease:
        began = time.monotonic()
        with pytest.raises(Refused, match=rf"out\.zarr is being written by process {os.getpid()} on {socket.gethostname()} \(run run1\)"):
            require_free(found)
        assert time.monotonic() - began < 10 and not lease.lost.is_set()
        holder = read_holder(found)
        assert holder is not None and holder.counter > 0 and replace(holder, counter=0) == this_process(1)
        assert (found.folder / HOLDER).stat().st_size == HOLDER_BYTES
    assert not (found.folder / HOLDER).exists()


def test_releasing_lets_go_at_once_and_may_be_repeated(found: Found, staging: Staging) -> None:
    lease = Lease.take(staging)
    lease.release()
    lease.release()
    assert seconds(require_free, found) < JUST_MADE_SECONDS + 2
    with Lease.take(take_over(found).staging(staging.spec, "process")) as again:
        assert not again.lost.is_set()


def test_a_dead_process_of_this_host_is_replaced_at_once(found: Found) -> None:
    write(found, replace(this_process(1), pid=dead_pid()))
    assert not waited(found)


def test_a_process_that_is_dead_but_not_buried_is_replaced_at_once(found: Found) -> None:
    process = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    started = module._start_of(process.pid)
    assert started is not None
    write(found, replace(this_process(1), pid=process.pid, started=started))
    assert waited(found)
    process.communicate()
    process = subprocess.Popen(["/bin/true"])
    started = module._start_of(process.pid) or 1
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    write(found, replace(this_process(1), pid=process.pid, started=started))
    assert not waited(found)
    process.wait()


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({"started": 1}, False),
        ({"boot": "another"}, False),
        ({"boot": "another", "namespace": "another"}, False),
        ({}, True),
        ({"namespace": "pid:[1]"}, True),
        ({"namespace": "pid:[1]", "pid": 1 << 22}, True),
        ({"host": "elsewhere"}, True),
        ({"host": "elsewhere", "boot": "another"}, True),
        ({"machine": "another", "boot": "another"}, True),
        ({"machine": "another", "started": 1}, True),
        ({"epoch": 2, "started": 1}, True),
    ],
)
def test_who_is_judged_by_his_name_and_who_has_to_stand_still(found: Found, monkeypatch, changes: dict, waits: bool) -> None:
    monkeypatch.setattr(module, "_place", lambda: ("installation", "boot", "pid:[4026531836]"))
    write(found, replace(this_process(1), **changes))
    assert waited(found) == waits


def test_hosts_without_an_installation_id_are_not_told_apart_by_name(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_place", lambda: ("", "boot", "pid:[4026531836]"))
    write(found, replace(this_process(1), boot="another"))
    assert waited(found)
    write(found, replace(this_process(1), started=1, counter=2))
    assert not waited(found), "the same boot is the same host"


def test_a_process_of_another_user_that_is_hidden_has_to_stand_still(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(pid: int, number: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    pid = dead_pid()
    monkeypatch.setattr(os, "kill", forbid)
    write(found, replace(this_process(1), pid=pid))
    assert waited(found)
    write(found, replace(this_process(1), started=1, counter=1))
    assert not waited(found), "its start can be read"


def test_a_folder_just_taken_over_is_not_judged_by_its_old_holder(found: Found) -> None:
    write(found, replace(this_process(1), pid=dead_pid()))
    following = take_over(found)
    assert waited(following)


@pytest.mark.parametrize("content", [b"", b"{ torn", b"\xff\xfe", b"[1, 2]", b'{"pid": 1}', b'{"epoch": 1, "extra": 2}', b"null"])
def test_a_damaged_holder_has_to_stand_still(found: Found, content: bytes) -> None:
    (found.folder / HOLDER).write_bytes(content)
    assert read_holder(found) is None and waited(found)


def test_who_stood_still_is_not_watched_twice_unless_he_moved(found: Found) -> None:
    holder = replace(this_process(1), host="elsewhere")
    write(found, holder)
    assert waited(found) and not waited(found)
    write(found, replace(holder, counter=1))
    assert waited(found)


def test_a_release_while_somebody_watches_frees_the_folder(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    write(found, replace(this_process(1), host="elsewhere"))
    monkeypatch.setattr(time, "sleep", lambda _: (found.folder / HOLDER).unlink())
    assert not waited(found)


def test_a_holder_finds_out_that_he_was_taken_over_and_releases_nothing_of_the_other(found: Found, staging: Staging) -> None:
    first = Lease.take(staging)
    following = take_over(found).staging(staging.spec, "process")
    with Lease.take(following) as second:
        assert first.lost.wait(10) and not second.lost.wait(0.2)
        first.release()
        assert Path(following.folder, HOLDER).exists()
    discard(following)


def test_a_lease_on_a_folder_that_is_gone_is_refused(found: Found, staging: Staging) -> None:
    take_over(found)
    with pytest.raises(TakenOver, match="run run1"):
        Lease.take(staging)
    assert not Path(staging.folder).exists()


def test_a_full_disk_does_not_stop_the_heartbeat(found: Found, staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes in place, as many bytes as before: nothing is allocated, nothing cut."""
    with Lease.take(staging):
        opened = Path.open
        modes: list[str] = []

        def watch(path: Path, mode: str = "r", *given: object, **named: object):
            modes.append(mode)
            if path.name == HOLDER and len(modes) < 4:
                raise OSError(errno.ENOSPC, "No space left on device")
            return opened(path, mode, *given, **named)

        inode = (found.folder / HOLDER).stat().st_ino
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", watch)
            deadline = time.monotonic() + 10
            while len(modes) < 6 and time.monotonic() < deadline:
                time.sleep(0.01)
        assert set(modes) == {"r+b"}
        assert (found.folder / HOLDER).stat().st_ino == inode
        with pytest.raises(Refused, match="is being written"):
            require_free(found)


def test_a_lost_holder_file_is_not_a_lost_folder(found: Found, staging: Staging) -> None:
    with Lease.take(staging) as lease:
        (found.folder / HOLDER).unlink()
        assert not lease.lost.wait(0.2)


def test_what_the_system_refuses_is_said(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFull, match="no room"):
        Lease.take(staging)


STOPPED = """
import sys, time
from pathlib import Path
import numpy as np
from storage import *
from storage import lease as module

module.HEARTBEAT_SECONDS = 0.05
out = Path(sys.argv[1])
spec = OutputSpec((4, 4), "float32", (2, 2), "none")
staging = create_staging(out, spec, "power", "stalled")
lease, journal = Lease.take(staging), Journal.reopen(Path(staging.journal))
block = np.ones((4, 4), np.float32)
records = write_block(staging, 0, 0, block).records
journal.append({"kind": "mine"})
journal.sync()
print("ready", flush=True)
sys.stdin.readline()
journal.append({"kind": "late"})
journal.sync()
attempts = [lambda: write_block(staging, 0, 0, block * 2), lambda: certify(staging, {}, records), lambda: publish(staging, True),
            lambda: salvage(staging, records), lambda: set_attributes(staging, {}), lambda: Lease.take(staging)]
for attempt in attempts:
    try:
        attempt()
        print("did it")
    except TakenOver:
        print("TakenOver")
print("lost", lease.lost.wait(10))
lease.release()
discard(staging)
"""


def test_a_holder_that_was_stopped_and_wakes_up_changes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", STOPPED, str(out)]
    holder = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "ready\n"
        found = find_staging(out)
        assert found is not None
        with pytest.raises(Refused, match=rf"process {holder.pid} on"):
            require_free(found)
        holder.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)
        assert waited(found), "a stopped process is not a dead one"
        following = take_over(found)
        records = read_journal(following.folder / "journal")
        before = {path: path.read_bytes() for path in following.folder.rglob("*") if path.is_file() and path.name != HOLDER}
        with Journal.reopen(following.folder / "journal"):
            holder.send_signal(signal.SIGCONT)
            said = holder.communicate("\n", timeout=60)[0].splitlines()
        assert said == ["TakenOver"] * 6 + ["lost True"]
        assert read_journal(following.folder / "journal") == records == [{"kind": "mine"}]
        after = {path: path.read_bytes() for path in following.folder.rglob("*") if path.is_file() and path.name != HOLDER}
        assert after == before and not out.exists() and list((tmp_path / "out.gemmflow").iterdir()) == [following.folder]
    finally:
        with suppress(ProcessLookupError):
            holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_killed_holder_is_replaced_at_once(tmp_path: Path, spec) -> None:
    code = (
        "import sys, time; from pathlib import Path; from storage import *\n"
        "s = create_staging(Path(sys.argv[1]), OutputSpec((4, 4), 'float32', (2, 2), 'none'), 'power', 'killed')\n"
        "Lease.take(s); print('ready', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "out")], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "ready\n"
    with pytest.raises(Refused, match="another run"):
        create_staging(tmp_path / "out", spec, "process", "second")
    holder.kill()
    holder.wait()
    holder.stdout.close()
    found = find_staging(tmp_path / "out")
    assert found is not None and not waited(found)
    discard(take_over(found))
    assert list(tmp_path.iterdir()) == []
