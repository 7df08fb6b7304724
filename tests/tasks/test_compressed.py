"""Bytes of a product that is not computed yet, against those that its run stores."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import zarr

from storage import create_staging
from storage.envelope import SEAL_OVERHEAD
from tasks.compressed import sample_product
from tasks.compression import PIECE_BYTES, choice_for
from tasks.job import make_job
from tasks.planner import make_plan
from tasks.prepare import product_spec
from tasks.recipe import make_recipe
from tasks.schema import finite
from tasks.survey import survey
from tests.tasks.inline import compute
from tests.tasks.machines import hardware

SIZE, DEPTH, CHUNK = 1000, 100, 100


def normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def a_and_b(make):
    rng = np.random.default_rng(3)
    return make(rng, SIZE, DEPTH), make(rng, DEPTH, SIZE)


def low_rank(rng, rows, cols):
    return normal(rng, rows, 2) @ normal(rng, 2, cols)


def sorted_rows(rng, rows, cols):
    """Rows and columns of growing size, each number with as many digits as any other."""
    return normal(rng, rows, cols) * np.geomspace(1e-3, 1e3, max(rows, cols), dtype=np.float32)[: max(rows, cols)].reshape(
        (-1, 1) if rows > cols else (1, -1)
    )


def fading(rng, rows, cols):
    """Integers with ever more digits along the product's rows or columns."""
    most = np.geomspace(1, 500, max(rows, cols)).reshape((-1, 1) if rows > cols else (1, -1))
    return np.rint(rng.uniform(-most, most, (rows, cols))).astype(np.float32)


def in_blocks(rng, rows, cols):
    """Only blocks of k that belong to the place hold anything: 5 of 25 parts of the product."""
    row, col = np.arange(rows) * 5 // rows, np.arange(cols) * 5 // cols
    return np.where(row[:, None] == col, normal(rng, rows, cols), np.float32(0))


KINDS = {
    "normal": a_and_b(normal),
    "integers": a_and_b(lambda rng, *shape: rng.integers(-3, 4, shape).astype(np.float32)),
    "int8": a_and_b(lambda rng, *shape: rng.integers(-128, 128, shape, np.int8)),
    "float64": a_and_b(lambda rng, *shape: rng.standard_normal(shape)),
    "low rank": a_and_b(low_rank),
    "positive": a_and_b(lambda rng, *shape: rng.random(shape, np.float32)),
    "sorted": a_and_b(sorted_rows),
    "fading": a_and_b(fading),
    "constant": a_and_b(lambda rng, rows, cols: np.ones((rows, cols), np.float32)),
    "blocks": a_and_b(in_blocks),
    "sparse": a_and_b(lambda rng, *shape: np.where(rng.random(shape) < 0.002, normal(rng, *shape), np.float32(0))),
}


WILD = ("blocks", "fading")
"""Parts of the product differ so much that 4 or 8 rows and columns of chunks tell little: the interval must say so."""


@dataclass(frozen=True)
class World:
    """Matrices on a disk, and what to multiply."""

    folder: Path
    form: str = "zarr"
    chunk: int = CHUNK
    """Edges of a stored chunk."""

    def job(self, a, b, **fields):
        names = {"a": self.write("A", a), "b": self.write("B", b)} | ({"a": self.write("A", a)} if b is None else {})
        made = {**names, "out": str(self.folder / "C"), "chunk": (CHUNK, CHUNK), **fields}
        return make_job(**{key: value for key, value in made.items() if value is not None})

    def write(self, name, values):
        if values is None:
            return str(self.folder / "A")
        path = self.folder / name
        if self.form == "csr":
            scipy.sparse.save_npz(path.with_suffix(".npz"), scipy.sparse.csr_matrix(values))
            return str(path.with_suffix(".npz"))
        if self.form == "npy":
            np.save(path.with_suffix(".npy"), values)
            return str(path.with_suffix(".npy"))
        config = {"write_empty_chunks": self.form != "absent"}
        chunks = tuple(min(self.chunk, edge) for edge in values.shape)
        zarr.create_array(path, shape=values.shape, chunks=chunks, dtype=values.dtype, config=config, overwrite=True)[:] = values
        return str(path)


LITTLE = 1e-4
"""Of the bytes before compression: nobody needs to know more of what compresses to nearly nothing."""


def planned(job):
    problem, machine = survey(job), hardware()
    return job, problem, make_plan(job, problem, machine), machine


def stored_bytes(asked):
    """What the run stores, computed tile by tile in this process."""
    job, problem, plan, machine = asked
    spec = product_spec(job, problem, plan)
    staging = create_staging(Path(job.out), replace(spec, sealed=False), "process", "run")
    choose = choice_for(job, plan.dtype_out, machine.layout(plan.workers, plan.threads_per_worker))
    tiles = compute(make_recipe(job, problem, plan, staging, choose))
    assert all(tile.accepted for tile in tiles)
    return sum(chunk.nbytes for tile in tiles for chunk in tile.chunks)


def check(asked, most=0.1):
    found = sample_product(*asked).compressed
    true = stored_bytes(asked)
    assert abs(found.nbytes - true) <= max(most * true, LITTLE * found.nbytes * found.ratio)
    assert found.bytes_sampled > 0
    return found, true


@pytest.fixture(autouse=True)
def _sizes_decide(monkeypatch):
    """Not the speed of this machine."""
    monkeypatch.setattr("tasks.compression.SLOWEST_ENCODE", 0.0)


@pytest.mark.parametrize(("kind", "codec"), [(kind, codec) for kind in KINDS for codec in ("blosc-zstd", "smallest") if kind not in WILD])
def test_kinds_of_data(tmp_path, kind, codec):
    found, _ = check(planned(World(tmp_path).job(*KINDS[kind], codec=codec)))
    assert found.interval[0] <= found.nbytes <= found.interval[1]
    assert bool(found.codecs) == (codec == "smallest")


def test_what_is_not_compressed_is_known_to_the_byte(tmp_path):
    a, b = KINDS["normal"]
    asked = planned(World(tmp_path).job(a[:933], b[:, :877], codec="none"))
    found, true = check(asked, most=0.0)
    assert found.ratio == pytest.approx(933 * 877 * 4 / true)
    assert found.interval == pytest.approx((true, true), rel=1e-4)


def test_padding_of_chunks_at_the_edges_counts(tmp_path):
    a, b = KINDS["normal"]
    check(planned(World(tmp_path).job(a[:810], b[:, :810], codec="blosc-zstd")), most=0.01)


@pytest.mark.parametrize("form", ["absent", "csr"])
def test_zeros_that_are_known_are_counted_and_not_guessed(tmp_path, form):
    asked = planned(World(tmp_path, form, chunk=20).job(*KINDS["blocks"], codec="blosc-zstd"))
    assert asked[1].sparse
    found, _ = check(asked)
    assert found.interval[1] - found.interval[0] < 0.3 * found.nbytes


@pytest.mark.parametrize(("kind", "codec"), [(kind, codec) for kind in WILD for codec in ("blosc-zstd", "smallest")])
def test_what_differs_from_place_to_place_makes_the_interval_wide(tmp_path, kind, codec):
    asked = planned(World(tmp_path).job(*KINDS[kind], codec=codec))
    found, true = sample_product(*asked).compressed, stored_bytes(asked)
    low, high = found.interval
    assert 0.1 * found.nbytes < high - low
    assert found.nbytes - 2 * (found.nbytes - low) <= true <= found.nbytes + 2 * (high - found.nbytes)
    assert found.blocks == (8, 8), "it looked twice"


def test_a_product_of_nothing_but_known_zeros(tmp_path):
    a, b = KINDS["normal"]
    found, true = check(planned(World(tmp_path, "csr").job(0 * a, b, codec="blosc-zstd")), most=0.0)
    assert found.interval == (true, true)


@pytest.mark.parametrize("form", ["zarr", "npy"])
def test_operands_that_are_stored_transposed(tmp_path, form):
    a, b = KINDS["sorted"]
    job = World(tmp_path, form).job(
        np.ascontiguousarray(a.T), np.ascontiguousarray(b.T), transpose_a=True, transpose_b=True, codec="blosc-zstd"
    )
    check(planned(job))


def test_c0_and_factors_are_in_it(tmp_path):
    a, b = KINDS["integers"]
    c0 = np.random.default_rng(5).standard_normal((SIZE, SIZE)).astype(np.float32)
    world = World(tmp_path)
    found, _ = check(planned(world.job(a, b, add=world.write("C0", c0), alpha=0.5, beta=2.0, codec="blosc-zstd")), most=0.02)
    plain, _ = check(planned(world.job(a, b, out=str(tmp_path / "D"), codec="blosc-zstd")), most=0.02)
    assert found.ratio < 0.6 * plain.ratio
    assert found.bytes_sampled > plain.bytes_sampled


@pytest.mark.parametrize("store", ["full", "triangle"])
def test_symmetric_products(tmp_path, store):
    a = KINDS["sorted"][0]
    asked = planned(World(tmp_path).job(a, None, transpose_b=True, store=store, codec="blosc-zstd"))
    check(asked)
    assert asked[2].symmetry == store


def test_shards_have_indices(tmp_path):
    asked = planned(World(tmp_path).job(*KINDS["constant"], shard=(5 * CHUNK, 5 * CHUNK), codec="blosc-zstd"))
    found, true = check(asked, most=0.001)
    assert found.nbytes == true
    assert asked[2].shard


def test_sealing_makes_every_file_longer(tmp_path, monkeypatch):
    monkeypatch.setenv("GEMMFLOW_KEY_K", "11" * 32)
    sealed = sample_product(*planned(World(tmp_path).job(*KINDS["constant"], seal="k", codec="blosc-zstd"))).compressed
    plain = sample_product(*planned(World(tmp_path).job(*KINDS["constant"], codec="blosc-zstd"))).compressed
    assert sealed.nbytes - plain.nbytes == (SIZE // CHUNK) ** 2 * SEAL_OVERHEAD


def test_what_rounding_saves_is_in_it(tmp_path):
    asked = planned(World(tmp_path).job(*KINDS["normal"], round="auto", max_error=1e-3, codec="blosc-zstd"))
    found, _ = check(asked)
    assert found.ratio > 1.5
    check(planned(World(tmp_path).job(*KINDS["sorted"], out=str(tmp_path / "D"), round="auto", max_error=1e-3, codec="blosc-zstd")))


def test_arithmetic_that_leaves_digits_empty_is_that_of_the_run(tmp_path):
    job = World(tmp_path).job(*KINDS["normal"], precision="bfloat16", max_error=0.5, codec="blosc-zstd")
    found, _ = check(planned(job), most=0.01)
    assert found.ratio > 1.7


def test_integers_that_stay_exact(tmp_path):
    job, problem, plan, machine = planned(World(tmp_path).job(*KINDS["int8"], codec="blosc-zstd"))
    assert plan.dtype_out == "int64"
    check((job, problem, plan, machine), most=0.01)


@pytest.mark.parametrize("kind", ["normal", "integers", "sorted", "constant", "positive"])
def test_rows_of_chunks_tell_of_whole_ones(tmp_path, kind, monkeypatch):
    monkeypatch.setattr("tasks.stripes.ELEMENTS", 1)
    found, _ = check(planned(World(tmp_path).job(*KINDS[kind], chunk=(SIZE, SIZE), codec="blosc-zstd")))
    assert found.block == (PIECE_BYTES // (4 * SIZE) + 1, SIZE)


def test_it_is_the_same_each_time_and_leaves_nothing(tmp_path):
    asked = planned(World(tmp_path).job(*KINDS["sorted"], codec="blosc-zstd"))
    before = sorted(path.name for path in tmp_path.iterdir())
    assert sample_product(*asked).compressed == sample_product(*asked).compressed
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_values_that_the_run_will_refuse_are_named_by_their_own_place(tmp_path):
    a, b = (values.copy() for values in KINDS["normal"])
    a[:, 7] = np.nan
    found = sample_product(*planned(World(tmp_path).job(a, b, codec="blosc-zstd")))
    first = found.excerpt.drawn.rows.spans[0][0]
    assert any(f"rows {first}, {first + 1}," in note and "refuse" in note for note in found.compressed.notes)
    allowed = planned(World(tmp_path).job(a, b, out=str(tmp_path / "D"), allow_nonfinite=True, codec="blosc-zstd"))
    assert sample_product(*allowed).compressed.notes == ()


def test_auto_weighs_the_codecs_on_the_blocks(tmp_path):
    found = sample_product(*planned(World(tmp_path).job(*KINDS["normal"]))).compressed
    assert found.codec in [row.name for row in found.codecs if row.verdict == "chosen"]
    assert "on blocks of the product" in found.why


def test_it_is_json(tmp_path):
    found = sample_product(*planned(World(tmp_path).job(*KINDS["normal"]))).compressed
    assert finite(found.to_json())["bytes_stored"] == found.nbytes
