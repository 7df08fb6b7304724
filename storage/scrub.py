"""Is a stored result still what was written? Every file against the manifest, and the manifest against the root.

    quick   manifest, metadata, and of each chunk: there, size, CRC-32C of every byte          as fast as the files are read
    full    also the hash of the stored bytes, and of the values that they decode to           decodes everything

zarr.json, its copy and the manifest vouch for each other: of the three, any one that is damaged is found out by the other two.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from storage.buffers import borrow
from storage.chain import CRC_BYTES, Undecodable, crc32c
from storage.errors import BadInput, CorruptData
from storage.files import Bytes
from storage.manifest import CERTIFICATE, HEADER, MANIFEST, METADATA, Manifest, blank_root, with_root
from storage.object_files import object_name, overhead, read_object, unseal
from storage.output import OutputSpec
from storage.record import ChunkRecord, ValuesDigest, digest
from storage.result import Result
from storage.seal import Seal, unsound_headers
from storage.shard import encoded_chunks, guarded

REPAIRS = "repairs"
"""In the certificate: the notes of the manifest once more, so that a lost manifest can be made again."""


@dataclass(frozen=True)
class Damage:
    """One file of a result that is not what it must be."""

    key: str
    """Relative to the result: c/0/3, zarr.json, gemmflow/manifest."""
    why: str


@dataclass(frozen=True)
class Assessment:
    """What is left of a result's metadata, and what must be in them."""

    header: bytes
    """zarr.json as it must be; as it is, where nothing tells."""
    manifest: Manifest | None
    """None where it is damaged."""
    damages: tuple[Damage, ...]
    seal: Seal | None = None
    """What opens the result; None where it is plain."""

    @property
    def stored_bytes(self) -> int:
        """Bytes of all chunks on disk; 0 where the manifest is damaged."""
        return self.manifest.stored_bytes + len(self.manifest.chunks) * overhead(self.seal) if self.manifest else 0

    @cached_property
    def certificate(self) -> dict[str, object]:
        """What the run wrote about itself."""
        return json.loads(self.header)["attributes"][CERTIFICATE]

    @property
    def root(self) -> str:
        """Hash of the manifest as it must be."""
        return str(self.certificate["root"])

    @property
    def notes(self) -> tuple[str, ...]:
        """What repairs changed, oldest first."""
        notes = self.certificate.get(REPAIRS, [])
        assert isinstance(notes, list)
        return tuple(str(note) for note in notes)

    @cached_property
    def spec(self) -> OutputSpec:
        """How the chunks are stored."""
        document, storage = json.loads(self.header), self.certificate["storage"]
        assert isinstance(storage, dict)
        rows, cols = document["shape"]
        outer, files = document["codecs"][0], tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
        sharded = outer["name"] == "sharding_indexed"
        height, width = outer["configuration"]["chunk_shape"] if sharded else files
        shard, sealed = files if sharded else None, self.seal is not None
        return OutputSpec((rows, cols), document["data_type"], (height, width), str(storage["codec"]), shard, sealed)

    @property
    def keys(self) -> list[str]:
        """Keys of all files, in the order of the grid."""
        rows, cols = self.spec.grid
        return [f"c/{row}/{col}" for row in range(rows) for col in range(cols)]


def assess(result: Result) -> Assessment:
    """Judge zarr.json, its copy and the manifest by each other, and the headers of a seal by what they opened.

    Raises BadInput where this is no result of gemmflow with a manifest, too little of its metadata is left, or a key is missing.
    """
    seal, found = result.seal, _judged(result)
    headers = unsound_headers(result.folder, seal) if seal else []
    damages = [Damage(name, "is missing or damaged; its copy is sound") for name in headers]
    return replace(found, seal=seal, damages=(*found.damages, *damages))


def _judged(result: Result) -> Assessment:
    header, copy, content = (_read(result, key) for key in (HEADER, METADATA, MANIFEST))
    if content is None and copy is None and _is_foreign(header):
        raise BadInput(f"{result.out} is no result of gemmflow: it has no certificate and no manifest")
    manifest, root = _parse(content), digest(content or b"")
    candidates = (blank_root(header or b"", _root_in(header) or ""), copy or b"")
    metadata = next((text for text in candidates if manifest and _matches(manifest, text)), None)
    if metadata is not None:
        return _assessment(header, copy, with_root(metadata, root), manifest)
    if manifest and root == _root_in(header):
        raise _lost(result)
    return _without_manifest(result, header, copy)


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


def _assessment(header: bytes | None, copy: bytes | None, right: bytes, manifest: Manifest | None) -> Assessment:
    damages: list[Damage] = []
    if header != right:
        damages.append(Damage(HEADER, "is missing" if header is None else "is not what the manifest says"))
    if copy is None or with_root(copy, str(json.loads(right)["attributes"][CERTIFICATE]["root"])) != right:
        damages.append(Damage(METADATA, "is missing" if copy is None else "is not what the manifest says"))
    return Assessment(right, manifest, tuple(damages))


def _without_manifest(result: Result, header: bytes | None, copy: bytes | None) -> Assessment:
    """The manifest is damaged or another one, so zarr.json must be sound: its copy says so, or nobody contradicts."""
    root = _root_in(header)
    if header is None or root is None or (root and copy is not None and blank_root(header, root) != copy):
        raise _lost(result)
    if root == "":
        raise BadInput(f"{result.out} has no manifest: an older gemmflow wrote it; compute it again with multiply --overwrite")
    found = Assessment(header, None, (Damage(MANIFEST, "is missing or damaged"), *_assessment(header, copy, header, None).damages))
    try:
        _ = found.spec
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise BadInput(f"{result.out} has a damaged {HEADER} ({error}): compute it again with multiply --overwrite") from error
    return found


def _lost(result: Result) -> BadInput:
    lost = f"two of {HEADER}, {METADATA} and {MANIFEST}"
    return BadInput(f"{result.out} has lost its metadata ({lost}): compute it again with multiply --overwrite")


def _is_foreign(header: bytes | None) -> bool:
    """Whether nothing in zarr.json, if there is one, says that gemmflow wrote the array."""
    try:
        return header is None or CERTIFICATE not in json.loads(header).get("attributes", {})
    except (ValueError, AttributeError, TypeError):
        return False


def _root_in(header: bytes | None) -> str | None:
    """The root in zarr.json, empty where it holds a certificate without one; None where it is damaged."""
    try:
        return str(json.loads(header or b"")["attributes"][CERTIFICATE].get("root", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


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


def _read(result: Result, key: str) -> bytes | None:
    """A small object, None where it cannot be read, empty where it does not unseal."""
    try:
        return read_object(result.files, key, result.seal)
    except OSError:
        return None
    except CorruptData:
        return b""


def _parse(content: bytes | None) -> Manifest | None:
    try:
        return Manifest.parse(content or b"")
    except ValueError:
        return None


def _matches(manifest: Manifest, metadata: bytes) -> bool:
    return len(metadata) == manifest.metadata_bytes and digest(metadata) == manifest.metadata
