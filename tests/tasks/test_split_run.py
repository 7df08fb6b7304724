"""Tiles that are summed up in parts of k, on a cluster: shared, resumed, and with workers that die or lie."""

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zarr

from tasks import prepare as module
from tasks.clusters import ClusterSpec, open_cluster
from tasks.errors import NonFinite, NotCertified
from tasks.plan import TileShape
from tasks.prepare import check_room, end, prepare
from tasks.publish import publish
from tasks.run import multiply
from tasks.verify import verify
from tests.tasks.test_run import planned, store


@pytest.fixture(scope="module")
def cluster():
    with open_cluster(ClusterSpec("local", 2, 1)) as opened:
        yield opened


def cut(folder: Path, parts: int = 10, rows: int = 60, **fields: object):
    """A deep product of tiles of so many rows, each in parts."""
    if not (folder / "A").exists():
        rng = np.random.default_rng(0)
        store(folder / "A", rng.standard_normal((60, 1280)).astype("float32"))
        store(folder / "B", rng.standard_normal((1280, 50)).astype("float32"))
    run_job, found, machine_, plan = planned(folder, **fields)
    tile, grid = TileShape(rows, 50, 64), (60 // rows, 1, 20)
    return (
        run_job,
        found,
        machine_,
        replace(plan, tile=tile, grid=grid, slots=(1, 1), residency="C", workers=2, parts=parts, chunk=(20, 50)),
    )


def published(run, cluster, observe=lambda _: None):
    outcome = multiply(run, cluster, observe)
    publish(run, outcome, verify(run, outcome))
    return outcome


@pytest.mark.parametrize(("spoilt", "kept"), [(slice(0, 1280), False), (slice(1279, 1280), True)], ids=["every part", "the last one"])
def test_what_nan_ends_keeps_its_sums_and_leaves_nothing_where_there_are_none(tmp_path, cluster, spoilt, kept):
    made = cut(tmp_path)
    zarr.open_array(tmp_path / "A")[:, spoilt] = np.nan
    run = prepare(*made, cluster)
    with pytest.raises(NonFinite, match=r"A .*holds nan") as caught:
        multiply(run, cluster, lambda _: None)
    end(run)
    assert ("what is finished is kept in" in str(caught.value)) == kept
    assert bool(list(tmp_path.glob("C*"))) == kept


def test_every_worker_has_a_part_and_progress_is_shown(tmp_path, cluster):
    seen = []
    run = prepare(*cut(tmp_path), cluster)
    outcome = published(run, cluster, seen.append)
    [tile] = outcome.measurements
    assert {share.worker for share in tile.shares} == set(cluster.workers)
    assert len(tile.shares) == 10
    done = [progress.flops_done for progress in seen]
    assert done == sorted(done)
    assert 0 < done[0] < done[-1] == run.problem.flops
    c, a, b = (zarr.open_array(tmp_path / name)[:] for name in "CAB")
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-3)


def bits(folder: Path) -> bytes:
    return zarr.open_array(folder / "C")[:].tobytes()


@pytest.mark.parametrize("rows", [60, pytest.param(20, marks=pytest.mark.slow)])
def test_whoever_computes_the_bits_are_the_same(tmp_path, cluster, rows):
    published(prepare(*cut(tmp_path, rows=rows), cluster), cluster)
    first = bits(tmp_path)
    with open_cluster(ClusterSpec("local", 1, 1)) as lone:
        published(prepare(*cut(tmp_path, rows=rows, overwrite=True), lone), lone)
    assert bits(tmp_path) == first


@pytest.mark.parametrize("parts", [2, 3])
def test_more_tiles_than_workers_may_come_in_parts(tmp_path, cluster, parts):
    run = prepare(*cut(tmp_path, parts, rows=20), cluster)
    tiles = published(run, cluster).measurements
    assert [len(tile.shares) for tile in tiles] == [parts] * 3
    assert {share.worker for tile in tiles for share in tile.shares} == set(cluster.workers)
    c, a, b = (zarr.open_array(tmp_path / name)[:] for name in "CAB")
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A", "B", "C"]


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "codec"), [(60, "none"), (20, "none"), (60, "blosc-zstd")])
def test_a_killed_worker_costs_its_parts_alone(tmp_path, rows, codec):
    with open_cluster(ClusterSpec("local", 2, 1)) as opened:
        *asked, plan = cut(tmp_path, rows=rows)
        run = prepare(*asked, replace(plan, sums_codec=codec), opened)
        pids, killed = opened.run_on_workers(os.getpid), []

        def kill(progress):
            if not killed and progress.flops_done > 0:
                killed.append(next(iter(pids.values())))
                os.kill(killed[0], signal.SIGKILL)

        published(run, opened, kill)
    assert killed
    c, a, b = (zarr.open_array(tmp_path / name)[:] for name in "CAB")
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-3)


def test_a_new_run_needs_room_for_its_partial_sums_and_one_that_goes_on_does_not(tmp_path, monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(module, "site_of", lambda out: SimpleNamespace(check_space=asked.append))
    run_job, found, _, plan = cut(tmp_path, parts=10)
    for done in (None, []):
        check_room(run_job, found, plan, done)
    product, sums = 60 * 50 * 4, 10 * 60 * 50 * 4
    assert asked == [product + sums, product]


class _Stopped(Exception):
    pass


@pytest.mark.parametrize("codec", ["none", "blosc-zstd"])
def test_a_run_that_goes_on_finds_the_parts_that_were_done(tmp_path, cluster, codec):
    asked = cut(tmp_path)
    asked = (*asked[:3], replace(asked[3], sums_codec=codec))
    run = prepare(*asked, cluster)

    def stop(progress):
        if progress.flops_done > 0.5 * progress.flops:
            raise _Stopped

    with pytest.raises(_Stopped):
        multiply(run, cluster, stop)
    run.lease.release()
    kept = sum("." not in path.name for path in Path(run.staging.folder, "sums").iterdir())
    assert kept >= 5
    again = prepare(*asked, cluster)
    [tile] = published(again, cluster).measurements
    assert tile.bytes_read <= (10 - kept) * 2 * 2 * 64 * 64 * 4  # two slabs a part, a chunk of A and of B each
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A", "B", "C"]


def spoil(times: int) -> None:
    """Make this worker's products wrong for a while (runs on workers)."""
    from tasks import tile

    honest, left = getattr(tile, "honest_product", tile.add_product), [times]
    tile.honest_product = honest

    def wrong(method, accumulator, a, b, beta):
        honest(method, accumulator, a, b, beta)
        if left[0]:
            left[0] -= 1
            accumulator[1, 1] += 50

    tile.add_product = wrong


def heal() -> None:
    from tasks import tile

    tile.add_product = getattr(tile, "honest_product", tile.add_product)


@pytest.mark.parametrize(("times", "ends"), [(1, False), (10**6, True)])
def test_a_wrong_part_is_never_published(tmp_path, cluster, times, ends):
    run = prepare(*cut(tmp_path), cluster)
    cluster.run_on_workers(partial(spoil, times))
    try:
        if ends:
            with pytest.raises(NotCertified, match="check this hardware"):
                multiply(run, cluster, lambda _: None)
            assert not (tmp_path / "C").exists()
            return
        outcome = published(run, cluster)
    finally:
        cluster.run_on_workers(heal)
    assert outcome.retried == 1
    c, a, b = (zarr.open_array(tmp_path / name)[:] for name in "CAB")
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-3)
