"""Whole runs on two workers whose inputs lack chunks or are scipy's: planned as measured, resumed, checked and mended."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import zarr

from storage import contents_stamp, open_matrix
from tasks.checkup import Ask, check_up
from tasks.clusters import ClusterSpec, open_cluster
from tasks.errors import BadInput, CorruptData, GemmflowError, NotCertified
from tasks.job import make_job
from tasks.plan import TileShape
from tasks.planner import make_plan
from tasks.prepare import end, prepare
from tasks.publish import publish
from tasks.repair import repair
from tasks.report import Clock, make_report
from tasks.resume import plan_or_resume
from tasks.run import multiply
from tasks.sample import looked_at
from tasks.survey import survey
from tasks.verify import verify
from tests.tasks.test_run import machine
from tests.tasks.test_sparsity import with_holes


@pytest.fixture(scope="module")
def cluster():
    with open_cluster(ClusterSpec("local", 2, 1)) as opened:
        yield opened


def store(path, values, fill=0):
    """An array without its zero chunks, which read as the fill value."""
    array = zarr.create_array(path, shape=values.shape, chunks=(64, 64), dtype=values.dtype, fill_value=fill)
    for place in (np.s_[row : row + 64, col : col + 64] for row in range(0, values.shape[0], 64) for col in range(0, values.shape[1], 64)):
        if values[place].any():
            array[place] = values[place]


@pytest.fixture
def inputs(tmp_path):
    rng = np.random.default_rng(8)
    a, b = with_holes(rng, (400, 256), (64, 64), 0.4), with_holes(rng, (256, 300), (64, 64), 0.6)
    store(tmp_path / "A", a)
    store(tmp_path / "B", b)
    sp.save_npz(tmp_path / "A.npz", sp.csr_matrix(a))
    sp.save_npz(tmp_path / "B.npz", sp.csc_matrix(b), compressed=False)
    sp.save_npz(tmp_path / "At.npz", sp.csr_matrix(a.T))
    return tmp_path, a, b


def asked(folder, a="A", b="B", **fields):
    """A job with many tiles, and its plan."""
    fields = {"memory": "2GiB", "chunk": (64, 64), "codec": "none"} | fields
    job = make_job(a=str(folder / a), b=str(folder / b), out=str(folder / "C"), **fields)
    problem, hardware = survey(job), machine()
    return job, problem, hardware, make_plan(job, looked_at(job, problem), hardware)


def small_tiles(job, problem, hardware, plan):
    return job, problem, hardware, replace(plan, tile=TileShape(64, 64, 64), grid=(7, 5, 4), slots=(4, 1), residency="A", workers=2)


def computed(parts, cluster):
    run = prepare(*parts, cluster)
    try:
        outcome = multiply(run, cluster, lambda _: None)
        certificate = verify(run, outcome)
        return make_report(run, outcome, certificate, publish(run, outcome, certificate), Clock(0.1, 1.0))
    finally:
        end(run)


@pytest.mark.parametrize("pair", [("A", "B"), ("A.npz", "B"), ("A", "B.npz"), ("A.npz", "B.npz"), ("At.npz", "B.npz")])
def test_a_run_end_to_end(inputs, cluster, pair):
    folder, a, b = inputs
    report = computed(asked(folder, *pair, transpose_a=pair[0] == "At.npz"), cluster)
    certificate, exact = report.certificate, a.astype(float) @ b.astype(float)
    error = np.linalg.norm(zarr.open_array(folder / "C")[:] - exact) / np.linalg.norm(a) / np.linalg.norm(b)
    assert error <= certificate.measured <= certificate.promised <= certificate.asked
    assert 0.9 * np.linalg.norm(a) <= certificate.norm_a <= np.linalg.norm(a) * (1 + 1e-9)
    assert 0.9 * np.linalg.norm(b) <= certificate.norm_b <= np.linalg.norm(b) * (1 + 1e-9)
    assert report.measured.bytes_read == pytest.approx(report.run.plan.predicted.bytes_read, rel=0.02)
    assert report.to_json()["plan"]["skipped"]["of"] == report.run.plan.tiles * report.run.plan.grid[2]
    assert report.flops_done == report.run.plan.flops
    assert check_up(folder / "C", Ask(full=True, against_inputs=True)).sound


@pytest.mark.parametrize("fill", [3, -1])
@pytest.mark.parametrize("small", [False, True])
def test_chunks_that_read_as_another_fill_value_are_multiplied_and_not_counted_as_read(inputs, cluster, fill, small):
    folder, a, b = inputs
    for name, values in (("A2", a), ("B2", b)):
        store(folder / name, values, fill)
        values[:] = zarr.open_array(folder / name)[:]
    parts = asked(folder, "A2", "B2")
    report = computed(small_tiles(*parts) if small else parts, cluster)
    error = np.linalg.norm(zarr.open_array(folder / "C")[:] - a.astype(float) @ b.astype(float)) / np.linalg.norm(a) / np.linalg.norm(b)
    assert error <= report.certificate.measured <= report.certificate.asked
    assert report.run.plan.skipped is None and report.run.problem.a.stored_bytes < report.run.problem.a.nbytes
    if not small:
        assert report.measured.bytes_read == pytest.approx(report.run.plan.predicted.bytes_read, rel=0.02)
    assert check_up(folder / "C", Ask(full=True, against_inputs=True)).sound


@pytest.mark.parametrize(("name", "fill"), [("A", 0), ("A.npz", 0), ("A2", 3)])
def test_one_triangle_of_what_lacks_chunks_reads_what_is_planned(inputs, cluster, name, fill):
    folder, a, _ = inputs
    if fill:
        store(folder / name, a, fill)
        a = zarr.open_array(folder / name)[:]
    report = computed(asked(folder, name, name, transpose_b=True, store="triangle"), cluster)
    assert report.run.plan.symmetry == "triangle" and report.run.plan.bytes_ratio >= 1
    assert report.measured.bytes_read == pytest.approx(report.run.plan.predicted.bytes_read, rel=0.02)
    lower = np.tril(np.ones((400, 400), bool))
    np.testing.assert_allclose(zarr.open_array(folder / "C")[:][lower], (a.astype(float) @ a.T.astype(float))[lower], atol=1e-3)


def test_what_was_never_looked_at_does_not_look_like_damage(inputs, cluster):
    """B holds infinity where A has no chunk in any row."""
    folder, a, b = inputs
    a[:, 64:128], b[70, 70] = 0, np.inf
    for name, values in (("A2", a), ("B2", b)):
        store(folder / name, values)
    computed(small_tiles(*asked(folder, "A2", "B2")), cluster)
    assert np.isfinite(zarr.open_array(folder / "C")[:]).all()
    assert check_up(folder / "C", Ask(against_inputs=True)).sound
    zarr.open_array(folder / "B2")[0:64, 0:64] = 5
    assert not check_up(folder / "C", Ask(against_inputs=True)).sound


def test_a_killed_run_goes_on_with_the_same_bits(inputs, cluster):
    folder, _, _ = inputs
    whole = computed(small_tiles(*asked(folder)), cluster)
    (folder / "C").rename(folder / "whole")

    def stop_soon(progress):
        if progress.tiles_done == 9:
            raise GemmflowError("killed")

    parts = small_tiles(*asked(folder))
    run = prepare(*parts, cluster)
    with pytest.raises(GemmflowError, match="killed"):
        multiply(run, cluster, stop_soon)
    end(run)
    job, problem, hardware, _ = asked(folder)
    resumed = computed((job, problem, hardware, plan_or_resume(job, problem, hardware)), cluster)
    assert resumed.outcome.resumed >= 9
    assert (zarr.open_array(folder / "C")[:] == zarr.open_array(folder / "whole")[:]).all()
    names = "norm_a", "norm_b", "measured", "promised"
    assert [getattr(resumed.certificate, name) for name in names] == [getattr(whole.certificate, name) for name in names]


def test_a_damaged_tile_is_mended_bit_for_bit(inputs, cluster):
    folder, _, _ = inputs
    report = computed(small_tiles(*asked(folder)), cluster)
    (folder / "C" / "c" / "2" / "1").write_bytes(b"damaged")
    mended = repair(folder / "C", True, (lambda *_: nullcontext(cluster), lambda _: None))
    assert mended.proved and mended.tiles == ((2, 1),) and mended.root == report.stored.root


def test_measured_errors_are_proved_of_what_is_read(inputs, cluster):
    folder, a, b = inputs
    report = computed(asked(folder, max_error=1e-2, guarantee="measured"), cluster)
    error = np.linalg.norm(zarr.open_array(folder / "C")[:] - a.astype(float) @ b) / np.linalg.norm(a) / np.linalg.norm(b)
    assert error <= report.certificate.measured <= 1e-2
    assert report.run.plan.sampled_bytes <= 0.02 * (report.run.problem.a.stored_bytes + report.run.problem.b.stored_bytes)


@pytest.mark.parametrize("pair", [("A", "B"), ("A.npz", "B.npz")])
def test_an_input_that_changes_before_the_run_starts_is_refused(inputs, cluster, pair):
    folder, a, _ = inputs
    parts = asked(folder, *pair)
    if pair[0] == "A":
        zarr.open_array(folder / "A")[:] = np.ones_like(a)
        with pytest.raises(BadInput, match="A lost or got chunks while the product was planned: run again"):
            prepare(*parts, cluster)
        return
    sp.save_npz(folder / "A.npz", sp.csr_matrix(2 * a))
    with pytest.raises((BadInput, CorruptData), match=r"A\.npz was changed since|sees another matrix at"):
        computed(parts, cluster)


def test_chunks_that_come_or_go_during_the_run_are_found(inputs, cluster):
    folder, _, _ = inputs
    for change in ("lost", "got"):
        run = prepare(*small_tiles(*asked(folder)), cluster)
        held = np.argwhere(run.problem.a.matrix.occupancy.held == (change == "lost"))
        chunk = folder / "A" / "c" / str(held[-1][0]) / str(held[-1][1])
        kept = chunk.read_bytes() if chunk.exists() else b""
        chunk.unlink() if change == "lost" else chunk.write_bytes(next((folder / "B" / "c").rglob("[0-9]/[0-9]")).read_bytes())
        with pytest.raises((CorruptData, NotCertified), match=f"A {change} chunks since it was surveyed|A changed while"):
            outcome = multiply(run, cluster, lambda _: None)
            publish(run, outcome, verify(run, outcome))
        run.lease.release()
        chunk.write_bytes(kept) if change == "lost" else chunk.unlink()
        if run.staging and (folder / "C.gemmflow").exists():
            run.hold.discard()
    assert not (folder / "C").exists()


def test_the_stamp_of_a_sparse_file_follows_the_file(inputs):
    folder, a, _ = inputs
    before = contents_stamp(open_matrix(folder / "A.npz"))
    sp.save_npz(folder / "A.npz", sp.csr_matrix(2 * a))
    assert contents_stamp(open_matrix(folder / "A.npz")) != before
