"""A damaged result: exactly what is damaged is named, by the quick level where it can, and never read as something else."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import CODECS, BadInput, CorruptData, open_result, scrub
from storage.assess import assess
from storage.chain import crc32c
from storage.codecs import suffix
from storage.errors import MetadataLost
from storage.manifest import HEADER, MANIFEST, METADATA
from storage.scrub import chunk_damage, record_of

KEYS = [f"c/{i}/{j}" for i in range(2) for j in range(2)]
DAMAGES = ["flip", "cut", "grow", "empty", "remove", "folder"]

both_levels = pytest.mark.parametrize("full", [False, True])
every_codec = pytest.mark.parametrize("codec", CODECS)


def damaged(out: Path, full: bool) -> list[str]:
    with open_result(out) as result:
        found = list(scrub(result, full))
    assert all(damage.why and "\n" not in damage.why for damage in found)
    return [damage.key for damage in found]


def flip(path: Path, bit: int) -> None:
    descriptor = os.open(path, os.O_RDWR)
    os.pwrite(descriptor, bytes([os.pread(descriptor, 1, bit // 8)[0] ^ 1 << bit % 8]), bit // 8)
    os.close(descriptor)


def read(out: Path) -> np.ndarray:
    with open_result(out) as result:
        block = np.empty(result.matrix.shape, result.matrix.dtype)
        result.matrix.read_into(block, slice(None), slice(None))
    return block


def encoded(codec: str, values: np.ndarray) -> bytes:
    return CODECS[codec].encode(np.ascontiguousarray(values, "<f8"))


@every_codec
@both_levels
def test_a_sound_result_has_no_damage(store, codec: str, full: bool) -> None:
    assert damaged(store(codec=codec), full) == []


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(CODECS)), st.sets(st.sampled_from(KEYS)), st.sampled_from(DAMAGES), st.data())
def test_exactly_the_damaged_chunks_are_named(store, codec: str, keys: set[str], kind: str, data: st.DataObject) -> None:
    out = store(codec=codec)
    for key in keys:
        raw = bytearray((out / key).read_bytes())
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= 1 << data.draw(st.integers(0, 7))
        changed = {"flip": bytes(raw), "cut": bytes(raw[:at]), "grow": bytes(raw) + b"\0", "empty": b""}
        (out / key).unlink()
        if kind == "folder":
            (out / key).mkdir()
        elif kind != "remove":
            (out / key).write_bytes(changed[kind])
    assert damaged(out, full=False) == damaged(out, full=True) == sorted(keys)


@both_levels
@every_codec
def test_chunks_that_were_swapped_are_found(store, codec: str, full: bool) -> None:
    out = store(codec=codec)
    contents = [(out / key).read_bytes() for key in KEYS[:2]]
    if codec == "none":
        assert len(contents[0]) == len(contents[1])
    for key, content in zip(KEYS[:2], reversed(contents), strict=True):
        (out / key).write_bytes(content)
    assert damaged(out, full) == KEYS[:2]


@both_levels
def test_the_same_values_in_other_bytes_are_found(store, full: bool) -> None:
    out = store(codec="gzip", value=1)
    body = gzip.compress(np.ones((4, 4)).tobytes(), 9)
    (out / "c/0/0").write_bytes(body + suffix(crc32c(np.frombuffer(body, np.uint8))))
    assert (read(out) == 1).all() and damaged(out, full) == ["c/0/0"]


@both_levels
@every_codec
def test_other_values_with_a_sound_checksum_are_found(store, codec: str, full: bool) -> None:
    out = store(codec=codec)
    (out / "c/1/0").write_bytes(encoded(codec, np.full((4, 4), 2.5)))
    assert damaged(out, full) == ["c/1/0"]


def test_the_full_level_does_not_rely_on_the_checksum(store) -> None:
    """A record whose checksum was fitted to other bytes, as only a forger could."""
    out = store()
    with open_result(out) as result:
        found = assess(result)
        forged = encoded("none", np.full((4, 4), 2.5))
        (out / "c/0/0").write_bytes(forged)
        true, false = found.manifest.chunks[0], record_of(result, "c/0/0", found.spec)
        mixed = type(true)(true.key, len(forged), false.crc32c, true.encoded, true.values)
        assert chunk_damage(result, "c/0/0", mixed, found.spec, full=False) == ""
        assert "hashes" in chunk_damage(result, "c/0/0", mixed, found.spec, full=True)


def test_every_one_of_1000_single_bit_flips_is_detected(store) -> None:
    out, random = store(codec="blosc-zstd"), np.random.default_rng(5)
    names = [HEADER, MANIFEST, METADATA, *KEYS]
    with open_result(out) as result:
        for turn in range(1000):
            path = out / names[turn % len(names)]
            bit = int(random.integers(8 * path.stat().st_size))
            flip(path, bit)
            assert [damage.key for damage in scrub(result, full=False)] == [names[turn % len(names)]], (path, bit)
            flip(path, bit)
        assert list(scrub(result, full=False)) == []


@every_codec
def test_a_missing_chunk_never_reads_as_a_number(store, codec: str) -> None:
    out = store(codec=codec, value=0)
    (out / "c/1/1").unlink()
    assert damaged(out, full=False) == ["c/1/1"]
    with pytest.raises(CorruptData, match="chunk c/1/1 is missing: restore"):
        read(out)
    assert np.isnan(np.asarray(zarr.open_array(out, mode="r")[...])[4:, 4:]).all()


def missing(path: Path) -> None:
    path.unlink()


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def other(path: Path) -> None:
    """Still well formed, but for one digit, not in the root."""
    content = path.read_bytes()
    at = content.index(b"5")
    path.write_bytes(content[:at] + b"6" + content[at + 1 :])


METADATA_FILES = [HEADER, METADATA, MANIFEST]
PAIRS = [(HEADER, METADATA), (HEADER, MANIFEST), (METADATA, MANIFEST)]


@pytest.mark.parametrize("how", [missing, torn, other])
@pytest.mark.parametrize("name", METADATA_FILES)
def test_one_damaged_metadata_file_is_found_out_by_the_other_two(store, name: str, how: Callable[[Path], None]) -> None:
    out = store(codec="zstd")
    with open_result(out) as result:
        right = assess(result)
    how(out / name)
    assert damaged(out, full=False) == damaged(out, full=True) == [name]
    with open_result(out) as result:
        left = assess(result)
    assert (left.header, left.root, left.spec, left.keys) == (right.header, right.root, right.spec, KEYS)
    assert left.manifest == (None if name == MANIFEST else right.manifest)


@pytest.mark.parametrize("how", [missing, torn, other])
@pytest.mark.parametrize("names", PAIRS)
def test_two_damaged_metadata_files_are_never_taken_for_sound(store, names: tuple[str, str], how: Callable[[Path], None]) -> None:
    out = store(codec="zstd")
    for name in names:
        how(out / name)
    if (names, how) == ((METADATA, MANIFEST), missing):
        assert damaged(out, full=False) == [MANIFEST, METADATA]  # nobody contradicts zarr.json
        return
    with pytest.raises((MetadataLost, BadInput), match=r"lost its metadata|neither"):
        damaged(out, full=False)


def test_all_metadata_lost_is_bad_input(store) -> None:
    out = store()
    for name in METADATA_FILES:
        (out / name).unlink()
    with pytest.raises(BadInput, match="no certificate and no manifest"):
        damaged(out, full=False)


def test_a_header_that_nobody_vouches_for_must_make_sense(store) -> None:
    out = store()
    (out / MANIFEST).unlink()
    (out / METADATA).unlink()
    (out / HEADER).write_bytes((out / HEADER).read_bytes().replace(b'"data_type"', b'"data_typo"'))
    with pytest.raises(BadInput, match=r"damaged zarr\.json"):
        damaged(out, full=False)


def test_the_root_alone_is_damaged(store) -> None:
    out = store()
    with open_result(out) as result:
        root = result.root
    (out / HEADER).write_bytes((out / HEADER).read_bytes().replace(root.encode(), root[::-1].encode()))
    assert damaged(out, full=True) == [HEADER]
    with open_result(out) as result:
        assert assess(result).root == root
        with pytest.raises(CorruptData, match="root"):
            _ = result.manifest


def test_a_header_sound_but_for_its_root_replaces_a_lost_copy(store) -> None:
    out = store()
    with open_result(out) as result:
        right = assess(result)
    (out / METADATA).unlink()
    (out / HEADER).write_bytes((out / HEADER).read_bytes().replace(right.root.encode(), b"0" * 64))
    assert damaged(out, full=True) == [HEADER, METADATA]
    with open_result(out) as result:
        assert assess(result).header == right.header


def test_the_manifest_of_another_result_is_found(store) -> None:
    out, older = store(value=2, run_id="second"), store("older", value=1, run_id="first")
    (out / MANIFEST).write_bytes((older / MANIFEST).read_bytes())
    assert damaged(out, full=False) == [MANIFEST]


def test_without_a_manifest_chunks_are_judged_by_their_own_checksums(store) -> None:
    out = store(codec="blosc-lz4")
    (out / MANIFEST).unlink()
    flip(out / "c/0/1", 300)
    (out / "c/1/0").unlink()
    (out / "c/1/1").write_bytes(encoded("blosc-lz4", np.ones((4, 5))))
    assert damaged(out, full=False) == [MANIFEST, "c/0/1", "c/1/0", "c/1/1"]


@both_levels
def test_metadata_and_chunks_damaged_together_are_all_named(store, full: bool) -> None:
    out = store(codec="gzip")
    torn(out / HEADER)
    flip(out / "c/0/1", 100)
    assert damaged(out, full) == [HEADER, "c/0/1"]


def test_the_record_of_a_chunk_is_made_again_as_it_was(store) -> None:
    for codec in CODECS:
        with open_result(store(codec=codec)) as result:
            found = assess(result)
            assert found.manifest is not None
            assert [record_of(result, key, found.spec) for key in found.keys] == list(found.manifest.chunks)


def test_what_has_no_manifest_is_bad_input(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "plain", shape=(4, 4), chunks=(2, 2), dtype="f4")
    zarr.create_array(tmp_path / "old", shape=(4, 4), chunks=(2, 2), dtype="f4", attributes={"gemmflow": {"schema": 1}})
    zarr.create_array(tmp_path / "odd", shape=(4, 4), chunks=(2, 2), dtype="f4", attributes={"gemmflow": 3})
    (tmp_path / "bare").mkdir()
    for name in ("plain", "old", "odd", "bare"):
        with pytest.raises(BadInput, match=str(tmp_path / name)):
            damaged(tmp_path / name, full=False)
