"""The manifest of a result: what every one of its files must be, and the one hash that stands for all of it.

    OUT/gemmflow/manifest     a line for each chunk: key, size, checksum, hash of the stored bytes, hash of the values
    OUT/gemmflow/metadata     zarr.json without its root, so that a damaged one can be restored
    OUT/zarr.json             attributes: {"gemmflow": {.., "root": "<hash of the manifest>"}}

    root -> manifest -> metadata and chunks: who knows the root can check every bit of the result.

A sealed result has the same three, sealed; sizes and hashes in them are those of the chunks before sealing.

The text of a manifest, in the order of the chunk grid, numbers decimal, checksums and hashes hexadecimal:

    gemmflow manifest 2 blake3 xxh3-128
    note REPAIR-RUN c/0/1 recomputed ..              any number of these, oldest first
    zarr.json 2112 e8d1..
    c/0/0 3892119 1f2e3d4c 80aa.. 02bc..
    end 77c0..                                       hash of all above: a damaged manifest is known without the root
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.errors import CorruptData
from storage.folder import Folder
from storage.object_files import read_object, write_object
from storage.record import HASH_DIGITS, VALUES_DIGITS, ChunkRecord, digest
from storage.seal import Seal
from storage.sync import sync_folder

HEADER = "zarr.json"
CERTIFICATE = "gemmflow"
FOLDER = "gemmflow"
MANIFEST, METADATA = f"{FOLDER}/manifest", f"{FOLDER}/metadata"

_TITLE = "gemmflow manifest 2 blake3 xxh3-128"
_HASH, _VALUES = rf"[0-9a-f]{{{HASH_DIGITS}}}", rf"[0-9a-f]{{{VALUES_DIGITS}}}"
_NOTE = re.compile(r"note (\S.*)")
_METADATA_LINE = re.compile(rf"zarr\.json (\d+) ({_HASH})", re.ASCII)
_CHUNK_LINE = re.compile(rf"(c/\d+/\d+) (\d+) ([0-9a-f]{{8}}) ({_HASH}) ({_VALUES})", re.ASCII)
_END = f"end {'0' * HASH_DIGITS}\n"
_BLANK = b'"root": ""'


@dataclass(frozen=True)
class Manifest:
    """What the files of a result must be."""

    metadata_bytes: int
    """Size of zarr.json without its root."""
    metadata: str
    """Hash of zarr.json without its root."""
    chunks: tuple[ChunkRecord, ...]
    """In the order of the chunk grid."""
    notes: tuple[str, ...] = ()
    """What repairs changed."""

    def __post_init__(self) -> None:
        if not all(note.isprintable() and _NOTE.fullmatch(f"note {note}") for note in self.notes):
            raise ValueError("a note is one line of printable text that does not start with a space")

    @property
    def stored_bytes(self) -> int:
        """Bytes of all chunks on disk, before sealing."""
        return sum(chunk.nbytes for chunk in self.chunks)

    def render(self) -> bytes:
        """The file's content."""
        notes = [f"note {note}" for note in self.notes]
        chunks = [f"{chunk.key} {chunk.nbytes} {chunk.crc32c:08x} {chunk.encoded} {chunk.values}" for chunk in self.chunks]
        content = "\n".join([_TITLE, *notes, f"{HEADER} {self.metadata_bytes} {self.metadata}", *chunks, ""]).encode()
        return content + f"end {digest(content)}\n".encode()

    @classmethod
    def parse(cls, content: bytes) -> "Manifest":
        """The manifest of a file's content; raises ValueError where a bit of it is wrong. `parse(x.render()) == x`."""
        lines = content.decode().split("\n")
        notes = [match[1] for line in lines[1:] if (match := _NOTE.fullmatch(line))]
        metadata = _METADATA_LINE.fullmatch(lines[1 + len(notes)]) if len(lines) > 1 + len(notes) else None
        if lines[0] != _TITLE or metadata is None or content[: -len(_END)].count(b"\n") != len(lines) - 2:
            raise ValueError("it is no whole gemmflow manifest of version 2")
        chunks = tuple(_chunk(line) for line in lines[2 + len(notes) : -2])
        found = cls(int(metadata[1]), metadata[2], chunks, tuple(notes))
        if found.render() != content:
            raise ValueError("it does not have the hash at its end")
        return found


def ordered(chunks: Iterable[ChunkRecord], keys: Sequence[str]) -> tuple[ChunkRecord, ...]:
    """The records in the order of the array's `keys`; raises ValueError where one is missing, doubled or none of them."""
    given = tuple(chunks)
    known = {chunk.key: chunk for chunk in given}
    if known.keys() != set(keys) or len(given) != len(keys):
        raise ValueError(f"there are {len(given)} records of {len(known)} chunks, the grid has {len(keys)}: they do not match")
    return tuple(known[key] for key in keys)


def blank_root(header: bytes, root: str) -> bytes:
    """zarr.json as it is hashed: without the root that stands in it."""
    return header.replace(f'"root": "{root}"'.encode(), _BLANK, 1)


def with_root(metadata: bytes, root: str) -> bytes:
    """zarr.json from its hashed form: `blank_root(with_root(m, r), r) == m`."""
    return metadata.replace(_BLANK, f'"root": "{root}"'.encode(), 1)


def render_metadata(document: dict[str, object], certificate: dict[str, object]) -> bytes:
    """zarr.json with a certificate and without a root; raises ValueError where it is not JSON or holds another root."""
    kept = document.get("attributes", {})
    attributes = {**(kept if isinstance(kept, dict) else {}), CERTIFICATE: {**certificate, "root": ""}}
    content = json.dumps({**document, "attributes": attributes}, indent=2, allow_nan=False).encode()
    if content.count(_BLANK) != 1:
        raise ValueError("the certificate holds an empty root of its own")
    return content


def write_manifest(
    array: Path, metadata: bytes, chunks: tuple[ChunkRecord, ...], notes: tuple[str, ...] = (), seal: Seal | None = None
) -> str:
    """Put manifest, metadata and, last, zarr.json with the root into an array's folder, each whole and durable; returns the root.

    Raises OSError.
    """
    content = Manifest(len(metadata), digest(metadata), chunks, notes).render()
    root = digest(content)
    (array / FOLDER).mkdir(exist_ok=True)
    write_object(array, MANIFEST, content, seal)
    write_object(array, METADATA, metadata, seal)
    write_object(array, HEADER, with_root(metadata, root), seal)
    sync_folder(str(array))
    return root


def read_manifest(folder: Folder, root: str, out: str | Path, seal: Seal | None = None) -> Manifest:
    """The manifest of a result, named OUT, whose root is known; raises CorruptData where it is missing or not the root's."""
    path = f"{out}/{MANIFEST}"
    try:
        content = read_object(folder, MANIFEST, seal)
        if digest(content) != root:
            raise ValueError("it does not have the hash that zarr.json names as root")
        return Manifest.parse(content)
    except OSError as error:
        raise CorruptData(f"{path} cannot be read ({error.strerror or error}): gemmflow repair makes it again") from error
    except (ValueError, CorruptData) as error:
        why = error if isinstance(error, ValueError) else "it does not unseal"
        raise CorruptData(f"{path} is damaged ({why}): gemmflow repair makes it again") from error


def _chunk(line: str) -> ChunkRecord:
    match = _CHUNK_LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"{line[:60]!r} is no chunk")
    return ChunkRecord(match[1], int(match[2]), int(match[3], 16), match[4], match[5])
