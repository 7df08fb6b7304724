"""Who writes to a place on an object store: one object beside it, replaced only by who knows its present content.

    OUT.gemmflow/lease    {"run_id": "..", "epoch": 2, "token": "..", "released": false, "holder": {"host": .., "counter": 17}}

The holder raises the counter, each time naming the etag of the object that he wrote before. Who takes over names the etag that he
watched: of two, one wins, and the old holder's next heartbeat finds another object. Whether a holder is gone is judged as on a
local disk (see lease). A holder that stands still is not stopped by this: what he may still write is bounded by object_output.
"""

import contextlib
import json
import secrets
import threading
import time
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Self

from storage.errors import CorruptData, GemmflowError, Refused, TakenOver
from storage.lease import Holder, is_gone, this_process
from storage.objects import ObjectStore

LEASE = "lease"
HEARTBEAT_SECONDS = 5.0
STANDSTILL_SECONDS = 60.0
_LOOK_SECONDS = 1.0
_STOOD_STILL: set[str] = set()
"""Contents of leases that this process has watched long enough."""


@dataclass(frozen=True)
class Claim:
    """What the lease object says."""

    run_id: str
    epoch: int
    """How many processes, this one included, have held the run."""
    token: str
    """Of the process that wrote it."""
    holder: Holder
    released: bool = False
    """Whether the next one may have it at once."""

    def encode(self) -> bytes:
        """The object's content."""
        return json.dumps(asdict(self)).encode()


@dataclass(frozen=True)
class Seen:
    """A lease as it was when somebody looked."""

    claim: Claim
    etag: str


class ObjectLease:
    """The right to write, kept by a heartbeat until it is released or lost."""

    def __init__(self, home: ObjectStore, claim: Claim, etag: str) -> None:
        self.lost = threading.Event()
        """Set where another run took over."""
        self._home, self._claim, self._etag = home, claim, etag
        self._renewed = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    @property
    def claim(self) -> Claim:
        """What it says now."""
        return self._claim

    @classmethod
    def take(cls, home: ObjectStore, run_id: str) -> Self:
        """Begin; raises Refused where somebody has begun before."""
        claim = Claim(run_id, 1, secrets.token_hex(8), this_process(1))
        etag = home.put_if_absent(LEASE, claim.encode())
        if etag is None:
            raise Refused(f"{home}/{LEASE} exists: another run was started; wait for it or go on with it")
        return cls(home, claim, etag)

    @classmethod
    def take_over(cls, home: ObjectStore, seen: Seen) -> Self:
        """Go on where somebody ended (see `require_free_lease`); raises Refused where he has not, or another one was faster."""
        epoch = seen.claim.epoch + 1
        claim = Claim(seen.claim.run_id, epoch, secrets.token_hex(8), this_process(epoch))
        etag = home.put_if_match(LEASE, claim.encode(), seen.etag)
        if etag is None:
            raise Refused(f"the unfinished run {seen.claim.run_id} at {home} was taken over or ended meanwhile: try again")
        return cls(home, claim, etag)

    def confirm(self) -> None:
        """Return where the lease is held at this moment; raises TakenOver."""
        with self._lock:
            self._renew(replace(self._claim, holder=replace(self._claim.holder, counter=self._claim.holder.counter + 1)))
        if self.lost.is_set():
            raise TakenOver(f"run {self._claim.run_id} at {self._home} was taken over by another one: this one stops")

    def check(self) -> None:
        """Return where the lease was held within the last heartbeat; raises TakenOver. Costs a request only after a standstill."""
        if self.lost.is_set() or time.clock_gettime(time.CLOCK_BOOTTIME) - self._renewed > 2 * HEARTBEAT_SECONDS:
            self.confirm()

    def drop(self) -> None:
        """Remove the lease: there is nothing left to hold. Raises TakenOver."""
        self._over.set()
        self._thread.join()
        self.confirm()
        self._home.delete(LEASE)

    def release(self) -> None:
        """Let go; whoever comes next goes on at once. Releasing twice is harmless."""
        if self._over.is_set():
            return
        self._over.set()
        self._thread.join()
        with self._lock, contextlib.suppress(GemmflowError):
            self._renew(replace(self._claim, released=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT_SECONDS) and not self.lost.is_set():
            with contextlib.suppress(GemmflowError):  # a store that is away for a while; TakenOver sets `lost`
                self.confirm()

    def _renew(self, claim: Claim) -> None:
        """Write the claim; where the object is another one than expected but ours, an earlier answer was lost: once more."""
        for _ in range(2):
            began = time.clock_gettime(time.CLOCK_BOOTTIME)  # counts while a machine sleeps
            etag = self._home.put_if_match(LEASE, claim.encode(), self._etag)
            if etag is not None:
                self._claim, self._etag, self._renewed = claim, etag, began
                return
            seen = read_lease(self._home)
            if seen is None or seen.claim.token != self._claim.token:
                break
            self._etag = seen.etag
        self.lost.set()


def require_conditional_writes(home: ObjectStore) -> None:
    """Raise Refused where the service takes every write, whatever its condition: there nothing keeps two writers apart."""
    key = f"probe-{secrets.token_hex(8)}"
    try:
        etag = home.put_if_absent(key, b"1")
        honoured = bool(etag) and home.put_if_absent(key, b"2") is None
        honoured = honoured and home.put_if_match(key, b"3", f'"{secrets.token_hex(16)}"') is None
    finally:
        home.delete(key)
    if not honoured:
        raise Refused(f"{home}: this service ignores If-None-Match or If-Match, so two runs could write at once: write to a local disk")


def read_lease(home: ObjectStore) -> Seen | None:
    """The lease, None where there is none; raises CorruptData."""
    try:
        content, etag = home.read_tagged(LEASE)
        fields = json.loads(content)
        holder = Holder(**fields.pop("holder"))
        return Seen(Claim(holder=holder, **fields), etag)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptData(f"{home}/{LEASE} is damaged: see that no run is writing there, then remove it") from error


def require_free_lease(home: ObjectStore, standstill: float = STANDSTILL_SECONDS, look: float = _LOOK_SECONDS) -> Seen | None:
    """The lease of an unfinished run, once it may be taken over; None where there is none.

    Raises Refused, naming the holder, as soon as his counter moves.
    """
    first, began = read_lease(home), time.monotonic()
    while first and not first.claim.released and not is_gone(first.claim.holder, first.claim.epoch) and first.etag not in _STOOD_STILL:
        if time.monotonic() - began > standstill:
            _STOOD_STILL.add(first.etag)
            break
        time.sleep(look)
        now = read_lease(home)
        if now is None or now.claim.released:
            return now
        if now.etag != first.etag:
            raise Refused(f"{home} is being written by {now.claim.holder.name} (run {now.claim.run_id}): wait for it, or end it")
    return first
