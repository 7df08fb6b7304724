"""Maps of what is stored: exact for every way of storing chunks, small, and no chunk comes or goes unseen."""

import pickle
import zlib
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, BytesCodec, ShardingCodec, TransposeCodec

from storage import CorruptData, LineBytes, Occupancy, absent, occupied, open_matrix
from storage.grid import count_touched, grid_shape

SHAPE, CHUNKS = (23, 17), (4, 5)
GRID = grid_shape(SHAPE, CHUNKS)
edges = st.integers(1, 30)


@st.composite
def maps(draw):
    shape, cell = draw(st.tuples(edges, edges)), draw(st.tuples(edges, edges))
    held = np.random.default_rng(draw(st.integers(0, 99))).random(grid_shape(shape, cell)) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    return held, Occupancy.of(held, shape, cell)


@st.composite
def cuts(draw, extent):
    return np.array(sorted(draw(st.lists(st.integers(0, extent), min_size=2, max_size=6))))


@given(st.data())
def test_blocks_hold_what_their_cells_hold(data):
    held, occupancy = data.draw(maps())
    assert pickle.loads(pickle.dumps(occupancy)) == occupancy and (occupancy.held == held).all() and occupancy.full == held.all()
    rows, cols = (data.draw(cuts(extent)) for extent in occupancy.shape)
    counts = occupancy.counts(rows, cols)
    for i, j in np.ndindex(*counts.shape):
        touched = [
            slice(start // edge, start // edge + count_touched(slice(start, stop), edge))
            for start, stop, edge in ((rows[i], rows[i + 1], occupancy.cell[0]), (cols[j], cols[j + 1], occupancy.cell[1]))
        ]
        assert counts[i, j] == held[touched[0], touched[1]].sum()
    across = int(rows[0]), int(rows[-1])
    assert (occupancy.along(1, cols, across) == (occupancy.counts(np.array(across), cols)[0] > 0)).all()
    across = int(cols[0]), int(cols[-1])
    assert (occupancy.along(0, rows, across) == (occupancy.counts(rows, np.array(across))[:, 0] > 0)).all()


@given(st.integers(1, 60), st.integers(1, 20), st.data())
def test_bytes_of_lines_are_exact_at_steps_and_add_up_everywhere(lines, step, data):
    each = np.random.default_rng(lines).integers(0, 99, lines)
    sums = np.append(0, each.cumsum())[np.minimum(np.arange(-(-lines // step) + 1) * step, lines)]
    known = LineBytes(0, step, lines, zlib.compress(sums.astype(np.int64).tobytes()))
    steps = np.minimum(np.arange(-(-lines // step) + 1) * step, lines)
    assert known.between(steps).tolist() == [each[start:stop].sum() for start, stop in pairwise(steps)]
    cut = np.append(np.append(0, data.draw(cuts(lines))), lines)
    assert abs(known.between(cut).sum() - each.sum()) <= len(cut) / 2


def test_a_map_must_cover_the_matrix():
    with pytest.raises(ValueError, match="do not cover"):
        Occupancy.of(np.ones((2, 2), bool), (5, 5), (2, 2))


FORMS = {
    "v3": {},
    "v3-dots": {"chunk_key_encoding": {"name": "default", "separator": "."}},
    "v3-v2-keys": {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "v3-transposed": {"filters": [TransposeCodec(order=(1, 0))]},
    "v3-sharded": {"shards": (8, 15)},
    "v3-sharded-transposed": {"shards": (8, 15), "filters": [TransposeCodec(order=(1, 0))], "compressors": [BloscCodec()]},
    "v3-sharded-no-crc": {"chunks": (8, 15), "serializer": ShardingCodec(chunk_shape=CHUNKS, index_codecs=[BytesCodec()])},
    "v2": {"zarr_format": 2},
    "v2-slashes": {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "v2-f-order": {"zarr_format": 2, "order": "F"},
}


def write(path: Path, held: np.ndarray, form: str = "v3", fill: float = 0, dtype: str = "float32") -> np.ndarray:
    """An array of which only the held chunks are stored; returns what it reads as."""
    chosen = {"chunks": CHUNKS, "compressors": None, "shape": SHAPE, "dtype": dtype, "fill_value": fill, **FORMS[form]}
    array = zarr.create_array(path, **chosen)
    values = np.full(SHAPE, fill, dtype)
    for row, col in np.argwhere(held):
        place = tuple(slice(index * edge, (index + 1) * edge) for index, edge in zip((row, col), CHUNKS, strict=True))
        values[place] = 1 + row + col
        array[place] = values[place]
    return values


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_map_of_every_kind_of_array(tmp_path, form, share):
    held = np.random.default_rng(1).random(GRID) < share
    values = write(tmp_path / "a", held, form)
    matrix = occupied(open_matrix(tmp_path / "a"))
    if matrix.occupancy.exact:
        assert (matrix.occupancy.held == held).all()
    else:
        assert form == "v3-sharded-transposed" and (matrix.occupancy.held >= held).all()
    for rows, cols in ((slice(0, 23), slice(0, 17)), (slice(3, 9), slice(4, 11)), (slice(5, 5), slice(0, 17))):
        out = np.empty((rows.stop - rows.start, cols.stop - cols.start), np.float32)
        count = matrix.read_into(out, rows, cols)
        assert (out == values[rows, cols]).all()
        assert count == matrix.decoded_bytes(rows, cols)
    assert len(pickle.dumps(matrix)) < 2500


@pytest.mark.parametrize("fill", [0.5, np.nan, -0.0])
@pytest.mark.parametrize("form", ["v3", "v2", "v3-transposed"])
def test_other_fill_values_are_no_zeros_and_are_not_read_either(tmp_path, form, fill):
    held = np.random.default_rng(2).random(GRID) < 0.4
    values = write(tmp_path / "a", held, form, fill)
    matrix, edges = occupied(open_matrix(tmp_path / "a")), np.array([0, 4, 9, 17])
    assert not matrix.occupancy.zero and (matrix.occupancy.held == held).all()
    assert matrix.held(1, edges, (0, 4)).all() and matrix.blocks(edges, edges)[0].all()
    out = np.empty(SHAPE, np.float32)
    count = matrix.read_into(out, slice(0, 23), slice(0, 17))
    assert out.tobytes() == values.tobytes()
    assert count == matrix.decoded_bytes(slice(None), slice(None)) == held.sum() * matrix.chunk_bytes
    assert matrix.blocks(np.array([0, 23]), np.array([0, 17]))[1].item() == count


def test_results_and_plain_files_have_no_map(tmp_path, store):
    np.save(tmp_path / "a.npy", np.ones((3, 3)))
    assert occupied(open_matrix(tmp_path / "a.npy")).occupancy is None
    assert occupied(open_matrix(store())).occupancy is None, "a chunk that a result lacks is lost"


def test_too_many_chunks_are_not_listed(tmp_path, monkeypatch):
    write(tmp_path / "a", np.zeros(GRID, bool))
    monkeypatch.setattr(absent, "MOST_CELLS", GRID[0] * GRID[1] - 1)
    assert occupied(open_matrix(tmp_path / "a")).occupancy is None


def test_whatever_is_named_like_a_chunk_counts_as_stored_and_nothing_else(tmp_path):
    write(tmp_path / "a", np.zeros(GRID, bool))
    row = tmp_path / "a" / "c" / "1"
    (row / "2").mkdir(parents=True)
    (row / "0").symlink_to("nowhere")
    for name in ("00", "3.0f-1.partial", "٣", "99", "-1", ""):
        (row / f"{name}").touch()
    matrix = occupied(open_matrix(tmp_path / "a"))
    assert np.argwhere(matrix.occupancy.held).tolist() == [[1, 0], [1, 2]]
    for cols, why in ((slice(10, 15), "chunk c/1/2"), (slice(0, 5), "lost chunks since")):
        with pytest.raises(CorruptData, match=why):
            matrix.read_into(np.empty((4, 5), np.float32), slice(4, 8), cols)


def test_a_folder_that_cannot_be_listed_is_read_whole(tmp_path):
    write(tmp_path / "a", np.ones(GRID, bool))
    (tmp_path / "a" / "c" / "9").touch()
    assert occupied(open_matrix(tmp_path / "a")).occupancy is None


@pytest.mark.parametrize("form", [form for form in FORMS if form != "v3-sharded-transposed"])
@pytest.mark.parametrize("change", ["lost", "got"])
def test_a_chunk_that_comes_or_goes_is_an_error_in_one_line(tmp_path, form, change):
    before, after = np.ones(GRID, bool), np.ones(GRID, bool)
    (after if change == "lost" else before)[:2] = False
    write(tmp_path / "a", before, form)
    matrix = occupied(open_matrix(tmp_path / "a"))
    (tmp_path / "a").rename(tmp_path / "old")
    write(tmp_path / "a", after, form)
    with pytest.raises(CorruptData, match=f"a {change} chunks since it was surveyed: rows 0 to 8, columns 0 to 17") as caught:
        matrix.read_into(np.empty((8, 17), np.float32), slice(0, 8), slice(0, 17))
    assert "\n" not in str(caught.value)


def test_a_damaged_index_of_a_shard_is_found_when_it_is_read(tmp_path):
    write(tmp_path / "a", np.eye(*GRID, dtype=bool), "v3-sharded")
    shard = tmp_path / "a" / "c" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\0")
    matrix = occupied(open_matrix(tmp_path / "a"))
    assert matrix.occupancy.held[:2, :3].all()
    with pytest.raises(CorruptData, match="damaged index"):
        matrix.read_into(np.empty(SHAPE, np.float32), slice(0, 23), slice(0, 17))


def test_a_million_chunks_are_a_small_value(tmp_path):
    held = np.random.default_rng(0).random((1000, 1000)) < 0.5
    assert len(pickle.dumps(Occupancy.of(held, (1000, 1000), (1, 1)))) < 130_000
    assert len(pickle.dumps(Occupancy.of(np.eye(1000, dtype=bool), (1000, 1000), (1, 1)))) < 3000


@pytest.mark.parametrize("form", ["v3", "v3-dots", "v3-v2-keys", "v3-sharded", "v2", "v2-slashes"])
def test_the_map_of_an_array_on_an_object_store(tmp_path, s3, form):
    pytest.importorskip("obstore")
    held = np.eye(*GRID, dtype=bool)
    values = write(tmp_path / "a", held, form)
    for file in (tmp_path / "a").rglob("*"):
        if file.is_file():
            s3.put(str(file.relative_to(tmp_path / "a")), file.read_bytes())
    matrix, out = occupied(open_matrix(s3.url)), np.empty(SHAPE, np.float32)
    known = matrix.occupancy.held
    assert (known == held).all() if form != "v3-sharded" else (known >= held).all() and not known.all()
    assert matrix.occupancy.exact == (form != "v3-sharded")
    count = matrix.read_into(out, slice(0, 23), slice(0, 17))
    assert (out == values).all() and count <= matrix.decoded_bytes(slice(None), slice(None))
    s3.delete(*[one.key for one in s3.list() if one.key[0] in "c012345"])
    with pytest.raises(CorruptData) if matrix.occupancy.exact else nullcontext():
        matrix.read_into(out, slice(0, 23), slice(0, 17))


def test_many_objects_are_not_listed(tmp_path, s3, monkeypatch):
    write(tmp_path / "a", np.zeros(GRID, bool))
    s3.put("zarr.json", (tmp_path / "a" / "zarr.json").read_bytes())
    monkeypatch.setattr(absent, "MOST_REMOTE", 5)
    assert occupied(open_matrix(s3.url)).occupancy is None
