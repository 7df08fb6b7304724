"""The driver on a real cluster: order, journal, what ends it, memory."""

import os
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import zarr

from storage import read_journal
from tasks.clusters import ClusterSpec, open_cluster
from tasks.errors import CorruptData, NonFinite, NotCertified
from tasks.hardware import Hardware, Layout, Rates
from tasks.job import make_job
from tasks.plan import TileShape
from tasks.planner import make_plan
from tasks.prepare import end, prepare
from tasks.publish import publish
from tasks.resume import read_plan
from tasks.run import kept, multiply
from tasks.survey import survey
from tasks.verify import verify

MIB = 2**20


def machine(workers: int = 2) -> Hardware:
    names = ("none", "blosc-lz4", "blosc-lz4-shuffle", "blosc-zstd", "blosc-zstd-bitshuffle", "zstd", "gzip")
    rates = Rates(
        gemm={"bfloat16": {"torch": 4e11}, "float32": {"torch": 1e11}, "float64": {"torch": 5e10}},
        decode=dict.fromkeys(names, 2e9),
        encode=dict.fromkeys(names, 1e9),
        probe=1e9,
        write=1e9,
        write_unsynced=2e9,
        uncached=1e9,
        copy=1e10,
        touch=4e9,
    )
    return Hardware("test", "test processor", workers, 8 * 2**30, (Layout(workers, 1, 250 * MIB, rates),))


def store(path, values, chunk=(64, 64)):
    array = zarr.create_array(path, shape=values.shape, chunks=chunk, dtype=values.dtype)
    array[:] = values


@pytest.fixture(scope="module")
def cluster():
    with open_cluster(ClusterSpec("local", 2, 1)) as opened:
        yield opened


@pytest.fixture
def inputs(tmp_path):
    return stored_inputs(tmp_path)


def stored_inputs(folder):
    """A and B in a folder; returns it and their values."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((400, 256)).astype("float32"), rng.standard_normal((256, 300)).astype("float32")
    store(folder / "A", a)
    store(folder / "B", b)
    return folder, a, b


def planned(folder, **fields):
    job = make_job(a=str(folder / "A"), b=str(folder / "B"), out=str(folder / "C"), memory="2GiB", chunk=(64, 64), **fields)
    problem, hardware = survey(job), machine()
    plan = make_plan(job, problem, hardware)
    tile = TileShape(64, 64, 64)
    return job, problem, hardware, replace(plan, tile=tile, grid=(7, 5, 4), slots=(4, 1), residency="A", workers=2)


def test_a_run_end_to_end(inputs, cluster):
    folder, a, b = inputs
    run = prepare(*planned(folder), cluster)
    seen = []
    outcome = multiply(run, cluster, seen.append)
    assert [tile.index for tile in outcome.measurements] == list(range(35))
    assert [progress.tiles_done for progress in seen] == list(range(1, 36))
    assert {tile.worker for tile in outcome.measurements} == set(cluster.workers)
    certificate = verify(run, outcome)
    stored = publish(run, outcome, certificate)
    exact = a.astype(float) @ b.astype(float)
    c = zarr.open_array(folder / "C")
    error = np.linalg.norm(c[:] - exact) / np.linalg.norm(a) / np.linalg.norm(b)
    assert error <= certificate.measured <= certificate.promised <= certificate.asked
    assert stored.bytes_stored == sum(path.stat().st_size for path in (folder / "C" / "c").rglob("*") if path.is_file())
    assert c.attrs["gemmflow"]["certificate"]["measured"] == certificate.measured
    assert sorted(path.name for path in folder.iterdir()) == ["A", "B", "C"]


def test_a_run_that_rounds_keeps_what_was_asked_and_stores_less(inputs, cluster):
    folder, a, b = inputs
    exact = a.astype(float) @ b.astype(float)
    sizes = {}
    for mode in ("no", "auto"):
        run = prepare(*planned(folder, max_error=1e-3, round=mode, codec="blosc-zstd", overwrite=True), cluster)
        outcome = multiply(run, cluster, lambda _: None)
        certificate = verify(run, outcome)
        sizes[mode] = publish(run, outcome, certificate).bytes_stored
    c = zarr.open_array(folder / "C")
    error = np.linalg.norm(c[:] - exact) / np.linalg.norm(a) / np.linalg.norm(b)
    assert error <= certificate.measured <= certificate.promised
    assert certificate.promised <= run.plan.predicted.error_bound <= 1e-3
    assert certificate.guarantee == "certified"
    assert sizes["no"] > 1.3 * sizes["auto"]
    stored = c.attrs["gemmflow"]["certificate"]["rounding"]
    assert stored["mode"] == "auto"
    assert 0 < stored["measured"] <= stored["share"]
    assert np.log2(stored["largest_step"]) == np.rint(np.log2(stored["largest_step"]))


@pytest.mark.parametrize("tiles", [2, 3])
def test_few_tiles_are_spread_over_all_workers(inputs, cluster, tiles):
    folder, _, _ = inputs
    job, problem, hardware, plan = planned(folder)
    rows = -(-400 // tiles // 64) * 64
    plan = replace(plan, tile=TileShape(rows, 300, 64), grid=(-(-400 // rows), 1, 4), slots=(1, 1))
    outcome = multiply(prepare(job, problem, hardware, plan, cluster), cluster, lambda _: None)
    assert len(outcome.measurements) == tiles
    assert {tile.worker for tile in outcome.measurements} == set(cluster.workers)


def test_every_record_is_in_the_journal(inputs, cluster):
    folder, _, _ = inputs
    run = prepare(*planned(folder), cluster)
    outcome = multiply(run, cluster, lambda _: None)
    from pathlib import Path

    first, *tiles = read_journal(Path(run.staging.journal))
    assert (first["kind"], first["job"], read_plan(first["plan"])) == ("run", run.job.model_dump(mode="json"), run.plan)
    assert sorted(record["tile"]["index"] for record in tiles) == list(range(35))
    assert sum(chunk["nbytes"] for record in tiles for chunk in record["tile"]["chunks"]) == sum(
        t.bytes_stored for t in outcome.measurements
    )


def test_a_corrupt_chunk_ends_the_run_and_keeps_staging(inputs, cluster):
    folder, _, _ = inputs
    run = prepare(*planned(folder), cluster)
    chunk = folder / "A" / "c" / "2" / "1"
    chunk.write_bytes(b"damaged")
    with pytest.raises(CorruptData, match=r"c/2/1.*finished is kept in .*: the same command goes on from there"):
        multiply(run, cluster, lambda _: None)
    assert not (folder / "C").exists()


def test_a_run_that_nan_ends_before_its_first_tile_leaves_room_for_the_next(inputs, cluster):
    """Either way out that the message names is open."""
    folder, a, _ = inputs
    spoilt = a.copy()
    spoilt[:, 5] = np.nan
    zarr.open_array(folder / "A")[:] = spoilt
    run = prepare(*planned(folder), cluster)
    with pytest.raises(NonFinite, match=r"A .*holds nan.*allow-nonfinite") as caught:
        multiply(run, cluster, lambda _: None)
    end(run)
    assert "kept in" not in str(caught.value)
    assert list(folder.glob("C*")) == []
    allowed = prepare(*planned(folder, allow_nonfinite=True), cluster)
    assert allowed.resumed == ()
    end(allowed)
    allowed.hold.discard()
    zarr.open_array(folder / "A")[:] = a
    run = prepare(*planned(folder), cluster)
    assert len(multiply(run, cluster, lambda _: None).measurements) == 35
    end(run)


@pytest.mark.parametrize("error", [NonFinite("A holds nan"), NotCertified("tile 0 misses")])
def test_what_only_another_command_can_mend_says_how_to_make_room_for_it(error):
    staging = SimpleNamespace(folder="there")
    said = kept(SimpleNamespace(staging=staging, job=make_job(a="A", b="B", out="/data/C.zarr")), error)
    assert said.startswith("what is finished is kept in there: ")
    assert "gemmflow clean /data/C.zarr removes it" in said
    assert ("the same command goes on" in said) == isinstance(error, NotCertified)


@pytest.mark.slow
def test_peak_memory_stays_below_the_budget_as_seen_from_outside(tmp_path):
    """Workers' resident memory, sampled while a product four times the budget is computed."""
    from tasks.calibrate import measure

    rng = np.random.default_rng(1)
    for name in "AB":
        store(tmp_path / name, rng.standard_normal((5120, 5120), dtype="float32"), (1024, 1024))
    job = make_job(a=str(tmp_path / "A"), b=str(tmp_path / "B"), out=str(tmp_path / "C"), memory="600MiB")
    problem = survey(job)
    hardware = measure(job, problem)
    plan = make_plan(job, problem, hardware)
    peak = [0]
    with open_cluster(ClusterSpec("local", plan.workers, plan.threads_per_worker)) as opened:
        processes = [psutil.Process(pid) for pid in opened.run_on_workers(os.getpid).values()]
        finished = threading.Event()

        def sample():
            while not finished.is_set():
                peak[0] = max(peak[0], sum(process.memory_info().rss for process in processes))
                time.sleep(0.005)

        watcher = threading.Thread(target=sample)
        watcher.start()
        run = prepare(job, problem, hardware, plan, opened)
        outcome = multiply(run, opened, lambda _: None)
        finished.set()
        watcher.join()
    assert plan.predicted.peak_memory_bytes <= 600 * MIB
    assert peak[0] <= 600 * MIB, f"{peak[0] / MIB:.0f} MiB resident, planned {plan.predicted.peak_memory_bytes / MIB:.0f}"
    assert sum(tile.bytes_read for tile in outcome.measurements) == pytest.approx(plan.predicted.bytes_read, rel=0.02)
