"""A site on an object store (see site).

OUT.gemmflow/RUN/codec     what the first worker settled, created only if it is not there
OUT.gemmflow/RUN/token     what every worker must find
OUT.gemmflow/RUN/sums/..   partial sums of tiles that are not finished
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from storage.address import absolute, is_url
from storage.codecs import GOALS
from storage.errors import BadInput, GemmflowError, TakenOver, Unreachable
from storage.journal import Record
from storage.lease import Lease
from storage.matrix import Block
from storage.object_journal import ObjectJournal, read_object_journal
from storage.object_lease import ObjectLease, Seen, read_lease, require_free_lease
from storage.object_output import (
    ObjectFound,
    ObjectStaging,
    certify_objects,
    check_object_out,
    create_object_staging,
    discard_copies,
    discard_objects,
    home_of,
    is_published_object,
    publish_objects,
    salvage_objects,
    take_over_object_staging,
    write_object_block,
)
from storage.objects import ObjectStore, object_store
from storage.output import OutputSpec
from storage.record import ChunkRecord
from storage.settled import Decision
from storage.staging import Durability, Start
from storage.sums import FOLDER as SUMS
from storage.sums import with_digest, without_digest
from storage.write import Elements, WriteResult

CODEC, TOKEN = "codec", "token"


def object_site(out: str) -> "ObjectSite":
    """The site of a URL."""
    return ObjectSite(object_store(absolute(out)))


@dataclass(frozen=True)
class ObjectSite:
    """An OUT that is a URL."""

    out: ObjectStore

    def check(self, inputs: Sequence[str | Path], overwrite: bool) -> None:
        """Raise BadInput where it cannot be written, or cannot be reached: nothing was written yet."""
        for given in inputs:
            if is_url(given):
                _check_apart(self.out.url, absolute(str(given)))
        try:
            check_object_out(self.out, overwrite)
        except Unreachable as error:
            raise BadInput(str(error)) from error

    def check_space(self, nbytes: int) -> None:
        """An object store has room."""
        del nbytes

    def left(self) -> "ObjectLeft | None":
        """The unfinished run that holds the lease."""
        seen = read_lease(home_of(self.out))
        return None if seen is None else ObjectLeft(self.out, seen)

    def begin(self, spec: OutputSpec, durability: Durability, run_id: str, start: Start) -> tuple[ObjectStaging, ObjectLease]:
        """Take the lease and put what a run starts with; what the service acknowledges is durable."""
        del durability
        staging, lease, journal = create_object_staging(self.out, spec, run_id, start.records)
        journal.close()
        return staging, lease

    def clean(self) -> list[str]:
        """Remove every object beside OUT, under a lease of its own."""
        home, left = home_of(self.out), self.left()
        if left is not None:
            left.require_free()
            left.discard()
        elif next(home.list(), None) is not None:
            lease = ObjectLease.take(home, "clean")
            discard_copies(self.out, lease)
            discard_objects(home, lease)
        else:
            return []
        return [home.url]


class ObjectLeft:
    """A run whose lease lies beside OUT."""

    def __init__(self, out: ObjectStore, seen: Seen) -> None:
        self.out, self._seen = out, seen

    @property
    def found(self) -> ObjectFound:
        """What tells it from another one."""
        return ObjectFound(self.out, self.run_id, self._seen.claim.epoch)

    @property
    def run_id(self) -> str:
        """Its run."""
        return self._seen.claim.run_id

    @property
    def seal(self) -> None:
        """No object is sealed."""
        return None

    def require_free(self) -> None:
        """Return when it may be taken over; who has dropped his lease meanwhile is found gone by the next step."""
        self._seen = require_free_lease(home_of(self.out)) or self._seen

    def is_over(self) -> bool:
        """Whether its result is visible, or it ended between its lease and its first record."""
        begun = next(self.found.folder.inside("journal").list(), None) is not None
        return not begun or is_published_object(self.out, self.run_id)

    def records(self) -> list[Record]:
        """Its journal."""
        return read_object_journal(self.found.folder.inside("journal"))

    def has_sums(self) -> bool:
        """Whether there is an object of partial sums."""
        return _has_sums(self.found.folder)

    def take_over(self, spec: OutputSpec, durability: Durability) -> tuple[ObjectStaging, ObjectLease]:
        """Replace its lease and begin the next segment of its journal."""
        del durability  # what the service acknowledges is durable
        staging, lease, journal = take_over_object_staging(self.out, self._seen, spec)
        journal.close()
        return staging, lease

    def discard(self) -> None:
        """Remove all that lies beside OUT, and what was copied to an OUT that is no array yet."""
        home = home_of(self.out)
        lease = ObjectLease.take_over(home, self._seen)
        discard_copies(self.out, lease)
        discard_objects(home, lease)


class ObjectHold:
    """Objects beside OUT. Chunks are named by their content: a worker of an older epoch can change none."""

    def __init__(self, staging: ObjectStaging, lease: "Lease | ObjectLease | None") -> None:
        self.staging, self._given = staging, lease

    @property
    def lease(self) -> ObjectLease:
        """The driver's right to write."""
        assert isinstance(self._given, ObjectLease)
        return self._given

    def write(self, row0: int, col0: int, block: Block | Elements) -> WriteResult:
        """Put a block's chunks aside."""
        if self.staging.spec.codec in GOALS:
            raise ValueError(f"codec {self.staging.spec.codec} names no row: settle it before writing")
        return write_object_block(self.staging, row0, col0, block)

    def settle(self, decide: Callable[[], Decision]) -> Decision:
        """The decision that all workers of the run follow: the first object to be created."""
        settled = self.read_settled()
        if settled is not None:
            return settled
        own = decide()
        won = self.staging.folder.put_if_absent(CODEC, json.dumps(own, allow_nan=False).encode())
        settled = own if won else self.read_settled()
        if settled is None:
            raise self.taken_over()
        return settled

    def read_settled(self) -> Decision | None:
        """What was settled."""
        try:
            return json.loads(self.staging.folder.read(CODEC).content)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise GemmflowError(f"{self.staging.folder}/{CODEC} is damaged: remove the run with gemmflow clean") from error

    def keep_sum(self, name: str, content: bytes) -> None:
        """Put a partial sum beside the journal."""
        self.staging.folder.put(f"{SUMS}/{name}", with_digest(content))

    def read_sum(self, name: str) -> bytes | None:
        """A partial sum that is there."""
        try:
            return without_digest(self.staging.folder.read(f"{SUMS}/{name}").content)
        except FileNotFoundError:
            return None

    def has_sums(self) -> bool:
        """Whether there is an object of partial sums."""
        return _has_sums(self.staging.folder)

    def journal(self) -> ObjectJournal:
        """Begin the next segment."""
        return ObjectJournal.reopen(self.staging.journal)

    def keep(self, records: Sequence[Record], chunks: Iterable[ChunkRecord]) -> set[str]:
        """A segment is never changed: of a tile that is computed again, the later record counts."""
        del records
        return salvage_objects(self.staging, chunks)

    def put_token(self, token: str) -> str:
        """Put a text beside the journal."""
        self.staging.folder.put(TOKEN, token.encode())
        return f"{self.staging.folder}/{TOKEN}"

    def certify(self, codec: str, certificate: dict[str, object], chunks: Iterable[ChunkRecord]) -> str:
        """Put certificate and manifest beside the chunks."""
        staging = replace(self.staging, spec=replace(self.staging.spec, codec=codec))
        return certify_objects(staging, certificate, chunks)

    def publish(self, overwrite: bool) -> None:
        """Copy the chunks and create zarr.json; overwriting was refused before the run began."""
        del overwrite
        publish_objects(self.staging, self.lease)

    def discard(self) -> None:
        """Remove all that lies beside OUT."""
        discard_objects(self.staging.home, self.lease)

    def taken_over(self) -> TakenOver:
        """The error for a run that another one holds now."""
        return TakenOver(f"run {self.staging.run_id} at {self.staging.out} was taken over by another one, or removed: this one stops")


def _has_sums(folder: ObjectStore) -> bool:
    return next(folder.inside(SUMS).list(), None) is not None


def _check_apart(out: str, given: str) -> None:
    """Compare addresses: an OUT in an input, or around it, would mix two arrays."""
    if f"{out}/".startswith(f"{given}/") or f"{given}/".startswith(f"{out}/"):
        word = "is also" if out == given else "lies inside" if out.startswith(given) else "contains"
        raise BadInput(f"{out} {word} the input {given}: choose another place for the result")
