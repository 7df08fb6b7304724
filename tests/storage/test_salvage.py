"""Of what an earlier run left, only chunks that a record names, whole, are trusted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import ChunkRecord, DiskFull, Staging, TakenOver, certify, find_staging, salvage, take_over, write_block
from storage import sync as sync_module


@pytest.fixture
def records(staging: Staging, values: np.ndarray) -> tuple[ChunkRecord, ...]:
    return write_block(staging, 0, 0, values).records


def files(staging: Staging) -> set[str]:
    return {path.relative_to(staging.array).as_posix() for path in Path(staging.array).rglob("*") if path.is_file()}


def test_recorded_chunks_survive_and_nothing_else(staging: Staging, records: tuple[ChunkRecord, ...], values: np.ndarray) -> None:
    certify(staging, {}, records)
    for rest in ("c/0/0.77-ab-0.partial", "c/9/9", "c/0/77", "notes", "c/1/0.partial"):
        Path(staging.array, rest).parent.mkdir(exist_ok=True)
        Path(staging.array, rest).write_bytes(b"x")
    for cut, key in enumerate(("c/0/1", "c/1/1", "c/2/0")):
        content = Path(staging.array, key).read_bytes()
        Path(staging.array, key).write_bytes((content[:-1], content + b"\0", b"")[cut])
    Path(staging.array, "c/2/1").unlink()
    named = [record for record in records if record.key != "c/1/2"]
    sound = salvage(staging, named)
    assert sound == {record.key for record in named} - {"c/0/1", "c/1/1", "c/2/0", "c/2/1"}
    assert files(staging) == sound | {"zarr.json"}
    array = zarr.open_array(staging.array, mode="r")
    assert array.attrs["gemmflow"] == {"run_id": "run1", "unfinished": True}
    left = np.asarray(array[...])
    assert left[:8, :5].tobytes() == values[:8, :5].tobytes() and np.isnan(left[:8, 5:10]).all() and np.isnan(left[8:16, 10:15]).all()


def test_a_chunk_written_again_but_not_recorded_is_not_trusted(staging: Staging, values: np.ndarray) -> None:
    plain = replace(staging, spec=replace(staging.spec, codec="none"))
    records = write_block(plain, 0, 0, values).records
    again = write_block(plain, 0, 0, values[:8, :5] * 2).records
    assert again[0].nbytes == records[0].nbytes
    assert "c/0/0" not in salvage(plain, records)
    rewritten = write_block(plain, 0, 0, values[:8, :5] * 2).records
    assert "c/0/0" in salvage(plain, (*records, *rewritten)), "of several records the last one counts"


def test_a_torn_end_of_the_right_size_is_not_trusted(staging: Staging, records: tuple[ChunkRecord, ...]) -> None:
    path = Path(staging.array, "c/0/0")
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))
    assert "c/0/0" not in salvage(staging, records)


def test_a_record_of_impossible_size_is_no_error(staging: Staging, records: tuple[ChunkRecord, ...]) -> None:
    assert salvage(staging, [replace(records[0], nbytes=size) for size in (0, 3, 1 << 40)]) == set()


def test_a_folder_where_a_chunk_should_be_is_not_trusted(staging: Staging, records: tuple[ChunkRecord, ...]) -> None:
    Path(staging.array, "c/0/0").unlink()
    Path(staging.array, "c/0/0").mkdir()
    assert "c/0/0" not in salvage(staging, records)


def test_lost_folders_and_header_are_made_again(staging: Staging, records: tuple[ChunkRecord, ...], values: np.ndarray) -> None:
    for path in sorted(Path(staging.array).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert salvage(staging, records) == set()
    write_block(staging, 0, 0, values)
    assert np.asarray(zarr.open_array(staging.array, mode="r")[...]).tobytes() == values.tobytes()


def test_a_run_that_was_taken_over_brings_no_folder_back(tmp_path: Path, staging: Staging, records: tuple[ChunkRecord, ...]) -> None:
    found = find_staging(tmp_path / "out.zarr")
    assert found is not None
    following = take_over(found)
    with pytest.raises(TakenOver, match="run run1 of"):
        salvage(staging, records)
    assert list(Path(staging.home).iterdir()) == [following.folder]


def test_a_full_disk_is_said(staging: Staging, records: tuple[ChunkRecord, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sync_module, "write_all", full)
    with pytest.raises(DiskFull):
        salvage(staging, records)
