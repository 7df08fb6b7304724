"""Where a result is written, in the same words for a folder of this host and for an object store.

    Site   an OUT             may it be written, what lies there, what an unfinished run left, begin
    Left   an unfinished run  may it be taken over, what it recorded, go on
    Hold   a run's staging    blocks, partial sums, the codec (workers); journal, certificate, publish (the driver)

                 site_of(out)          hold_of(staging, lease)
    a path       site_local            staging, lease, journal, salvage, write, publish, settled
    s3://...     site_objects          object_output, object_lease, object_journal

A staging travels to the workers; a Hold is made where it is used. Who asks which of the two it is, asks here.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

from storage.address import is_url
from storage.errors import TakenOver
from storage.formats import open_folder
from storage.journal import Record
from storage.lease import Lease
from storage.matrix import Block
from storage.output import OutputSpec
from storage.record import ChunkRecord
from storage.seal import Seal
from storage.settled import Decision
from storage.staging import Durability, Found, Staging, Start
from storage.write import Elements, WriteResult

if TYPE_CHECKING:
    from storage.object_lease import ObjectLease
    from storage.object_output import ObjectFound, ObjectStaging

AnyStaging: TypeAlias = "Staging | ObjectStaging"
AnyLease: TypeAlias = "Lease | ObjectLease"
AnyFound: TypeAlias = "Found | ObjectFound"
Held: TypeAlias = "tuple[AnyStaging, AnyLease]"


class OpenJournal(Protocol):
    """A journal that its one writer has open."""

    def append(self, record: Record) -> None:
        """Add a record; it is durable after the next `sync`."""
        ...

    def sync(self) -> None:
        """Make every record so far durable."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class Left(Protocol):
    """A run that was started at an OUT and did not end."""

    @property
    def found(self) -> "AnyFound":
        """What tells it from another one."""
        ...

    @property
    def run_id(self) -> str:
        """Its run."""
        ...

    @property
    def seal(self) -> Seal | None:
        """What opens it; None where it is plain. Raises as `read_seal` does."""
        ...

    def require_free(self) -> None:
        """Return when it may be taken over; raises Refused, naming the holder, while somebody writes."""
        ...

    def is_over(self) -> bool:
        """Whether there is nothing to go on with: its result is visible, or it had recorded nothing at all."""
        ...

    def records(self) -> list[Record]:
        """Its journal, oldest first; raises BadInput, CorruptData where that is damaged."""
        ...

    def has_sums(self) -> bool:
        """Whether partial sums of it are kept."""
        ...

    def take_over(self, spec: OutputSpec, durability: Durability) -> "Held":
        """Go on with it; raises Refused where another one was faster."""
        ...

    def discard(self) -> None:
        """Remove it."""
        ...


class Site(Protocol):
    """An OUT."""

    def check(self, inputs: Sequence[str | Path], overwrite: bool) -> None:
        """Raise BadInput or Refused where it cannot be written; writes nothing that stays."""
        ...

    def check_space(self, nbytes: int) -> None:
        """Raise Refused where so many bytes do not fit."""
        ...

    def left(self) -> Left | None:
        """The unfinished run, None where there is none."""
        ...

    def begin(self, spec: OutputSpec, durability: Durability, run_id: str, start: Start) -> "Held":
        """Start a run; raises Refused where another one has begun."""
        ...

    def clean(self) -> list[str]:
        """Remove what unfinished runs left; returns its names. Raises Refused where somebody writes."""
        ...


class Hold(Protocol):
    """What a run may do with its staging. A worker has no lease: he writes blocks, keeps partial sums and settles the codec."""

    def write(self, row0: int, col0: int, block: Block | Elements) -> WriteResult:
        """Write a block durably; see `write_block`."""
        ...

    def settle(self, decide: Callable[[], Decision]) -> Decision:
        """The decision that all workers of the run follow; the first to decide wins."""
        ...

    def read_settled(self) -> Decision | None:
        """What was settled."""
        ...

    def keep_sum(self, name: str, content: bytes) -> None:
        """Keep a partial sum until the run ends."""
        ...

    def read_sum(self, name: str) -> bytes | None:
        """A partial sum that was kept; None where there is none, or it is not what was written."""
        ...

    def has_sums(self) -> bool:
        """Whether partial sums are kept."""
        ...

    def journal(self) -> OpenJournal:
        """Open the run's journal to go on with it."""
        ...

    def keep(self, records: Sequence[Record], chunks: Iterable[ChunkRecord]) -> set[str]:
        """Keys of these chunks of a run taken over that are sound; a journal that can be cut keeps only these records."""
        ...

    def put_token(self, token: str) -> str:
        """Put a text where every worker must find it; returns its address."""
        ...

    def certify(self, codec: str, certificate: dict[str, object], chunks: Iterable[ChunkRecord]) -> str:
        """Put certificate and manifest beside the chunks, stored with this codec; returns the root."""
        ...

    def publish(self, overwrite: bool) -> None:
        """Make the result OUT and remove the rest."""
        ...

    def discard(self) -> None:
        """Remove what belongs to the run."""
        ...

    def taken_over(self) -> TakenOver:
        """The error for a run that another one holds now."""
        ...


def site_of(out: str | Path) -> Site:
    """The site of an OUT; raises BadInput where the library of object stores is missing."""
    if is_url(out):
        open_folder(str(out))
        from storage.site_objects import object_site  # noqa: PLC0415  its library is an extra

        return object_site(str(out))
    from storage.site_local import LocalSite  # noqa: PLC0415  it imports this file

    return LocalSite(Path(out))


def hold_of(staging: "AnyStaging", lease: "AnyLease | None" = None) -> Hold:
    """What may be done with a staging."""
    if isinstance(staging, Staging):
        from storage.site_local import LocalHold  # noqa: PLC0415

        return LocalHold(staging)
    from storage.site_objects import ObjectHold  # noqa: PLC0415

    return ObjectHold(staging, lease)


def read_token(address: str) -> bytes:
    """What `put_token` put there; raises OSError, GemmflowError."""
    if not is_url(address):
        return Path(address).read_bytes()
    from storage.objects import object_store  # noqa: PLC0415

    folder, _, name = address.rpartition("/")
    return object_store(folder).read(name).content
