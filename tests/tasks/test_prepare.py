"""Staging is made after every check that can fail, and leaves nothing when one does."""

import os
from dataclasses import replace

import numpy as np
import pytest

from tasks import prepare as module
from tasks.clusters import ClusterSpec, open_cluster
from tasks.errors import BadInput, ClusterMismatch, Refused
from tasks.prepare import end, new_run_id, prepare
from tests.tasks.test_run import planned, store


@pytest.fixture(scope="module")
def cluster():
    with open_cluster(ClusterSpec("local", 1, 1)) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    store(tmp_path / "A", rng.standard_normal((400, 256)).astype("float32"))
    store(tmp_path / "B", rng.standard_normal((256, 300)).astype("float32"))
    return tmp_path


def test_staging_lies_beside_out(folder, cluster):
    run = prepare(*planned(folder), cluster)
    assert run.staging.folder == os.path.realpath(folder / "C.gemmflow" / f"{run.run_id}.1")
    assert run.recipe.bound == run.plan.predicted.error_bound
    assert run.recipe.share == 0


def test_a_full_disk_is_refused_before_anything_is_written(folder, cluster, monkeypatch):
    import shutil

    usage = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(Refused, match="1000 bytes free"):
        prepare(*planned(folder), cluster)
    assert sorted(path.name for path in folder.iterdir()) == ["A", "B"]


def test_a_worker_without_the_files_leaves_nothing(folder, cluster, monkeypatch):
    def blind(*_):
        raise ClusterMismatch("worker tcp://other cannot read the token")

    monkeypatch.setattr(module, "check_files", blind)
    with pytest.raises(ClusterMismatch):
        prepare(*planned(folder), cluster)
    assert sorted(path.name for path in folder.iterdir()) == ["A", "B"]


def test_an_input_that_changed_after_the_survey_is_noticed(folder, cluster):
    job, problem, hardware, plan = planned(folder)
    other = replace(problem.a.matrix, fingerprint="another")
    with pytest.raises(ClusterMismatch, match="sees another matrix"):
        prepare(job, replace(problem, a=replace(problem.a, matrix=other)), hardware, plan, cluster)
    assert sorted(path.name for path in folder.iterdir()) == ["A", "B"]


def test_a_result_that_appeared_after_the_survey_is_found_before_any_tile(folder, cluster):
    """Two runs for one OUT: the second was planned while the first still computed, and began when that was over."""
    asked = planned(folder)
    (folder / "C").mkdir()
    with pytest.raises(BadInput, match="C exists: choose another place or pass --overwrite"):
        prepare(*asked, cluster)
    assert sorted(path.name for path in folder.iterdir()) == ["A", "B", "C"]


@pytest.mark.parametrize("other", ["job", "plan"])
def test_a_run_that_finished_nothing_makes_room_for_another_one(folder, cluster, other):
    old = prepare(*planned(folder), cluster)
    end(old)
    job, problem, hardware, plan = planned(folder)
    if other == "job":
        job = job.model_copy(update={"allow_nonfinite": True})
    else:
        plan = replace(plan, seed=plan.seed + 1)
    run = prepare(job, problem, hardware, plan, cluster)
    assert run.run_id != old.run_id and run.staging.epoch == 1
    assert [path.name for path in (folder / "C.gemmflow").iterdir()] == [f"{run.run_id}.1"]
    end(run)


def test_the_same_run_that_finished_nothing_is_gone_on_with(folder, cluster):
    old = prepare(*planned(folder), cluster)
    end(old)
    run = prepare(*planned(folder), cluster)
    assert (run.run_id, run.staging.epoch) == (old.run_id, 2)
    end(run)


def test_run_ids_differ():
    assert len({new_run_id() for _ in range(50)}) == 50
