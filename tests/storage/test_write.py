"""Blocks: every element once, whatever the view; a failure leaves what was there."""

import errno
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from storage import (
    CODECS,
    ChunkRecord,
    DiskFull,
    OutputSpec,
    Staging,
    TakenOver,
    chunk_buffer_bytes,
    create_staging,
    discard,
    held_bytes,
    sync,
    write_block,
)
from storage.chain import crc32c
from storage.record import digest, values_digest

several = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")
@several
@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    chunks=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    blocks=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    layout=st.sampled_from(["C", "F", "strided", "reversed"]),
    dtype=st.sampled_from(["float32", "float16", "int64", "uint8"]),
    codec=st.sampled_from(sorted(CODECS)),
    durability=st.sampled_from(["power", "process"]),
)
def test_blocks_of_any_layout_make_the_whole_array(tmp_path: Path, shape, chunks, blocks, layout, dtype, codec, durability) -> None:
    assume(np.dtype(dtype).itemsize >= CODECS[codec].least_itemsize)
    values = np.arange(shape[0] * shape[1]).reshape(shape).astype(dtype)
    wide = np.zeros((2 * shape[0], 2 * shape[1]), dtype)
    wide[::2, ::2] = values
    views = {"C": values, "F": np.asfortranarray(values), "strided": wide[::2, ::2], "reversed": values[::-1].copy()[::-1]}
    staging = create_staging(tmp_path / "o", OutputSpec(shape, dtype, chunks, codec), durability, "r")
    height, width = chunks[0] * blocks[0], chunks[1] * blocks[1]
    keys: list[str] = []
    for top in range(0, shape[0], height):
        for left in range(0, shape[1], width):
            result = write_block(staging, top, left, views[layout][top : top + height, left : left + width])
            keys += [record.key for record in result.records]
    assert (np.asarray(zarr.open_array(staging.array, mode="r")[...]) == values).all()
    assert sorted(keys) == sorted(str(file.relative_to(staging.array)) for file in Path(staging.array, "c").rglob("*") if file.is_file())
    discard(staging)


@pytest.mark.parametrize("goal", ["auto", "smallest"])
def test_nothing_is_written_before_the_codec_is_settled(tmp_path: Path, goal: str) -> None:
    staging = create_staging(tmp_path / "o", OutputSpec((4, 4), "float32", (4, 4), goal), "process", "r")
    with pytest.raises(ValueError, match=f"codec {goal} names no row: settle it before writing"):
        write_block(staging, 0, 0, np.zeros((4, 4), np.float32))
    assert list(Path(staging.array, "c", "0").iterdir()) == []


def test_records_describe_the_files(staging: Staging, spec: OutputSpec, values: np.ndarray) -> None:
    result = write_block(staging, 0, 0, values)
    for record in result.records:
        content = Path(staging.array, record.key).read_bytes()
        body = np.frombuffer(content[:-4], np.uint8)
        decoded = np.empty(spec.chunks, np.float32)
        spec.compression.decode(content, decoded)
        assert record == ChunkRecord(record.key, len(content), crc32c(body), digest(body), values_digest(decoded))
    assert result.nbytes == sum(record.nbytes for record in result.records)
    assert result.encode_seconds > 0 and result.write_seconds > 0


@pytest.mark.parametrize("codec", CODECS)
def test_hashes_of_values_do_not_depend_on_the_codec(tmp_path: Path, values: np.ndarray, codec: str) -> None:
    hashes = []
    for out, name in enumerate(("none", codec)):
        staging = create_staging(tmp_path / str(out), OutputSpec((23, 17), "float32", (8, 5), name), "process", "r")
        hashes.append([record.values for record in write_block(staging, 0, 0, np.asfortranarray(values)).records])
    assert hashes[0] == hashes[1]


def test_edge_chunks_are_padded_with_the_fill_value(tmp_path: Path) -> None:
    for dtype, fill in (("float64", np.nan), ("int32", 0)):
        staging = create_staging(tmp_path / dtype, OutputSpec((3, 5), dtype, (4, 4), "none"), "process", "r")
        write_block(staging, 0, 0, np.ones((3, 5), dtype))
        stored = np.frombuffer(Path(staging.array, "c/0/1").read_bytes()[:-4], dtype).reshape(4, 4)
        np.testing.assert_array_equal(stored[:3, :1], 1)
        np.testing.assert_array_equal(stored[3:], fill)
        np.testing.assert_array_equal(stored[:, 1:], fill)


def test_a_block_of_fill_values_is_written_like_any_other(staging: Staging) -> None:
    assert len(write_block(staging, 0, 0, np.full((23, 17), np.nan, np.float32)).records) == 12
    assert Path(staging.array, "c/2/3").is_file()


def test_the_announced_scratch_is_an_upper_bound(staging: Staging, values: np.ndarray, spec: OutputSpec) -> None:
    def write() -> int:
        write_block(staging, 0, 0, np.asfortranarray(values))
        return held_bytes()

    with ThreadPoolExecutor(1) as pool:
        assert spec.chunk_bytes == pool.submit(write).result() <= chunk_buffer_bytes(spec)


@pytest.mark.parametrize(
    ("row0", "col0", "shape"),
    [(1, 0, (8, 5)), (0, 1, (8, 5)), (0, 0, (7, 5)), (0, 0, (8, 4)), (24, 0, (8, 5)), (16, 0, (8, 5)), (-8, 0, (8, 5)), (0, 0, (0, 5))],
)
def test_blocks_off_the_grid_are_refused(staging: Staging, row0: int, col0: int, shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="grid"):
        write_block(staging, row0, col0, np.zeros(shape, np.float32))


def test_blocks_of_another_type_are_refused(staging: Staging) -> None:
    with pytest.raises(ValueError, match="float64"):
        write_block(staging, 0, 0, np.zeros((8, 5)))


def partials(staging: Staging) -> list[Path]:
    return list(Path(staging.folder).rglob(f"*{sync.PARTIAL}"))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_a_full_disk_keeps_the_old_chunk_and_leaves_no_rest(tmp_path: Path, values, spec, monkeypatch, code: int, call: str) -> None:
    staging = create_staging(tmp_path / "out", spec, "power", "r")
    write_block(staging, 0, 0, values)

    def full(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(DiskFull, match="free space"):
        write_block(staging, 0, 0, values + 1)
    assert partials(staging) == []
    assert np.asarray(zarr.open_array(staging.array, mode="r")[...]).tobytes() == values.tobytes()


@pytest.mark.parametrize("codec", ["none", "blosc-lz4"])
def test_a_file_size_limit_is_a_full_disk(tmp_path: Path, codec: str) -> None:
    noise = np.random.default_rng(0).standard_normal((200, 200))
    staging = create_staging(tmp_path / "out", OutputSpec((200, 200), "float64", (200, 200), codec), "process", "r")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DiskFull, match=r"no room to write .*File too large"):
            write_block(staging, 0, 0, noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert partials(staging) == []


def test_an_interrupt_leaves_no_rest(staging: Staging, values: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_block(staging, 0, 0, values)
    assert partials(staging) == []


def test_a_write_after_the_run_is_over_says_so(staging: Staging, values: np.ndarray) -> None:
    discard(staging)
    with pytest.raises(TakenOver, match="this one stops"):
        write_block(staging, 0, 0, values)


def test_power_durability_syncs_each_file_before_its_rename_and_its_folder_after(tmp_path: Path, spec, values, monkeypatch) -> None:
    staging = create_staging(tmp_path / "out", spec, "power", "r")
    events: list[str] = []
    names: dict[str, object] = {"fsync": os.fsync, "replace": os.replace}

    def spy(name: str):
        def call(*args: object) -> object:
            folder = name == "fsync" and Path(f"/proc/self/fd/{args[0]}").is_dir()
            events.append("folder" if folder else name)
            return names[name](*args)  # type: ignore[operator]

        return call

    for name in names:
        monkeypatch.setattr(os, name, spy(name))
    write_block(staging, 0, 0, values)
    assert events == ["fsync", "replace"] * 12 + ["folder"] * 3
