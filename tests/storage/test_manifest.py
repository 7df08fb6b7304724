"""The manifest: one text for one content, read back as written, and no bit of it can change unseen."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import ChunkRecord, CorruptData, OutputSpec, create_staging, write_block
from storage.folder import LocalFolder
from storage.manifest import Manifest, blank_root, ordered, read_manifest, render_metadata, with_root, write_manifest
from storage.record import digest, values_digest

GOLDEN = Path(__file__).parents[1] / "golden" / "storage" / "manifest.txt"

hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
values = st.binary(min_size=16, max_size=16).map(bytes.hex)
sizes = st.integers(0, 1 << 50)
keys = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).map(lambda pair: f"c/{pair[0]}/{pair[1]}")
chunks = st.builds(ChunkRecord, keys, sizes, st.integers(0, (1 << 32) - 1), hashes, values)
notes = st.text(min_size=1, max_size=30).filter(lambda text: text.isprintable() and not text[0].isspace())
manifests = st.builds(Manifest, sizes, hashes, st.lists(chunks, max_size=4).map(tuple), st.lists(notes, max_size=3).map(tuple))


def small(noted: tuple[str, ...] = ()) -> Manifest:
    records = tuple(ChunkRecord(f"c/0/{col}", 100 + col, 7 * col, digest(b"e%d" % col), values_digest(b"v%d" % col)) for col in range(2))
    return Manifest(2112, digest(b"metadata"), records, noted)


@settings(max_examples=40)
@given(manifests)
def test_what_is_rendered_is_read_back(manifest: Manifest) -> None:
    assert Manifest.parse(manifest.render()) == manifest
    assert manifest.stored_bytes == sum(chunk.nbytes for chunk in manifest.chunks)


@settings(max_examples=40)
@given(manifests, st.data())
def test_no_cut_no_added_byte_and_no_flip_is_read(manifest: Manifest, data: st.DataObject) -> None:
    content = manifest.render()
    at, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    flipped = bytearray(content)
    flipped[at] ^= 1 << bit
    for damaged in (bytes(flipped), content[:at], content[:at] + b"\n" + content[at:], content + b"\n", content[at:]):
        if damaged != content:
            with pytest.raises(ValueError, match=r"."):
                Manifest.parse(damaged)


def test_every_single_bit_flip_is_detected() -> None:
    content = small(("repair-1 c/0/1 recomputed",)).render()
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        assert digest(bytes(flipped)) != digest(content)
        with pytest.raises(ValueError, match=r"."):
            Manifest.parse(bytes(flipped))


def test_its_text_is_as_it_always_was() -> None:
    """Run with UPDATE_GOLDEN=1 to write it again; the difference is then in the commit."""
    content = small(("repair-1 c/0/1 recomputed: a b/ü.zarr",)).render()
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.write_bytes(content)
    assert GOLDEN.read_bytes() == content
    assert Manifest.parse(GOLDEN.read_bytes()).render() == content


@pytest.mark.parametrize("note", ["", " ", " x", "a\nb", "a\rb", "\t", "a\0", "\u2028x", "a\udc80"])
def test_a_note_that_could_not_be_read_back_is_refused(note: str) -> None:
    with pytest.raises(ValueError, match="one line of printable text"):
        small((note,))


def test_lines_in_another_form_are_refused() -> None:
    lines = small().render().decode().split("\n")
    swapped = [lines[0], lines[1], lines[3], lines[2], *lines[4:]]
    upper = "\n".join(lines).replace(small().metadata, small().metadata.upper())
    zeros = "\n".join(lines).replace(" 100 ", " 0100 ")
    for text in ("", "\n", "\n".join(swapped), upper, zeros, "\n".join(lines).replace("\n", "\r\n"), "gemmflow manifest 1 blake3\n"):
        with pytest.raises(ValueError, match=r"."):
            Manifest.parse(text.encode())


def test_records_are_put_in_the_order_of_the_grid() -> None:
    grid = [replace(small().chunks[0], key=f"c/{row}/{col}") for row in range(12) for col in range(11)]
    shuffled = np.random.default_rng(0).permutation(len(grid))
    keys = [record.key for record in grid]
    assert ordered((grid[index] for index in shuffled), keys) == tuple(grid)
    for wrong in (grid[1:], [*grid, grid[0]], [*grid[1:], grid[1]], [*grid, replace(grid[0], key="c/12/0")]):
        with pytest.raises(ValueError, match="do not match"):
            ordered(wrong, keys)


texts = st.text(max_size=12) | st.sampled_from(['"root": ""', '"root": "x"', "root"])
json_values = st.recursive(st.none() | st.integers() | texts, lambda inner: st.dictionaries(texts, inner, max_size=3), max_leaves=6)


@settings(max_examples=50)
@given(st.dictionaries(texts, json_values, max_size=3), st.dictionaries(texts, json_values, max_size=3), hashes)
def test_the_root_goes_in_and_out(attributes: dict[str, object], certificate: dict[str, object], root: str) -> None:
    try:
        metadata = render_metadata({"shape": [1, 2], "attributes": attributes}, certificate)
    except ValueError as error:
        assert "root" in str(error) and '"root": ""' in json.dumps([attributes, certificate])
        return
    header = with_root(metadata, root)
    assert blank_root(header, root) == metadata and with_root(blank_root(header, root), root) == header
    assert json.loads(header)["attributes"] == {**attributes, "gemmflow": {**certificate, "root": root}}
    assert digest(header) != digest(metadata)


def test_a_document_without_attributes_gets_them() -> None:
    assert json.loads(render_metadata({"shape": [1]}, {"a": 1}))["attributes"] == {"gemmflow": {"a": 1, "root": ""}}
    with pytest.raises(ValueError, match="JSON"):
        render_metadata({}, {"a": float("inf")})


def test_what_is_written_is_read_with_the_root_only(tmp_path: Path) -> None:
    spec = OutputSpec((5, 7), "float64", (4, 4), "none")
    staging = create_staging(tmp_path / "o", spec, "process", "r")
    records = write_block(staging, 0, 0, np.ones((5, 7))).records
    array = Path(staging.array)
    root = write_manifest(array, render_metadata(json.loads((array / "zarr.json").read_bytes()), {}), records, ("first",))
    named = tmp_path / "named by the caller"
    manifest = read_manifest(LocalFolder(str(array)), root, named)
    assert (manifest.chunks, manifest.notes) == (records, ("first",))
    assert manifest.metadata == digest((array / "gemmflow/metadata").read_bytes())
    assert json.loads((array / "zarr.json").read_bytes())["attributes"]["gemmflow"] == {"root": root}
    with pytest.raises(CorruptData, match=rf"{named}/gemmflow/manifest is damaged \(it does not have the hash"):
        read_manifest(LocalFolder(str(array)), digest(b"another"), named)
    (array / "gemmflow/manifest").unlink()
    with pytest.raises(CorruptData, match=rf"{named}/gemmflow/manifest cannot be read"):
        read_manifest(LocalFolder(str(array)), root, named)
