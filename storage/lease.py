"""Who writes to a staging folder, and whether he still does.

The holder says who he is in a file of his folder and raises a counter there every second:

    {"run_id": "..", "epoch": 2, "host": "..", "pid": 41, ..., "counter": 17}          always HOLDER_BYTES long

An observer refuses a folder whose counter moves. It may be taken over at once where nobody holds it, or where the holder was a
process of this host that is gone (process id, its start time, the boot and the process namespace say so); any other holder has
to stand still for STANDSTILL_SECONDS on the observer's own clock. No clocks of two hosts are compared. A holder that was only
slow loses nothing but his run: his paths are gone (see staging), so he can neither write nor publish, and finds out here.
"""

import json
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.errors import Refused
from storage.staging import Found, Staging, taken_over
from storage.sync import write_error

HOLDER = "holder"
HOLDER_BYTES = 1024
HEARTBEAT_SECONDS = 1.0
STANDSTILL_SECONDS = 20.0
_LOOK_SECONDS = 0.1
JUST_MADE_SECONDS = 0.3


@dataclass(frozen=True)
class Holder:
    """A process that holds a staging folder."""

    epoch: int
    """Of the folder when he took it."""
    host: str
    """Name of his host."""
    machine: str
    """Installation id of that host."""
    boot: str
    """Id of its boot."""
    namespace: str
    """Process namespace: a process id means nothing in another one."""
    pid: int
    started: int
    """Start of the process in clock ticks after the boot: process ids repeat, this does not."""
    counter: int = 0
    """Heartbeats so far."""

    @property
    def name(self) -> str:
        """For people."""
        return f"process {self.pid} on {self.host}"


class Lease:
    """The right to write to a staging folder, kept by a heartbeat until it is released or lost."""

    def __init__(self, staging: Staging) -> None:
        self.staging = staging
        self.lost = threading.Event()
        """Set where another run took the folder over."""
        self._path = Path(staging.folder, HOLDER)
        self._holder = this_process(staging.epoch)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    @classmethod
    def take(cls, staging: Staging) -> Self:
        """Say that this process holds the folder. Raises TakenOver, DiskFull, GemmflowError."""
        lease = cls(staging)
        try:
            lease._path.write_bytes(_encode(lease._holder))
        except FileNotFoundError as error:
            raise taken_over(staging) from error
        except OSError as error:
            raise write_error(lease._path, error) from error
        lease._thread.start()
        return lease

    def release(self) -> None:
        """Give the folder back; whoever comes next takes it at once. Releasing twice is harmless."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT_SECONDS):
            self._holder = replace(self._holder, counter=self._holder.counter + 1)
            try:
                with self._path.open("r+b", buffering=0) as file:  # in place: needs no room on a full disk
                    file.write(_encode(self._holder))
            except FileNotFoundError:
                if Path(self.staging.folder).is_dir():
                    continue
                self.lost.set()
                return
            except OSError:
                continue


def require_free(found: Found, standstill: float = STANDSTILL_SECONDS) -> None:
    """Return when the folder may be taken over; raises Refused, naming the holder, as soon as his counter moves."""
    began, first = time.monotonic(), _first(found)
    while first is not None and not is_gone(_decode(first), found.epoch) and _STOOD_STILL.get(found.folder) != first:
        time.sleep(_LOOK_SECONDS)
        now = _read(found)
        if now is None:
            return
        if now != first:
            raise Refused(f"{found.out} is being written by {_name(now)} (run {found.run_id}): wait for it, or end it and run again")
        if time.monotonic() - began > standstill:
            _STOOD_STILL[found.folder] = first


def _first(found: Found) -> bytes | None:
    """Who holds the folder; a folder that was made a moment ago gets its holder in the next one."""
    raw, deadline = _read(found), time.monotonic() + JUST_MADE_SECONDS
    while raw is None and found.epoch == 1 and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS / 4)
        raw = _read(found)
    return raw


_STOOD_STILL: dict[Path, bytes] = {}
"""Holders that this process has watched long enough, as they were then."""


def read_holder(found: Found) -> Holder | None:
    """Who holds the folder; None where nobody does or the file is damaged."""
    raw = _read(found)
    return None if raw is None else _decode(raw)


def this_process(epoch: int) -> Holder:
    """This process as a holder."""
    pid = os.getpid()
    return Holder(epoch, socket.gethostname(), *_place(), pid, _start_of(pid) or 0)


def _read(found: Found) -> bytes | None:
    try:
        return (found.folder / HOLDER).read_bytes()
    except OSError:
        return None


def _decode(raw: bytes) -> Holder | None:
    try:
        return Holder(**json.loads(raw))
    except (ValueError, TypeError):
        return None


def _name(raw: bytes) -> str:
    holder = _decode(raw)
    return "an unknown process" if holder is None else holder.name


def is_gone(holder: Holder | None, epoch: int) -> bool:
    """Whether the holder was a process of this host and ended.

    A folder that is newer than its holder is just being taken over: then nobody is judged by an old file.
    """
    machine, boot, namespace = _place()
    if holder is None or holder.epoch != epoch or (holder.host, holder.machine) != (socket.gethostname(), machine):
        return False
    if holder.boot != boot:
        return machine != ""  # by their names alone, two hosts may be one
    return holder.namespace == namespace and _start_of(holder.pid) != holder.started and not _is_hidden(holder.pid)


@cache
def _place() -> tuple[str, str, str]:
    """Installation, boot and process namespace of this process."""
    return _text("/etc/machine-id"), _text("/proc/sys/kernel/random/boot_id"), os.readlink("/proc/self/ns/pid")  # noqa: PTH115


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _start_of(pid: int) -> int | None:
    """Start time of a process, None where there is none or it is dead and not yet buried. See proc_pid_stat(5)."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else int(fields[18])


def _is_hidden(pid: int) -> bool:
    """Whether there is a process that this user may not look at. See hidepid in proc(5)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return not os.access(f"/proc/{pid}/stat", os.R_OK)
    except OSError:
        return False
    return False


def _encode(holder: Holder) -> bytes:
    text = json.dumps(asdict(holder)).encode()
    if len(text) > HOLDER_BYTES:
        raise ValueError(f"a holder of {len(text)} bytes does not fit {HOLDER_BYTES}")
    return text.ljust(HOLDER_BYTES)
