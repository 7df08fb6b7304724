"""Matrices on an object store: the same bits as on a local disk, damage named by chunk, failures in one line."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import BadInput, CorruptData, Matrix, Unreachable, open_matrix
from storage.objects import ObjectStore
from storage.zarr_thin import ThinZarr
from tests.object_server import Fault, Proxy
from tests.storage.conftest import FALLBACK, SHAPE, THIN

KINDS = THIN | FALLBACK
Flaky = tuple[ObjectStore, Proxy]


def upload(path: Path, store: ObjectStore) -> None:
    for file in path.rglob("*"):
        if file.is_file():
            store.put(str(file.relative_to(path)), file.read_bytes())


def read(matrix: Matrix, rows: slice = slice(None), cols: slice = slice(None)) -> np.ndarray:
    out = np.full(np.empty(matrix.shape)[rows, cols].shape, 7, matrix.dtype)
    matrix.read_into(out, rows, cols)
    return out


@pytest.fixture
def both(request: pytest.FixtureRequest, tmp_path: Path, values: np.ndarray, s3: ObjectStore) -> tuple[Path, ObjectStore]:
    """The same matrix on the local disk and on the store."""
    KINDS[request.param](tmp_path / "a", values)
    upload(tmp_path / "a", s3)
    return tmp_path / "a", s3


every_kind = pytest.mark.parametrize("both", sorted(KINDS), indirect=True)
some_kinds = pytest.mark.parametrize("both", ["v3-none-crc", "v3-blosc-lz4", "v2-zlib", "v3-sharded"], indirect=True)


@every_kind
def test_the_same_matrix_as_on_the_local_disk(both: tuple[Path, ObjectStore]) -> None:
    local, remote = open_matrix(both[0]), open_matrix(both[1].url)
    same = ("format", "shape", "dtype", "chunks", "chunk_bytes", "codec")
    assert [getattr(remote, name) for name in same] == [getattr(local, name) for name in same]
    assert remote.path == both[1].url and type(remote.source) is type(local.source)
    assert pickle.loads(pickle.dumps(remote)) == remote and b"hidden-value" not in pickle.dumps(remote)
    spans = [(slice(0, 23), slice(0, 17)), (slice(3, 9), slice(4, 11)), (slice(22, 23), slice(16, 17)), (slice(5, 5), slice(0, 17))]
    for rows, cols in spans:
        assert read(remote, rows, cols).tobytes() == read(local, rows, cols).tobytes()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_slice(s3: ObjectStore, values: np.ndarray, tmp_path: Path, data: st.DataObject) -> None:
    if not (tmp_path / "a").exists():
        THIN["v3-blosc-zstd-crc"](tmp_path / "a", values)
        upload(tmp_path / "a", s3)
    rows, cols = (slice(*sorted(data.draw(st.tuples(*[st.integers(0, length)] * 2)))) for length in SHAPE)
    assert read(open_matrix(s3.url), rows, cols).tobytes() == values[rows, cols].tobytes()


def test_a_missing_chunk_reads_as_the_fill_value_and_costs_nothing(s3: ObjectStore, tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", shape=(4, 6), chunks=(2, 3), dtype="f4", fill_value=1.5)[2:, 3:] = 7
    upload(tmp_path / "a", s3)
    out = np.empty((4, 6), np.float32)
    assert open_matrix(s3.url).read_into(out, slice(0, 4), slice(0, 6)) == 24
    assert (out[2:, 3:] == 7).all() and (out == 1.5).sum() == 18


@some_kinds
def test_an_array_that_vanishes_is_not_read_as_fill_values(both: tuple[Path, ObjectStore]) -> None:
    matrix = open_matrix(both[1].url)
    both[1].delete(*[listed.key for listed in both[1].list()])
    with pytest.raises(CorruptData, match=f"{both[1].url} lost its"):
        read(matrix)


@some_kinds
def test_truncated_and_empty_chunks_are_named(both: tuple[Path, ObjectStore]) -> None:
    store = both[1]
    key = max(listed.key for listed in store.list() if listed.key.rsplit("/")[-1][0] not in "z.")
    content = store.read(key).content
    for kept in (0, len(content) - 1):
        store.put(key, content[:kept])
        with pytest.raises(CorruptData, match=f"{store.url} chunk {re.escape(key)} ") as caught:
            read(open_matrix(store.url))
        assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["v3-none", "v3-none-crc", "v3-blosc-lz4", "v3-zstd", "v3-gzip-crc", "v2-zlib"])
def test_a_body_that_arrives_short_is_damage(flaky: Flaky, tmp_path: Path, values: np.ndarray, kind: str) -> None:
    store, proxy = flaky
    THIN[kind](tmp_path / "a", values)
    upload(tmp_path / "a", store)
    matrix = open_matrix(store.url)
    proxy.fail(Fault(short=30))
    with pytest.raises(CorruptData, match=f"{store.url} chunk "):
        read(matrix)
    assert read(matrix).tobytes() == values.tobytes()


@pytest.mark.parametrize("kind", ["v3-zstd", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("v3-none-crc", "v3-transposed"))])
def test_a_burst_of_failures_changes_nothing(flaky: Flaky, tmp_path: Path, values: np.ndarray, kind: str) -> None:
    store, proxy = flaky
    KINDS[kind](tmp_path / "a", values)
    upload(tmp_path / "a", store)
    matrix = open_matrix(store.url)
    busy = Fault(status=503, code="SlowDown")
    proxy.fail(*[Fault(), busy, busy, Fault(cut=20), Fault(closed=True), Fault()] * 4)
    assert read(matrix).tobytes() == values.tobytes()


@pytest.mark.parametrize("kind", ["v3-zstd", pytest.param("v3-transposed", marks=pytest.mark.slow)])
def test_a_store_that_stays_away_is_no_damage(flaky: Flaky, tmp_path: Path, values: np.ndarray, kind: str) -> None:
    store, proxy = flaky
    KINDS[kind](tmp_path / "a", values)
    upload(tmp_path / "a", store)
    matrix = open_matrix(store.url)
    proxy.fail(*[Fault(status=503, code="SlowDown")] * 100)
    with pytest.raises(Unreachable, match=f"{proxy.url} answers 503"):
        read(matrix)
    with pytest.raises(BadInput, match=f"{proxy.url} answers 503"):
        open_matrix(store.url)


def test_the_fingerprint_changes_when_the_array_is_written_again(s3: ObjectStore, tmp_path: Path) -> None:
    marks: set[str] = set()
    for dtype in ("f4", "f8"):
        zarr.create_array(tmp_path / dtype, shape=(4, 6), dtype=dtype)
        upload(tmp_path / dtype, s3)
        marks |= {open_matrix(s3.url).fingerprint, open_matrix(s3.url).fingerprint}
    assert len(marks) == 2


def test_what_is_no_array_is_refused(s3: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"{s3.url} holds no Zarr array: check the address"):
        open_matrix(s3.url)
    with pytest.raises(BadInput, match="npy files are read from local file systems only"):
        open_matrix(f"{s3.url}/a.npy")
    group = zarr.create_group(tmp_path / "g")
    for name in ("x", "deep/y"):
        group.create_array(name, shape=(2, 2), dtype="f4")[...] = 1
    upload(tmp_path / "g", s3)
    with pytest.raises(BadInput, match=f"{s3.url} is a Zarr group; name one of its arrays: deep/y, x$"):
        open_matrix(s3.url)
    s3.put("zarr.json", b'{"zarr_format": 3')
    with pytest.raises(BadInput, match=f"{s3.url} has a damaged zarr.json"):
        open_matrix(s3.url)
    with pytest.raises(BadInput, match="no such bucket"):
        open_matrix("s3://nowhere/a")


def test_without_the_library_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "storage.objects", None)
    with pytest.raises(BadInput, match=r"s3://lab/a: object stores need another library: pip install 'gemmflow\[s3\]'"):
        open_matrix("s3://lab/a")


@some_kinds
def test_memory_for_parts_on_their_way_is_counted(both: tuple[Path, ObjectStore]) -> None:
    local, remote = open_matrix(both[0]), open_matrix(both[1].url)
    assert remote.scratch_bytes > local.scratch_bytes
    assert isinstance(remote.source, ThinZarr) == isinstance(local.source, ThinZarr)


READS_AND_MEASURES = """
import sys
import numpy as np
from storage import open_matrix
from storage.address import absolute
import storage.zarr_header
from tasks.resident import forget_peak, peak_resident_bytes, resident_bytes
out = np.ones((1024, 4096), np.float32)
forget_peak()
before = resident_bytes()
matrix = open_matrix(sys.argv[1])
for _ in range(3):
    matrix.read_into(out, slice(0, 1024), slice(0, 4096))
print(peak_resident_bytes() - before, matrix.scratch_bytes)
"""


def test_what_reading_holds_is_within_what_is_counted(s3: ObjectStore, tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a", shape=(1024, 4096), chunks=(1024, 2048), dtype="f4")
    array[...] = np.random.default_rng(1).standard_normal(array.shape, np.float32)
    upload(tmp_path / "a", s3)
    done = subprocess.run([sys.executable, "-c", READS_AND_MEASURES, s3.url], capture_output=True, check=True, text=True)
    held, counted = map(int, done.stdout.split())
    assert held <= counted
