"""Shards: an index that says where every chunk is, and damage that is always seen."""

import json
import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from storage import (
    CODECS,
    CorruptData,
    OutputSpec,
    Staging,
    chunk_buffer_bytes,
    create_staging,
    discard,
    open_matrix,
    sync,
    write_block,
)
from storage.behind import Cached, Growing, Outgoing, waiting_bytes
from storage.chain import Undecodable, crc32c
from storage.publish import certify, publish
from storage.result import open_result
from storage.scrub import record_of, scrub
from storage.shard import ABSENT, Filling, Shards, Span, encoded_chunks, guarded
from storage.zarr_thin import ThinZarr

several = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SHAPE = (23, 17)
SPEC = OutputSpec(SHAPE, "float32", (4, 5), "zstd", (16, 10))


@pytest.fixture
def staging(tmp_path: Path, values: np.ndarray) -> Staging:
    made = create_staging(tmp_path / "out", SPEC, "process", "r")
    write_block(made, 0, 0, values)
    return made


def read(path: str) -> np.ndarray:
    matrix = open_matrix(path)
    assert isinstance(matrix.source, ThinZarr)
    out = np.empty(matrix.shape, matrix.dtype)
    matrix.read_into(out, slice(None), slice(None))
    return out


def stored(staging: Staging, key: str) -> np.ndarray:
    return np.frombuffer(Path(staging.array, key).read_bytes(), np.uint8)


@several
@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    chunks=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    counts=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    tiles=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dtype=st.sampled_from(["float32", "float16", "int64", "uint8"]),
    codec=st.sampled_from(sorted(CODECS)),
    durability=st.sampled_from(["power", "process"]),
)
def test_blocks_of_shards_make_the_whole_array(tmp_path: Path, shape, chunks, counts, tiles, dtype, codec, durability) -> None:
    assume(np.dtype(dtype).itemsize >= CODECS[codec].least_itemsize)
    values = np.arange(shape[0] * shape[1]).reshape(shape).astype(dtype)
    spec = OutputSpec(shape, dtype, chunks, codec, (chunks[0] * counts[0], chunks[1] * counts[1]))
    staging = create_staging(tmp_path / "o", spec, durability, "r")
    height, width = spec.objects[0] * tiles[0], spec.objects[1] * tiles[1]
    keys: list[str] = []
    for top in range(0, shape[0], height):
        for left in range(0, shape[1], width):
            keys += [record.key for record in write_block(staging, top, left, values[top : top + height, left : left + width]).records]
    assert np.asarray(zarr.open_array(staging.array, mode="r")[...]).tobytes() == values.tobytes() == read(staging.array).tobytes()
    assert sorted(keys) == sorted(str(file.relative_to(staging.array)) for file in Path(staging.array, "c").rglob("*") if file.is_file())
    assert len(keys) == spec.grid[0] * spec.grid[1]
    discard(staging)


@pytest.mark.parametrize("codec", CODECS)
def test_the_metadata_are_the_registered_codec_with_ours_inside(tmp_path: Path, codec: str) -> None:
    staging = create_staging(tmp_path / "out", OutputSpec(SHAPE, "float32", (4, 5), codec, (16, 10)), "process", "r")
    document = json.loads(Path(staging.array, "zarr.json").read_bytes())
    assert document["chunk_grid"]["configuration"]["chunk_shape"] == [16, 10]
    assert document["codecs"] == [
        {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [4, 5],
                "codecs": CODECS[codec].metadata(4),
                "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
                "index_location": "end",
            },
        }
    ]
    assert open_matrix(staging.array).shard == (16, 10)


def test_every_chunk_with_an_element_is_written_also_one_of_fill_values_only(tmp_path: Path) -> None:
    staging = create_staging(tmp_path / "out", SPEC, "process", "r")
    write_block(staging, 0, 0, np.full(SHAPE, np.nan, np.float32))
    for key, present in (("c/0/0", (4, 2)), ("c/0/1", (4, 2)), ("c/1/0", (2, 2)), ("c/1/1", (2, 2))):
        file = stored(staging, key)
        entries = SPEC.shards.index_of(file[-SPEC.shards.index_bytes :].copy(), file.size).entries
        written = (entries != ABSENT).all(axis=2)
        assert written.sum() == present[0] * present[1] and written[: present[0], : present[1]].all()
    out = np.empty(SHAPE, np.float32)
    matrix = open_matrix(staging.array)
    assert matrix.read_into(out, slice(None), slice(None)) == matrix.decoded_bytes(slice(None), slice(None))


def test_records_cover_the_file_before_its_last_four_bytes_and_these_the_index(tmp_path: Path, values: np.ndarray) -> None:
    for shard in (None, (16, 10)):
        staging = create_staging(tmp_path / f"{shard}", OutputSpec(SHAPE, "float32", (4, 5), "zstd", shard), "process", "r")
        for record in write_block(staging, 0, 0, values).records:
            file = stored(staging, record.key)
            body, last = file[:-4], int.from_bytes(file[-4:].tobytes(), "little")
            assert (record.nbytes, record.crc32c) == (file.size, crc32c(body))
            assert crc32c(guarded(body, staging.spec.shards)) == last


def test_chunks_lie_one_behind_the_other_in_the_order_of_the_grid(staging: Staging, values: np.ndarray) -> None:
    file = stored(staging, "c/0/1")
    encoded = list(encoded_chunks(file, SPEC.shards))
    assert b"".join(chunk.tobytes() for chunk in encoded) == file[: -SPEC.shards.index_bytes].tobytes()
    decoded = np.empty((8, 4, 5), np.float32)
    for chunk, place in zip(encoded, decoded, strict=True):
        SPEC.compression.decode(chunk.tobytes(), place)
    assert decoded[2, :, :5].tobytes() == values[4:8, 10:15].tobytes()


def test_one_chunk_at_a_time_is_asked_of_the_block(tmp_path: Path, values: np.ndarray) -> None:
    asked: list[tuple[int, ...]] = []

    class Giving:
        shape, dtype = values.shape, values.dtype

        def __getitem__(self, part: tuple[slice, slice]) -> np.ndarray:
            asked.append(values[part].shape)
            return values[part]

    staging = create_staging(tmp_path / "out", SPEC, "process", "r")
    write_block(staging, 0, 0, Giving())
    assert len(asked) == 6 * 4 and max(asked) == (4, 5)
    assert read(staging.array).tobytes() == values.tobytes()


@pytest.mark.parametrize("codec", ["none", "blosc-zstd", "zstd"])
def test_memory_for_a_shard_is_that_of_one_chunk(tmp_path: Path, codec: str) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (24, 1 << 20), dtype=np.uint8)
    spec = OutputSpec((24, 1 << 20), "uint8", (1, 1 << 20), codec, (24, 1 << 20))
    staging = create_staging(tmp_path / "out", spec, "process", "r")

    def peak() -> int:
        tracemalloc.start()
        try:
            write_block(staging, 0, 0, noise)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(peak).result() <= chunk_buffer_bytes(spec) - waiting_bytes(noise.nbytes) < noise.nbytes // 4


def test_power_durability_syncs_a_shard_once_before_its_rename_and_its_folder_after(tmp_path: Path, values, monkeypatch) -> None:
    staging = create_staging(tmp_path / "out", SPEC, "power", "r")
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def spy_fsync(descriptor: int) -> None:
        events.append("folder" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "fsync")
        fsync(descriptor)

    def spy_replace(source: str, target: str) -> None:
        events.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    write_block(staging, 0, 0, values)
    assert events == ["fsync", "replace"] * 4 + ["folder"] * 2


@pytest.mark.parametrize("kept", [0, 3, 100, -1])
def test_a_damaged_shard_is_named_and_replaced_without_being_read(staging: Staging, values: np.ndarray, kept: int) -> None:
    """zarr-python 3.1 reads a shard before it replaces it, and fails for ever where it is damaged."""
    shard = Path(staging.array, "c/1/0")
    shard.write_bytes(shard.read_bytes()[:kept])
    with pytest.raises(CorruptData, match="chunk c/1/0 ") as caught:
        read(staging.array)
    assert "\n" not in str(caught.value)
    write_block(staging, 16, 0, values[16:, :10])
    assert read(staging.array).tobytes() == values.tobytes()


def test_any_flipped_bit_is_seen(staging: Staging) -> None:
    shard = Path(staging.array, "c/0/0")
    sound = shard.read_bytes()
    rng = np.random.default_rng(3)
    index_bits = 8 * SPEC.shards.index_bytes
    for bit in [*rng.integers(0, 8 * len(sound), 150), *(8 * len(sound) - rng.integers(1, index_bits + 1, 100))]:
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << (bit % 8)
        shard.write_bytes(damaged)
        with pytest.raises(CorruptData, match="chunk c/0/0 "):
            read(staging.array)


@pytest.mark.parametrize("codec", ["none", "blosc-zstd"])
def test_a_scrub_sees_any_flipped_bit_of_a_shard_quick_or_full(tmp_path: Path, values: np.ndarray, codec: str) -> None:
    spec = OutputSpec(SHAPE, "float32", (4, 5), codec, (16, 10))
    staging = create_staging(tmp_path / "out", spec, "process", "r")
    records = write_block(staging, 0, 0, values).records
    certify(staging, {"storage": {"codec": codec}}, records)
    publish(staging, overwrite=False)
    shard = tmp_path / "out/c/0/0"
    sound = shard.read_bytes()
    places = [*np.random.default_rng(4).integers(0, 8 * len(sound), 20), 8 * len(sound) - 1, 8 * len(sound) - 40]
    with open_result(tmp_path / "out") as result:
        assert [record_of(result, record.key, spec) for record in records] == list(records)
        for full in (False, True):
            assert list(scrub(result, full)) == []
        for bit in places:
            damaged = bytearray(sound)
            damaged[bit // 8] ^= 1 << (bit % 8)
            shard.write_bytes(damaged)
            assert [[damage.key for damage in scrub(result, full)] for full in (False, True)] == [["c/0/0"]] * 2


def test_a_damaged_chunk_of_a_shard_is_named_by_its_place(staging: Staging) -> None:
    shard = Path(staging.array, "c/0/1")
    damaged = bytearray(shard.read_bytes())
    damaged[5] ^= 1
    shard.write_bytes(damaged)
    with pytest.raises(CorruptData, match=r"chunk c/0/1 \(a shard\) holds a chunk at 0,0 that fails its checksum"):
        read(staging.array)


def test_a_chunk_that_was_never_written_is_fill_and_costs_nothing(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a", shape=(8, 8), chunks=(2, 2), shards=(4, 4), dtype="f4", fill_value=3)
    array[:2, 2:4] = 1
    out = np.empty((8, 8), np.float32)
    matrix = open_matrix(tmp_path / "a")
    assert isinstance(matrix.source, ThinZarr)
    assert matrix.read_into(out, slice(None), slice(None)) == 16
    assert out.tobytes() == np.asarray(array[...]).tobytes()
    assert matrix.decoded_bytes(slice(0, 3), slice(1, 2)) == 2 * 16


def test_an_index_in_front_is_read(tmp_path: Path, values: np.ndarray) -> None:
    codec = zarr.codecs.ShardingCodec(chunk_shape=(8, 5), index_location="start")
    zarr.create_array(tmp_path / "a", shape=SHAPE, chunks=(16, 10), dtype="f4", serializer=codec, compressors=None)[...] = values
    assert read(str(tmp_path / "a")).tobytes() == values.tobytes()
    shard = tmp_path / "a/c/1/0"
    shard.write_bytes(bytes(5) + shard.read_bytes()[5:])
    with pytest.raises(CorruptData, match="chunk c/1/0 has a damaged index: it fails its checksum"):
        read(str(tmp_path / "a"))


@pytest.mark.parametrize("entry", [(90, 11), (101, 0), (ABSENT, 5), (5, ABSENT), (ABSENT - 1, 1 << 63), (1 << 63, 1 << 63)])
def test_an_index_that_points_outside_the_file_is_damaged(entry: tuple[int, int]) -> None:
    shards = Shards((4, 4), (2, 2), checksum=False)
    entries = np.full((2, 2, 2), ABSENT, "<u8")
    entries[1, 0] = entry
    with pytest.raises(Undecodable, match="points outside the 100 bytes"):
        shards.index_of(entries.reshape(-1).view(np.uint8), 100)


@given(st.tuples(st.integers(1, 4), st.integers(1, 4)), st.data())
def test_an_index_gives_back_what_was_added(grid: tuple[int, int], data: st.DataObject) -> None:
    shards = Shards(grid, (1, 1))
    order = data.draw(st.permutations(list(np.ndindex(*grid))))
    filling, content, spans = Filling(shards), b"", {}
    for place in order[: data.draw(st.integers(0, len(order)))]:
        body = data.draw(st.binary(max_size=20))
        spans[place] = Span(len(content), len(body) + 4)
        filling.add(place, (np.frombuffer(body, np.uint8), b"crc!"))
        content += body + b"crc!"
    content += b"".join(filling.end())
    assert (filling.nbytes, filling.crc32c) == (len(content), crc32c(content[:-4]))
    raw = np.frombuffer(content[-shards.index_bytes :], np.uint8).copy()
    index = shards.index_of(raw, len(content))
    assert {place: index.span(place) for place in np.ndindex(*grid)} == {place: spans.get(place) for place in np.ndindex(*grid)}
    assert list(index.spans()) == [spans[place] for place in sorted(spans)]


@pytest.mark.parametrize(("edges", "chunks"), [((4, 5), (2, 2)), ((0, 4), (2, 2)), ((4, 4), (0, 2)), ((1, 4), (2, 2))])
def test_shards_are_whole_multiples_of_chunks(edges: tuple[int, int], chunks: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="whole multiples"):
        Shards(edges, chunks)


def test_a_failure_in_the_middle_of_a_shard_keeps_the_old_one(staging: Staging, values: np.ndarray, monkeypatch) -> None:
    calls: list[object] = []
    kind = Outgoing if staging.durability == "power" else Cached
    real = kind.append

    def full(file: Growing, parts) -> None:
        calls.append(file)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        real(file, parts)

    monkeypatch.setattr(kind, "append", full)
    with pytest.raises(Exception, match="no room to write"):
        write_block(staging, 0, 0, values + 1)
    assert list(Path(staging.folder).rglob(f"*{sync.PARTIAL}")) == []
    assert read(staging.array).tobytes() == values.tobytes()
