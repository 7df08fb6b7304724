"""What is left of a result's metadata, and what must be in them: zarr.json, its copy and the manifest judge each other.

Of the three, any one that is damaged is found out by the other two.
"""

import json
from dataclasses import dataclass, replace
from functools import cached_property

from storage.errors import BadInput, CorruptData, MetadataLost
from storage.manifest import CERTIFICATE, HEADER, MANIFEST, METADATA, Manifest, blank_root, with_root
from storage.object_files import overhead, read_object
from storage.output import LOWER, OutputSpec
from storage.record import digest
from storage.result import Result
from storage.seal import Seal, unsound_headers

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
        lower = storage.get("part") == LOWER
        return OutputSpec((rows, cols), document["data_type"], (height, width), str(storage["codec"]), shard, sealed, lower=lower)

    @property
    def keys(self) -> list[str]:
        """Keys of all files, in the order of the grid."""
        return self.spec.keys


def assess(result: Result) -> Assessment:
    """Judge zarr.json, its copy and the manifest by each other, and the headers of a seal by what they opened.

    Raises BadInput where this is no result of gemmflow with a manifest or a key is missing, MetadataLost where too little is left.
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


def _lost(result: Result) -> MetadataLost:
    again = "compute it again under another key" if result.remote else "compute it again with multiply --overwrite"
    return MetadataLost(f"{result.out} has lost its metadata (two of {HEADER}, {METADATA} and {MANIFEST}): {again}")


def _is_foreign(header: bytes | None) -> bool:
    """Whether nothing in zarr.json, if there is one, says that gemmflow wrote the array."""
    try:
        return header is None or not isinstance(json.loads(header).get("attributes", {}).get(CERTIFICATE), dict)
    except (ValueError, AttributeError, TypeError):
        return False


def _root_in(header: bytes | None) -> str | None:
    """The root in zarr.json, empty where it holds a certificate without one; None where it is damaged."""
    try:
        return str(json.loads(header or b"")["attributes"][CERTIFICATE].get("root", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


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
