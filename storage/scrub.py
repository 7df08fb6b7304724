"""Is a stored result still what was written? Every file against the manifest, and the manifest against the root.

quick   manifest, metadata, and of each chunk: there, size, CRC-32C of every byte          as fast as the files are read
full    also the hash of the stored bytes, and of the values that they decode to           decodes everything
"""

from collections.abc import Iterator

from storage.assess import Damage, assess
from storage.buffers import borrow
from storage.chain import CRC_BYTES, Undecodable, crc32c
from storage.files import Bytes
from storage.object_files import object_name, overhead, unseal
from storage.output import OutputSpec
from storage.record import ChunkRecord, ValuesDigest, digest
from storage.result import Result
from storage.shard import encoded_chunks, guarded


def scrub(result: Result, full: bool) -> Iterator[Damage]:
    """Check every file of a result; yields what is damaged, metadata first. Needs memory for one file and one chunk.

    Raises BadInput as `assess` does.
    """
    found = assess(result)
    yield from found.damages
    records = {record.key: record for record in found.manifest.chunks} if found.manifest else {}
    for key in found.keys:
        why = chunk_damage(result, key, records.get(key), found.spec, full or key not in records)
        if why:
            yield Damage(key, why)


def chunk_damage(result: Result, key: str, record: ChunkRecord | None, spec: OutputSpec, full: bool) -> str:
    """What is wrong with one file, a chunk or a shard, empty where nothing is.

    Without a record its own checksums decide; in full it is decoded, and its hashes are compared with the record.
    """
    try:
        stored = load(result, key, record.nbytes if record else None)
        body = checked_body(stored, record, spec)
        if not full:
            return ""
        values = _hash_of_values(stored, spec)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except Undecodable as error:
        return str(error)
    sound = record is None or (digest(body), values) == (record.encoded, record.values)
    return "" if sound else "does not have the hashes that were recorded"


def record_of(result: Result, key: str, spec: OutputSpec) -> ChunkRecord:
    """The record of a file as it lies there. Raises OSError, Undecodable."""
    stored = load(result, key, None)
    body = checked_body(stored, None, spec)
    return ChunkRecord(key, stored.size, crc32c(body), digest(body), _hash_of_values(stored, spec))


def _hash_of_values(stored: Bytes, spec: OutputSpec) -> str:
    """Hash of what a file decodes to, a shard chunk by chunk. Raises Undecodable."""
    values, seen = borrow("scrubbed", spec.chunk_bytes), ValuesDigest()
    for chunk in encoded_chunks(stored, spec.shards) if spec.shards else (stored,):
        spec.compression.decode(chunk, values.view(spec.stored))
        seen.update(values)
    return seen.hexdigest()


def checked_body(stored: Bytes, record: ChunkRecord | None, spec: OutputSpec) -> Bytes:
    """The file without its last four bytes, which are right, and the whole as recorded. Raises Undecodable."""
    if stored.size < CRC_BYTES:
        raise Undecodable(f"has {stored.size} bytes, less than its checksum")
    body, declared = stored[:-CRC_BYTES], int.from_bytes(stored[-CRC_BYTES:].tobytes(), "little")
    computed = crc32c(body)
    if declared != (crc32c(guarded(body, spec.shards)) if spec.shards else computed):
        raise Undecodable("fails its checksum")
    if record is not None and computed != record.crc32c:
        raise Undecodable("is not what was written")
    return body


def load(result: Result, key: str, nbytes: int | None) -> Bytes:
    """A file of a result, unsealed, as long as recorded, valid until this thread loads another. Raises OSError, Undecodable."""
    name = object_name(key, result.seal)
    expected = result.files.size(name) if nbytes is None else nbytes + overhead(result.seal)
    with result.files.opened(name) as file:
        stored = borrow("stored", expected + 1)
        size = file.read_at(stored, 0)
    if size != expected:
        raise Undecodable(f"has {'more than ' if size > expected else ''}{min(size, expected)} bytes, not {expected}")
    return unseal(result.seal, key, stored[:size])
