"""Runs whose codec the data choose, on two workers: one codec for the array, and the evidence wherever the result is read."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import CODECS, open_matrix, settle
from tasks.clusters import ClusterSpec, open_cluster
from tasks.compression import settled
from tasks.plan import TileShape
from tasks.prepare import prepare
from tasks.publish import publish
from tasks.run import multiply
from tasks.verify import verify
from tests.tasks.test_run import planned, store

pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")

EDGE = 512


@pytest.fixture(scope="module")
def cluster():
    with open_cluster(ClusterSpec("local", 2, 1)) as opened:
        yield opened


def prepared(folder: Path, cluster, **fields):
    """A run of 16 tiles whose product is ReLU-like: half of it zeros."""
    values = np.maximum(np.random.default_rng(0).standard_normal((EDGE, EDGE), dtype=np.float32), 0)
    store(folder / "A", values, (128, 128))
    store(folder / "B", np.eye(EDGE, dtype=np.float32), (128, 128))
    job, problem, hardware, plan = planned(folder, **fields)
    plan = replace(plan, tile=TileShape(128, 128, 128), grid=(4, 4, 4), slots=(4, 1), parts=1)
    rates = dict.fromkeys(CODECS, 1000000000.0)
    layouts = tuple(replace(layout, rates=replace(layout.rates, encode=rates, decode=rates, write=5e6)) for layout in hardware.layouts)
    return prepare(job, problem, replace(hardware, layouts=layouts), plan, cluster), values


@pytest.mark.parametrize(("codec", "portable"), [("auto", "yes"), ("smallest", "yes"), ("smallest", "no")])
def test_the_first_tile_chooses_and_everything_says_so(tmp_path, cluster, codec, portable):
    run, values = prepared(tmp_path, cluster, codec=codec, portable=portable)
    outcome = multiply(run, cluster, lambda _: None)
    assert {tile.worker for tile in outcome.measurements} == set(cluster.workers)
    decision = settled(run.staging)
    stored = publish(run, outcome, verify(run, outcome))
    out = tmp_path / "C"
    assert decision is not None and stored.codec == decision.codec != "none"
    assert portable == "no" or CODECS[stored.codec].portable
    assert stored.ratio > 1.5
    assert stored.why == decision.why
    assert {"none", stored.codec} <= {row.name for row in stored.codecs}
    header = json.loads((out / "zarr.json").read_bytes())
    assert header["codecs"] == CODECS[stored.codec].metadata(4)
    assert header["attributes"]["gemmflow"]["storage"]["codecs"][0]["name"] == "none"
    back = np.empty((EDGE, EDGE), np.float32)
    open_matrix(out).read_into(back, slice(None), slice(None))
    assert (back == values).all()
    assert (zarr.open_array(out, mode="r")[:] == values).all()
    assert not Path(run.staging.folder, "codec").exists(), "the staging folder went with publish"


def test_workers_follow_what_an_interrupted_run_settled(tmp_path, cluster):
    run, values = prepared(tmp_path, cluster, codec="auto")
    settle(Path(run.staging.folder, "codec"), lambda: {"codec": "gzip", "why": "as the interrupted run had settled", "weighed": []})
    outcome = multiply(run, cluster, lambda _: None)
    stored = publish(run, outcome, verify(run, outcome))
    assert (stored.codec, stored.why) == ("gzip", "as the interrupted run had settled")
    assert (zarr.open_array(tmp_path / "C", mode="r")[:] == values).all()


def test_a_codec_that_was_named_is_used_without_a_trial(tmp_path, cluster):
    run, _ = prepared(tmp_path, cluster, codec="zstd")
    outcome = multiply(run, cluster, lambda _: None)
    assert not Path(run.staging.folder, "codec").exists()
    stored = publish(run, outcome, verify(run, outcome))
    assert (stored.codec, stored.why, stored.codecs) == ("zstd", "asked for", ())
