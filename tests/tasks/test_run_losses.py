"""Workers that die under the driver, and workers that compute wrong: what is lost is computed again, or the run ends."""

import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import zarr

from tasks.clusters import ClusterSpec, open_cluster
from tasks.errors import NotCertified, WorkersLost
from tasks.plan import TileShape
from tasks.prepare import prepare
from tasks.publish import publish
from tasks.run import multiply
from tasks.verify import verify
from tests.tasks.test_run import planned, stored_inputs


@pytest.fixture
def inputs(tmp_path):
    return stored_inputs(tmp_path)


def test_a_killed_worker_loses_only_its_tiles(inputs):
    folder, a, b = inputs
    with open_cluster(ClusterSpec("local", 2, 1)) as opened:
        run = prepare(*planned(folder), opened)
        pids = opened.run_on_workers(os.getpid)
        killed = threading.Event()

        def kill(progress):
            if progress.tiles_done == 5 and not killed.is_set():
                os.kill(next(iter(pids.values())), signal.SIGKILL)
                killed.set()

        outcome = multiply(run, opened, kill)
        certificate = verify(run, outcome)
        publish(run, outcome, certificate)
    assert killed.is_set()
    assert len(outcome.measurements) == 35
    np.testing.assert_allclose(zarr.open_array(folder / "C")[:], a @ b, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_a_run_without_workers_ends(inputs, monkeypatch):
    from tasks import drive, processes, watch

    monkeypatch.setattr(processes, "MAX_RESTARTS", 0)
    for module in (drive, watch):
        monkeypatch.setattr(module, "ALONE_SECONDS", 1.0)
    folder, _, _ = inputs
    with open_cluster(ClusterSpec("local", 2, 1)) as opened:
        run = prepare(*planned(folder), opened)
        pids = opened.run_on_workers(os.getpid)

        def kill(progress):
            if progress.tiles_done == 5:
                for pid in pids.values():
                    os.kill(pid, signal.SIGKILL)

        with pytest.raises(WorkersLost, match="no worker is left"):
            multiply(run, opened, kill)
    assert not (folder / "C").exists()


@pytest.mark.slow
def test_a_run_whose_workers_were_all_replaced_goes_on(inputs):
    folder, a, b = inputs
    with open_cluster(ClusterSpec("local", 2, 1)) as opened:
        run = prepare(*planned(folder), opened)
        pids = set(opened.run_on_workers(os.getpid).values())

        def kill(progress):
            while progress.tiles_done == 5 and pids:
                os.kill(pids.pop(), signal.SIGKILL)

        outcome = multiply(run, opened, kill)
        verify(run, outcome)
        publish(run, outcome, verify(run, outcome))
    np.testing.assert_allclose(zarr.open_array(folder / "C")[:], a @ b, rtol=1e-4, atol=1e-3)


def spoil_once(flag: str) -> None:
    """Make this worker's float32 kernel wrong, for every tile or only for the first (run on workers)."""
    from tasks import kernels

    honest = kernels.KERNELS["float32", "cpu", "torch"].add
    state = {"calls": 0}

    def wrong(accumulator, a, b, beta):
        honest(accumulator, a, b, beta)
        state["calls"] += 1
        if flag == "always" or state["calls"] == 1:
            accumulator[0, 0] += 10

    kernels.KERNELS["float32", "cpu", "torch"] = kernels.Adds(wrong)


def test_a_wrong_tile_is_computed_again_elsewhere(inputs):
    folder, _, _ = inputs
    with open_cluster(ClusterSpec("local", 2, 1)) as opened:
        first = opened.workers[0]
        opened.client.submit(spoil_once, "always", workers=[first], pure=False).result()
        run = prepare(*planned(folder), opened)
        run = replace(run, plan=replace(run.plan, tile=TileShape(400, 300, 256), grid=(1, 1, 1), slots=(1, 1)))
        outcome = multiply(run, opened, lambda _: None)
        assert outcome.retried == 1
        assert outcome.measurements[0].worker != first


def test_a_tile_that_fails_twice_ends_the_run(inputs):
    folder, _, _ = inputs
    with open_cluster(ClusterSpec("local", 2, 1)) as opened:
        opened.run_on_workers(spoil_once, "always")
        run = prepare(*planned(folder), opened)
        with pytest.raises(NotCertified, match=r"times outside its bound.*and again by"):
            multiply(run, opened, lambda _: None)
    assert not (folder / "C").exists()
