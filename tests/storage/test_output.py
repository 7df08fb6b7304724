"""The geometry of results and the folder they grow in."""

import errno
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from storage import BadInput, DiskFull, OutputSpec, Refused, Staging, create_staging, default_chunks, read_journal, staging_folders
from storage.codecs import LARGEST_CHUNK_BYTES


@given(st.integers(1, 10**7), st.integers(1, 10**7), st.sampled_from([1, 2, 4, 8]))
def test_default_chunks_are_cut_to_the_shape_and_4_to_16_mib(rows: int, cols: int, itemsize: int) -> None:
    edges = default_chunks((rows, cols), itemsize)
    nbytes = math.prod(edges) * itemsize
    assert nbytes <= 16 << 20
    assert nbytes >= 4 << 20 or edges == (rows, cols)
    for edge, length in zip(edges, (rows, cols), strict=True):
        assert edge == length or (edge < length and (edge.bit_count() == 1 or min(rows, cols) < edge))


def test_default_chunks_by_example() -> None:
    assert default_chunks((9000, 9000), 4) == (2048, 2048)
    assert default_chunks((9000, 9000), 8) == (1024, 1024)
    assert default_chunks((10**6, 256), 4) == (4096, 256)
    assert default_chunks((3, 5), 8) == (3, 5)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"dtype": "complex64"}, "complex64"),
        ({"shape": (0, 3)}, "at least 1"),
        ({"chunks": (2, 0)}, "at least 1"),
        ({"codec": "lzma"}, "not known"),
        ({"shard": (8, 6)}, r"shard \(8, 6\) must be whole multiples of chunks \(4, 4\)"),
        ({"shard": (0, 4)}, "whole multiples"),
        ({"chunks": (1 << 15, 1 << 14), "shape": (1 << 15, 1 << 14)}, str(LARGEST_CHUNK_BYTES)),
    ],
)
def test_results_that_cannot_be_stored_are_refused(change: dict, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        OutputSpec(**{"shape": (8, 8), "dtype": "float32", "chunks": (4, 4), "codec": "none", **change})


def test_the_staged_array_is_complete_but_empty(staging: Staging, spec: OutputSpec, tmp_path: Path) -> None:
    array = zarr.open_array(staging.array, mode="r")
    assert (array.shape, array.chunks, array.dtype) == (spec.shape, spec.chunks, np.dtype("f4"))
    assert np.isnan(array[...]).all(), "a lost chunk must not read as a plausible number"
    assert (Path(staging.folder).parent, Path(staging.folder).name) == (tmp_path, "out.zarr.gemmflow-run1")
    assert read_journal(Path(staging.journal)) == []
    assert sorted(path.name for path in Path(staging.array, "c").iterdir()) == ["0", "1", "2"]
    assert not Path(staging.out).exists()


def test_integer_results_fill_with_zero(tmp_path: Path) -> None:
    staging = create_staging(tmp_path / "o", OutputSpec((4, 4), "int64", (2, 2), "none"), "power", "r")
    assert json.loads(Path(staging.array, "zarr.json").read_text())["fill_value"] == 0


def test_a_staging_travels(staging: Staging) -> None:
    assert pickle.loads(pickle.dumps(staging)) == staging


def test_a_run_is_not_started_twice(tmp_path: Path, staging: Staging, spec: OutputSpec) -> None:
    with pytest.raises(Refused, match=r"out\.zarr\.gemmflow-run1 exists"):
        create_staging(tmp_path / "out.zarr", spec, "process", "run1")
    assert create_staging(tmp_path / "out.zarr", spec, "process", "run2").folder != staging.folder


def test_a_missing_parent_is_named(tmp_path: Path, spec: OutputSpec) -> None:
    with pytest.raises(BadInput, match=rf"the folder {tmp_path}/no does not exist: create it"):
        create_staging(tmp_path / "no/out", spec, "process", "r")


def test_a_run_id_cannot_leave_the_folder(tmp_path: Path, spec: OutputSpec) -> None:
    with pytest.raises(ValueError, match="run id"):
        create_staging(tmp_path / "out", spec, "process", "../../x")


@pytest.mark.parametrize(("code", "kind"), [(errno.EROFS, BadInput), (errno.EACCES, BadInput), (errno.ENOSPC, DiskFull)])
def test_what_the_system_refuses_is_said(tmp_path: Path, spec: OutputSpec, monkeypatch, code: int, kind: type[Exception]) -> None:
    def deny(*_: object, **__: object) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(Path, "mkdir", deny)
    with pytest.raises(kind, match=str(tmp_path)):
        create_staging(tmp_path / "out", spec, "process", "r")


def test_a_link_as_out_means_its_target(tmp_path: Path, spec: OutputSpec) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk/real")
    assert create_staging(tmp_path / "link", spec, "process", "r").out == str(tmp_path / "disk/real")


def test_staging_folders_are_found_beside_out_only(tmp_path: Path, spec: OutputSpec) -> None:
    made = [Path(create_staging(tmp_path / "o[1]", spec, "process", run_id).folder) for run_id in ("b", "a")]
    create_staging(tmp_path / "o[1].zarr", spec, "process", "a")
    (tmp_path / "o[1].gemmflow-probe-x1").mkdir()
    (tmp_path / "o[1].gemmflow-notes").write_text("a file")
    (tmp_path / "link").symlink_to(tmp_path / "o[1]")
    assert staging_folders(tmp_path / "o[1]") == staging_folders(tmp_path / "link") == sorted(made)
    assert staging_folders(tmp_path / "no" / "out") == []
