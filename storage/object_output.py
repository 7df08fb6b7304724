"""A result on an object store: chunks put aside under their hash, copied to OUT at the end, and zarr.json last.

    OUT.gemmflow/lease                        who writes (see object_lease)
    OUT.gemmflow/RUN/journal/00000001 ..      which chunks are done (see object_journal)
    OUT.gemmflow/RUN/chunks/c/0/3-HASH        a chunk, named by its content
    OUT.gemmflow/RUN/array/..                 zarr.json and the manifest, before they are published

    OUT/c/0/3 ..   OUT/gemmflow/..   then OUT/zarr.json, created only if it is not there

A worker that nobody waits for any more can only put objects that no record names, or the same object once more. OUT is an array
when its zarr.json is there, which is after all else. Weaker than on a local disk: objects cannot be exchanged in one step, so an
OUT that exists is never overwritten; and a run that stood still and was taken over could, if it woke up in the middle of copying,
copy its own chunks over those of OUT: it looks at its lease before every copy, so at most COPIES_AT_ONCE are on their way. Such a
chunk holds the same tile of the same plan, and `verify` finds it if a bit of it differs.
"""

import json
import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from storage.beside import HOME
from storage.errors import BadInput, CorruptData, Refused
from storage.grid import Piece, pieces
from storage.journal import Record
from storage.manifest import CERTIFICATE, HEADER, MANIFEST, METADATA, Manifest, ordered, render_metadata, with_root
from storage.matrix import Block
from storage.object_journal import ObjectJournal
from storage.object_lease import LEASE, ObjectLease, Seen, require_conditional_writes
from storage.objects import ObjectStore
from storage.output import OutputSpec
from storage.record import ChunkRecord, digest
from storage.staging import Durability
from storage.unfinished import make_header
from storage.write import Elements, WriteResult, checked_spans, encode_chunk

COPIES_AT_ONCE = 16
_HASH_DIGITS = 32
_STAGED = re.compile(rf"-[0-9a-f]{{{_HASH_DIGITS}}}$")
_DELETED_AT_ONCE = 1000


@dataclass(frozen=True)
class ObjectStaging:
    """Where a run writes: all that a worker needs to write blocks."""

    out: ObjectStore
    """The result."""
    run_id: str
    epoch: int
    """How many processes, this one included, have held the run."""
    spec: OutputSpec
    """What is written."""

    @property
    def durability(self) -> Durability:
        """An acknowledged PUT is durable."""
        return "power"

    @property
    def seal(self) -> None:
        """No object is sealed."""
        return None

    @property
    def home(self) -> ObjectStore:
        """What lies beside OUT."""
        return home_of(self.out)

    @property
    def folder(self) -> ObjectStore:
        """What belongs to this run."""
        return self.home.inside(self.run_id)

    @property
    def journal(self) -> ObjectStore:
        """Segments of its journal."""
        return self.folder.inside("journal")

    @property
    def chunks(self) -> ObjectStore:
        """Chunks, each under a name of its own."""
        return self.folder.inside("chunks")

    @property
    def array(self) -> ObjectStore:
        """Metadata that are not published yet."""
        return self.folder.inside("array")


@dataclass(frozen=True)
class ObjectFound:
    """An unfinished run beside OUT."""

    out: ObjectStore
    run_id: str
    epoch: int

    @property
    def folder(self) -> ObjectStore:
        """What belongs to it."""
        return home_of(self.out).inside(self.run_id)


def home_of(out: ObjectStore) -> ObjectStore:
    """What lies beside OUT while a run writes it."""
    return ObjectStore(f"{out.url}{HOME}", out.endpoint, out.region)


def check_object_out(out: ObjectStore, overwrite: bool) -> None:
    """Raise BadInput where OUT cannot be written; what an unfinished run left there is no hindrance."""
    if overwrite:
        raise BadInput(
            f"{out}: a result on an object store cannot be exchanged in one step, so it is never overwritten; choose another key"
        )
    there = next(out.list(), None)
    if there is not None and (out.holds(HEADER) or next(home_of(out).list(), None) is None):
        raise BadInput(f"{out} holds {there.key}: choose another key, or remove what is there")


def create_object_staging(
    out: ObjectStore, spec: OutputSpec, run_id: str, records: Iterable[Record] = ()
) -> tuple[ObjectStaging, ObjectLease, ObjectJournal]:
    """Take the lease of OUT and put what a run starts with.

    Raises Refused where another run has begun, or the service does not keep two writers apart.
    """
    if spec.shards is not None:
        raise BadInput(f"{out}: shards are written to local file systems only; leave --shard out")
    staging = ObjectStaging(out, run_id, 1, spec)
    require_conditional_writes(staging.home)
    lease = ObjectLease.take(staging.home, run_id)
    try:
        staging.array.put(HEADER, make_header(spec, run_id))
        return staging, lease, ObjectJournal.create(staging.journal, records)
    except BaseException:
        lease.release()
        raise


def take_over_object_staging(out: ObjectStore, seen: Seen, spec: OutputSpec) -> tuple[ObjectStaging, ObjectLease, ObjectJournal]:
    """Go on with an unfinished run: from now on its old holder can record nothing. Raises Refused where another one was faster."""
    lease = ObjectLease.take_over(home_of(out), seen)
    staging = ObjectStaging(out, lease.claim.run_id, lease.claim.epoch, spec)
    try:
        return staging, lease, ObjectJournal.reopen(staging.journal)
    except BaseException:
        lease.release()
        raise


def write_object_block(staging: ObjectStaging, row0: int, col0: int, block: Block | Elements) -> WriteResult:
    """Write a block, its edges on the chunk grid or at the array's edge; when it returns, its chunks are stored durably."""
    rows, cols = checked_spans(staging.spec, row0, col0, block)
    records: list[ChunkRecord] = []
    seconds = [0.0, 0.0]
    for piece in pieces(rows, cols, staging.spec.chunks):
        records.append(_put_chunk(staging, block, piece, seconds))
    return WriteResult(tuple(records), seconds[0], seconds[1])


def _put_chunk(staging: ObjectStaging, block: Block | Elements, piece: Piece, seconds: list[float]) -> ChunkRecord:
    """A function of its own: its encoded chunk is gone before the next one is encoded."""
    begin = time.perf_counter()
    record, parts = encode_chunk(staging.spec, block, piece)
    content = b"".join((parts[0].data, parts[1]))
    done = time.perf_counter()
    staging.chunks.put(staged_key(record), content)
    seconds[0] += done - begin
    seconds[1] += time.perf_counter() - done
    return record


def staged_key(record: ChunkRecord) -> str:
    """Name of a chunk before it is published: another content has another name."""
    return f"{record.key}-{record.encoded[:_HASH_DIGITS]}"


def salvage_objects(staging: ObjectStaging, records: Iterable[ChunkRecord]) -> set[str]:
    """Keys of the recorded chunks that are there in their recorded size. What no record names does no harm and stays."""
    sizes = {listed.key: listed.size for listed in staging.chunks.list()}
    return {record.key for record in records if sizes.get(staged_key(record)) == record.nbytes}


def certify_objects(
    staging: ObjectStaging, certificate: dict[str, object], chunks: Iterable[ChunkRecord], notes: tuple[str, ...] = ()
) -> str:
    """Put certificate and manifest beside the chunks; returns the root, which stands for every bit of the result."""
    every = ordered(chunks, staging.spec.keys)
    document = json.loads(make_header(staging.spec, staging.run_id))
    metadata = render_metadata(document, {**certificate, "run_id": staging.run_id})
    manifest = Manifest(len(metadata), digest(metadata), every, notes).render()
    root = digest(manifest)
    for key, content in ((MANIFEST, manifest), (METADATA, metadata), (HEADER, with_root(metadata, root))):
        staging.array.put(key, content)
    return root


def publish_objects(staging: ObjectStaging, lease: ObjectLease) -> None:
    """Make the result OUT and remove the rest. Killed at any point, it is done again; OUT is an array only after the last step.

    Raises TakenOver; Refused where OUT appeared meanwhile; CorruptData where a recorded chunk is gone.
    """
    manifest = staging.array.read(MANIFEST).content
    _copy_chunks(staging, Manifest.parse(manifest).chunks, lease)
    for key in (MANIFEST, METADATA):
        staging.out.put(key, staging.array.read(key).content)
    lease.confirm()
    if staging.out.put_if_absent(HEADER, staging.array.read(HEADER).content) is None:
        raise Refused(f"{staging.out} appeared during the run: the result is whole in {staging.folder}; remove one of them")
    discard_objects(staging.home, lease)


def is_published_object(out: ObjectStore, run_id: str) -> bool:
    """Whether a run had made its result visible before it ended."""
    try:
        return json.loads(out.read(HEADER).content)["attributes"][CERTIFICATE]["run_id"] == run_id
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False


def discard_objects(home: ObjectStore, lease: ObjectLease) -> None:
    """Remove what lies beside OUT, the lease last. Raises TakenOver."""
    _delete(home, [listed.key for listed in home.list() if listed.key != LEASE], lease)
    lease.drop()


def discard_copies(out: ObjectStore, lease: ObjectLease) -> list[str]:
    """Remove from an OUT that is no array what a run had copied there before it was killed; returns the keys. Raises TakenOver.

    Only keys of chunks that lie beside OUT, and of the manifest, are touched.
    """
    if out.holds(HEADER):
        return []
    staged = {_STAGED.sub("", listed.key.partition("/chunks/")[2]) for listed in home_of(out).list()}
    keys = [listed.key for listed in out.list() if listed.key in staged | {MANIFEST, METADATA}]
    _delete(out, keys, lease)
    return keys


def _delete(store: ObjectStore, keys: list[str], lease: ObjectLease) -> None:
    for first in range(0, len(keys), _DELETED_AT_ONCE):
        lease.check()
        store.delete(*keys[first : first + _DELETED_AT_ONCE])


def _copy_chunks(staging: ObjectStaging, chunks: tuple[ChunkRecord, ...], lease: ObjectLease) -> None:
    def copy(record: ChunkRecord) -> None:
        lease.check()
        try:
            staging.home.copy(f"{staging.run_id}/chunks/{staged_key(record)}", staging.out, record.key)
        except FileNotFoundError as error:
            raise CorruptData(f"{staging.chunks}/{staged_key(record)} is gone: run again to compute it once more") from error

    with ThreadPoolExecutor(COPIES_AT_ONCE, "copy") as pool:
        for _ in pool.map(copy, chunks):
            pass
