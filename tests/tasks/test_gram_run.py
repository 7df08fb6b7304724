"""Symmetric products on a real cluster: lost and lying workers, cheap arithmetic, seals, and what the report says."""

import secrets
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import zarr

import storage.seal
from storage import open_matrix
from tasks import recipe
from tasks.checkup import Ask, check_up
from tasks.clusters import ClusterSpec, open_cluster
from tasks.export import export
from tasks.html import render_html
from tasks.job import make_job
from tasks.plan import TileShape
from tasks.prepare import prepare
from tasks.publish import publish
from tasks.report import Clock, make_report, plan_text
from tasks.resume import plan_or_resume, read_plan
from tasks.run import multiply
from tasks.survey import survey
from tasks.tilemap import tile_map
from tasks.verify import verify
from tests.tasks.test_doubtful_run import EACH, FAINT, heal, on_first
from tests.tasks.test_measured_run import ASKED, one_way, slow_floats
from tests.tasks.test_run import machine, store

KEY = {"GEMMFLOW_KEY_K1": secrets.token_hex(32)}
M, TILES = 400, 28


@pytest.fixture(scope="module")
def shared():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(*next(iter(KEY.items())))
        with open_cluster(ClusterSpec("local", 2, 1)) as opened:
            yield opened


@pytest.fixture
def cluster(shared, monkeypatch):
    monkeypatch.setenv(*next(iter(KEY.items())))
    storage.seal._opened.cache_clear()
    yield shared
    shared.run_on_workers(heal)


def matrix(k: int = 256, m: int = M) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((m, k)).astype("float32")


def planned(folder, x, hardware, **fields):
    if not (folder / "A").exists():
        store(folder / "A", x)
    path = str(folder / "A")
    fixed = {"a": path, "b": path, "out": str(folder / "C"), "transpose_b": True, "memory": "2GiB", "chunk": (64, 64)}
    job = make_job(**(fixed | fields))
    problem = survey(job)
    plan = plan_or_resume(job, problem, hardware)
    changes = {
        "tile": TileShape(64, 64, 64),
        "grid": (-(-len(x) // 64), -(-len(x) // 64), x.shape[1] // 64),
        "slots": (4, 1),
        "residency": "A",
        "workers": 2,
        "parts": 1,
    }
    return job, problem, hardware, replace(plan, **changes)


def computed(folder, cluster, x, hardware=None, **fields):
    run = prepare(*planned(folder, x, hardware or machine(), **fields), cluster)
    seen = []
    outcome = multiply(run, cluster, seen.append)
    assert [progress.tiles_done for progress in seen] == list(range(1, run.plan.tiles + 1))
    certificate = verify(run, outcome)
    stored = publish(run, outcome, certificate)
    return run, outcome, certificate, stored


def error_of(folder, x) -> float:
    product = zarr.open_array(folder / "C")[:]
    assert (product == product.T).all()
    return float(np.linalg.norm(product - x.astype(float) @ x.T.astype(float)) / np.linalg.norm(x.astype(float)) ** 2)


@pytest.mark.parametrize("k", [64, pytest.param(4096, marks=pytest.mark.slow)])
def test_sound_tiles_raise_no_alarm_though_the_diagonal_is_large(tmp_path, cluster, k):
    """A diagonal element is k, the others sqrt(k): its rounding error is that of a whole row."""
    x = matrix(k, 384)
    _, outcome, certificate, _ = computed(tmp_path, cluster, x)
    assert outcome.retried <= (k > 1000), "a row of which one element is wrong by most stands out now and then"
    assert error_of(tmp_path, x) <= certificate.measured <= certificate.promised <= certificate.asked


def test_both_workers_share_the_work(tmp_path, cluster):
    _, outcome, _, _ = computed(tmp_path, cluster, matrix())
    assert {tile.worker for tile in outcome.measurements} == set(cluster.workers)


def test_a_lying_worker_is_retired_and_the_product_is_right_on_both_sides(tmp_path, cluster):
    x = matrix()
    (tmp_path / "sound").mkdir()
    computed(tmp_path / "sound", cluster, x)
    bad = on_first(cluster, FAINT, EACH)
    _, outcome, _, _ = computed(tmp_path, cluster, x)
    assert [one.worker for one in outcome.retired] == [bad]
    assert error_of(tmp_path, x) < 1e-6
    assert (zarr.open_array(tmp_path / "C")[:] == zarr.open_array(tmp_path / "sound" / "C")[:]).all()


def test_random_data_keep_the_cheap_arithmetic_and_the_rest_climbs(tmp_path, cluster):
    x = matrix()
    one_way(x[70:180])
    _, outcome, certificate, _ = computed(tmp_path, cluster, x, slow_floats(), max_error=ASKED, guarantee="measured")
    again = sorted((tile.row, tile.col) for tile in outcome.measurements if tile.rung == 1)
    assert again and set(again) <= {(1, 1), (2, 1), (2, 2)}
    assert certificate.arithmetics == {"bfloat16": TILES - len(again), "float32": len(again)}
    assert error_of(tmp_path, x) <= certificate.measured <= ASKED
    assert check_up(tmp_path / "C", Ask(against_inputs=True)).sound


def test_a_sealed_triangle_is_checked_and_exported(tmp_path, cluster):
    pytest.importorskip("cryptography")
    x = matrix()
    _, _, _, stored = computed(tmp_path, cluster, x, seal="k1", store="triangle", codec="zstd")
    assert stored.part == "lower triangle"
    assert check_up(tmp_path / "C", Ask(full=True, against_inputs=True, expect_root=stored.root)).sound
    exported = export(tmp_path / "C", tmp_path / "P", overwrite=False)
    assert (exported.root, exported.chunks) == (stored.root, TILES)
    assert check_up(tmp_path / "P", Ask(full=True, against_inputs=True)).sound
    plain = zarr.open_array(tmp_path / "P")[:]
    below = np.tri(M, dtype=bool)
    assert np.allclose(plain[below], (x @ x.T)[below], atol=1e-3) and np.isnan(plain).sum() == M * M - sum_of_files()


def sum_of_files() -> int:
    stops = [min(64 * (row + 1), M) for row in range(7)]
    return sum((stop - 64 * row) * stop for row, stop in enumerate(stops))


@pytest.mark.parametrize("part", ["full", "triangle"])
def test_plan_and_report_name_the_symmetry_and_the_operations_saved(tmp_path, cluster, part):
    run, outcome, certificate, stored = computed(tmp_path, cluster, matrix(), store=part)
    words = "one triangle is computed, 50 % of the operations saved"
    assert run.plan.tiles == TILES
    assert words in plan_text(run.plan, run.problem).replace("\n", " ").replace("  ", "")
    report = make_report(run, outcome, certificate, stored, Clock(1.0, 2.0))
    assert words in report.to_markdown() and words in render_html(report)
    assert "7 x 7 tiles. One triangle was computed." in render_html(report) and "Seconds of 28 tiles by place" in render_html(report)
    assert "mirror image" in render_html(report) and "resumed" not in tile_map(report).svg
    assert "C = A Aᵀ in" in report.to_text()
    document = report.to_json()
    assert document["plan"]["symmetry"] == part
    assert document["problem"]["flops"] == run.plan.flops == M * (M + 1) * 256
    assert document["measured"]["bytes_written"] == 4 * (M * M if part == "full" else sum_of_files())
    assert report.flops_done == run.plan.flops


def test_a_plan_of_an_older_journal_is_one_of_a_whole_product(tmp_path):
    from tasks.resume import plan_json

    *_, plan = planned(tmp_path, matrix(), machine())
    older = {name: part for name, part in plan_json(plan).items() if name != "symmetry"}
    assert read_plan(older).symmetry == "none" and read_plan(older).tiles == 49
    assert len(recipe.walk_of(read_plan(older))) == 49 and len(recipe.walk_of(plan)) == TILES


def test_what_was_stored_opens_as_a_matrix_unless_it_is_a_triangle(tmp_path, cluster):
    x = matrix()
    computed(tmp_path, cluster, x)
    opened = open_matrix(tmp_path / "C")
    block = np.empty((M, M), "float32")
    opened.read_into(block, slice(None), slice(None))
    assert (block == block.T).all()


def test_a_report_says_that_a_product_of_zeros_left_out_is_not_halved(tmp_path, cluster):
    x = sp.random(M, 256, 0.1, "csr", "float32", np.random.default_rng(2)).toarray() * (np.arange(256) < 128)
    sp.save_npz(tmp_path / "X.npz", sp.csr_matrix(x))
    job = make_job(a=str(tmp_path / "X.npz"), b=str(tmp_path / "X.npz"), out=str(tmp_path / "C"), transpose_b=True, memory="2GiB")
    problem = survey(job)
    run = prepare(job, problem, machine(), plan_or_resume(job, problem, machine()), cluster)
    outcome = multiply(run, cluster, lambda _: None)
    certificate = verify(run, outcome)
    report = make_report(run, outcome, certificate, publish(run, outcome, certificate), Clock(1.0, 2.0))
    assert report.run.plan.symmetry == "none"
    assert [text for text in report.warnings if "computed like any other product" in text and "known to be zero" in text]


def test_a_sparse_matrix_with_an_entry_in_every_square_is_halved_and_symmetric(tmp_path, cluster):
    x = sp.random(M, 256, 0.1, "csr", "float32", np.random.default_rng(2))
    sp.save_npz(tmp_path / "X.npz", x)
    job = make_job(a=str(tmp_path / "X.npz"), b=str(tmp_path / "X.npz"), out=str(tmp_path / "C"), transpose_b=True, memory="2GiB")
    problem = survey(job)
    run = prepare(job, problem, machine(), plan_or_resume(job, problem, machine()), cluster)
    outcome = multiply(run, cluster, lambda _: None)
    certificate = verify(run, outcome)
    publish(run, outcome, certificate)
    assert run.plan.symmetry == "full" and run.plan.bytes_ratio >= 1
    assert sum(tile.bytes_read for tile in outcome.measurements) == pytest.approx(run.plan.predicted.bytes_read, rel=0.02)
    assert error_of(tmp_path, x.toarray()) <= certificate.measured <= certificate.promised
