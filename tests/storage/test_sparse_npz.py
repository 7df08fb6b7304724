"""scipy's sparse .npz: every block as `toarray` gives it, from headers, within memory; anything else is one line."""

import pickle
import tempfile
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import BadInput, CorruptData, Matrix, npz_survey, occupied, open_matrix, sparse_npz, zip_member

TYPES = ("float32", "float64", "int8", "uint16", "int64")
extents = st.integers(1, 40)


def save(path: Path, compressed: bool = True, **arrays: np.ndarray) -> Path:
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


def parts(matrix: sp.spmatrix) -> dict[str, np.ndarray]:
    """What `save_npz` stores."""
    kind = np.array(matrix.format.encode("ascii"))
    return {"format": kind, "shape": np.array(matrix.shape), "indptr": matrix.indptr, "indices": matrix.indices, "data": matrix.data}


@st.composite
def matrices(draw) -> sp.csr_matrix | sp.csc_matrix:
    """Indices in any order, some of them twice, some lines empty."""
    kind, shape = draw(st.sampled_from([sp.csr_matrix, sp.csc_matrix])), (draw(extents), draw(extents))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    lines, width = shape if kind is sp.csr_matrix else shape[::-1]
    counts = rng.integers(0, draw(st.integers(1, 12)), lines)
    index = draw(st.sampled_from([np.int32, np.int64]))
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    count = int(counts.sum())
    data = (rng.standard_normal(count) if dtype.kind == "f" else rng.integers(0, 5, count)).astype(dtype)
    return kind((data, rng.integers(0, width, count).astype(index), np.append(0, counts.cumsum()).astype(index)), shape)


def block_of(matrix: Matrix, rows: slice, cols: slice, order: str = "C") -> np.ndarray:
    """A block, read among numbers that must stay what they are."""
    around = np.full((rows.stop - rows.start + 2, cols.stop - cols.start + 2), 7, matrix.dtype, order=order)
    inner = around[1:-1, 1:-1]
    inner[...] = 3
    matrix.read_into(inner, rows, cols)
    found = inner.copy()
    inner[...] = 7
    assert (around == 7).all()
    return found


@settings(max_examples=60, deadline=None)
@given(matrices(), st.booleans(), st.data())
def test_every_block_has_the_bits_of_scipys_dense_matrix(matrix, compressed, data):
    spans = []
    for extent in matrix.shape:
        start = data.draw(st.integers(0, extent))
        spans.append(slice(start, data.draw(st.integers(start, extent))))
    with tempfile.TemporaryDirectory() as folder:
        stored = {
            name: data.draw(st.sampled_from([part, part.astype(part.dtype.newbyteorder(">"))])) for name, part in parts(matrix).items()
        }
        opened, dense = open_matrix(save(Path(folder) / "a.npz", compressed, **stored)), matrix.toarray()
        assert (opened.shape, opened.dtype, opened.format) == (matrix.shape, dense.dtype, "npz")
        for order in "CF":
            assert block_of(opened, *spans, order=order).tobytes() == dense[tuple(spans)].tobytes()
        known = occupied(opened)
        whole = slice(0, matrix.shape[0]), slice(0, matrix.shape[1])
        assert known.decoded_bytes(*whole) == opened.read_into(np.empty(dense.shape, dense.dtype), *whole)
        edge = known.occupancy.cell
        for row, col in np.ndindex(*known.occupancy.held.shape):
            cell = matrix.tocoo()
            within = (cell.row // edge[0] == row) & (cell.col // edge[1] == col)
            assert known.occupancy.held[row, col] == within.any()
        assert pickle.loads(pickle.dumps(known)) == known


@pytest.mark.parametrize("kind", ["csr", "csc"])
@pytest.mark.parametrize("compressed", [True, False])
def test_what_scipy_saves_is_read(tmp_path, kind, compressed):
    matrix = sp.random(300, 200, 0.1, format=kind, random_state=1)
    for index, one in enumerate((matrix, type(matrix)((2, 2)), {"csr": sp.csr_array, "csc": sp.csc_array}[kind](matrix))):
        sp.save_npz(tmp_path / f"{index}.npz", one, compressed=compressed)
        opened = occupied(open_matrix(tmp_path / f"{index}.npz"))
        assert (block_of(opened, *(slice(0, extent) for extent in one.shape)) == one.toarray()).all()


@pytest.fixture
def small_pieces(monkeypatch):
    """Everything passes in many pieces, and decoding starts from many points."""
    for module, name, value in (
        (sparse_npz, "ENTRIES", 100),
        (sparse_npz, "LINES", 7),
        (zip_member, "PIECE", 512),
        (zip_member, "LEAST_SPACING", 2048),
    ):
        monkeypatch.setattr(module, name, value)
    zip_member._points.cache_clear()
    yield
    zip_member._points.cache_clear()


@pytest.mark.parametrize("compressed", [True, False])
def test_pieces_and_points_change_nothing_in_any_order_and_thread(tmp_path, small_pieces, compressed):
    matrix = sp.random(500, 400, 0.2, format="csr", random_state=2)
    opened, dense = open_matrix(save(tmp_path / "a.npz", compressed, **parts(matrix))), matrix.toarray()
    spans = [(slice(start, start + 50), slice(10 * (start % 7), 300)) for start in np.random.default_rng(0).permutation(450)[:40].tolist()]

    def same(span: tuple[slice, slice]) -> bool:
        return (block_of(opened, *span) == dense[span]).all()

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(same, spans))
    member = opened.source.indices.member
    if compressed:
        assert 10 < len(zip_member._points(member)._points) <= zip_member.POINTS + 1


def test_far_bytes_are_decoded_from_the_nearest_point(tmp_path, small_pieces, monkeypatch):
    matrix = sp.random(2000, 400, 0.2, format="csr", random_state=2)
    opened = open_matrix(save(tmp_path / "a.npz", **parts(matrix)))
    points = zip_member._points(opened.source.indices.member)
    opened.source.indices.read(opened.source.indices.length - 10, opened.source.indices.length)
    taken = []
    monkeypatch.setattr(points, "_next", lambda *args, plain=points._next: taken.append(0) or plain(*args))
    opened.source.indices.read(opened.source.indices.length - 10, opened.source.indices.length)
    assert 0 < len(taken) * zip_member.PIECE < opened.source.indices.member.stored / 10


@pytest.mark.parametrize("compressed", [True, False])
def test_reading_and_surveying_stay_within_what_is_announced(tmp_path, compressed):
    matrix = sp.random(4000, 5000, 0.01, format="csr", random_state=3, dtype=np.float32)
    opened = open_matrix(save(tmp_path / "a.npz", compressed, **parts(matrix)))
    out = np.empty((4000, 100), np.float32)
    tracemalloc.start()
    try:
        opened.read_into(out, slice(0, 4000), slice(0, 100))
        occupied(opened)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < opened.scratch_bytes < 32 << 20


def test_headers_alone_are_read_to_open(tmp_path, monkeypatch):
    path = save(tmp_path / "a.npz", **parts(sp.random(50, 40, 0.5, format="csr", random_state=4)))
    monkeypatch.setattr(
        zip_member.Member, "check", lambda member: pytest.fail(member.name) if "ind" in member.name or "data" in member.name else None
    )
    monkeypatch.setattr(sparse_npz.SparseNpz, "ends", lambda *_: pytest.fail("values were read"))
    assert open_matrix(path).shape == (50, 40)


def test_the_map_of_a_large_matrix_has_few_cells(tmp_path, monkeypatch):
    matrix = sp.csr_matrix((np.ones(3, np.float32), ([0, 70_000, 299_999], [5, 250_000, 299_999])), (300_000, 300_000))
    known = occupied(open_matrix(save(tmp_path / "a.npz", **parts(matrix)))).occupancy
    assert known.cell == (512, 512) and known.held.sum() == 3
    assert max(known.held.shape) <= npz_survey.MOST_ALONG
    assert len(pickle.dumps(known)) < 4096


def test_a_file_that_was_written_again_is_not_the_one_that_was_opened(tmp_path):
    matrix = sp.random(50, 40, 0.5, format="csr", random_state=5)
    opened = open_matrix(save(tmp_path / "a.npz", **parts(matrix)))
    save(tmp_path / "a.npz", **parts(matrix * 2))
    for call in (lambda: block_of(opened, slice(0, 50), slice(0, 40)), lambda: occupied(opened)):
        with pytest.raises((CorruptData, BadInput), match=r"a.npz was changed since it was opened: start again"):
            call()
    (tmp_path / "a.npz").unlink()
    with pytest.raises(CorruptData, match="cannot be read any more"):
        block_of(opened, slice(0, 50), slice(0, 40))


GOOD = sp.csr_matrix(np.arange(20, dtype=np.float32).reshape(4, 5))
OBJECTS = np.array([None, 1.0], dtype=object)
BROKEN = {
    "coo": ({"format": np.array(b"coo")}, "sparse matrix in coo format, CSR and CSC are read: convert it with .tocsr()"),
    "bsr": ({"format": np.array(b"bsr")}, "in bsr format"),
    "format of numbers": ({"format": np.arange(3)}, r"in \(3,\) format"),
    "format that is a pickle": ({"format": OBJECTS}, "damaged member format.npy"),
    "no data": ({"data": None}, "lacks data of a sparse matrix"),
    "nothing sparse": (dict.fromkeys(("format", "shape", "indptr", "indices")), "holds data, no scipy sparse matrix"),
    "3-d": ({"shape": np.array([4, 5, 6])}, "has 3 dimensions"),
    "empty": ({"shape": np.array([0, 5])}, "is empty"),
    "shape of words": ({"shape": np.array("4x5")}, "has a shape that is none"),
    "other rows": ({"shape": np.array([5, 5])}, r"5 lines \(5 x 5\) have 5 indptr, 19 indices, 19 data"),
    "fewer indices": ({"indices": GOOD.indices[:-1]}, "does not agree with itself"),
    "indices are fractions": ({"indices": GOOD.indices + 0.5}, "does not agree with itself"),
    "complex": ({"data": GOOD.data * 1j}, "holds complex64; gemmflow multiplies"),
    "data is a pickle": ({"data": np.array([None] * 19, dtype=object)}, "holds object of shape"),
    "data is a matrix": ({"data": np.ones((19, 1))}, r"shape \(19, 1\), not a vector"),
}
SURVEYED = {
    "index too large": ({"indices": np.where(GOOD.indices == 3, 9, GOOD.indices)}, "index 9 in row 0, but 5 columns"),
    "index below zero": ({"indices": np.where(GOOD.indices == 2, -1, GOOD.indices)}, "index -1 in row 0"),
    "ends go back": ({"indptr": np.array([0, 9, 4, 14, 19])}, "damaged indptr: the ends of rows 0 to 4 run from 0 to 19"),
    "ends go too far": ({"indptr": np.array([0, 4, 9, 14, 20])}, "stay within 19 entries"),
    "ends start below zero": ({"indptr": np.array([-1, 4, 9, 14, 19])}, "run from -1"),
}


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", BROKEN | SURVEYED)
def test_what_makes_no_sense_is_refused_in_one_line(tmp_path, name, compressed):
    changes, why = (BROKEN | SURVEYED)[name]
    arrays = {key: value for key, value in (parts(GOOD) | changes).items() if value is not None}
    path = save(tmp_path / "a.npz", compressed, **arrays)
    with pytest.raises(BadInput, match=why) as caught:
        occupied(open_matrix(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    if name in ("index too large", "index below zero"):
        block_of(open_matrix(path), slice(0, 4), slice(0, 5))  # nothing beside the block is written, whoever did not survey


@pytest.mark.parametrize("compressed", [True, False])
def test_every_truncation_and_flipped_byte_is_refused_or_harmless(tmp_path, compressed):
    rng = np.random.default_rng(6)
    matrix = sp.random(40, 30, 0.3, format="csr", random_state=6, dtype=np.float32)
    raw, dense = save(tmp_path / "good.npz", compressed, **parts(matrix)).read_bytes(), matrix.toarray()
    changed = [raw[:cut] for cut in rng.integers(4, len(raw), 40)]
    for at in rng.integers(4, len(raw), 160):
        changed.append(raw[:at] + bytes([raw[at] ^ (1 << rng.integers(8))]) + raw[at + 1 :])
    refused = 0
    for index, content in enumerate(changed):
        path = tmp_path / f"{index}.npz"
        path.write_bytes(content)
        try:
            opened = occupied(open_matrix(path))
        except BadInput as error:
            refused += 1
            assert "\n" not in str(error) and str(path) in str(error)
        else:
            assert (block_of(opened, slice(0, 40), slice(0, 30)) == dense).all(), "harmless: a time, a version, a comment"
    assert refused > 120


def test_members_packed_in_another_way_are_refused(tmp_path):
    good = save(tmp_path / "good.npz", **parts(GOOD))
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(BadInput, match="is encrypted or packed in another way: save it"):
        open_matrix(tmp_path / "a.npz")


def test_an_empty_archive_is_no_matrix(tmp_path):
    zipfile.ZipFile(tmp_path / "a.npz", "w").close()
    with pytest.raises(BadInput, match="holds nothing, no scipy sparse matrix"):
        open_matrix(tmp_path / "a.npz")


def test_object_stores_are_not_read_from():
    with pytest.raises(BadInput, match=r"a\.npz: \.npz files are read from local file systems only"):
        open_matrix("s3://lab/a.npz")
