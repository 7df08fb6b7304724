"""The benchmark of predictions: what it draws, what it calls kept, and that it runs."""

import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import zarr

from benchmarks.drawn import DATA, TINY, Drawn, draws, store
from benchmarks.prediction import HEADER, Row, Sizing, summary

ROOT = Path(__file__).resolve().parents[2]
JOB = Drawn((30, 20, 25), "float32", 8, "none", "zstd", "1GiB", "power")


def sizing(memory=(100, 90), stored=(1000, 1050), **changes):
    return Sizing(memory, stored, **({"interval": (900, 1100), "share_sampled": 0.2, "codecs": ("zstd", "zstd")} | changes))


def row(**changes):
    return Row(JOB, 2.0, (1.0, 3.0), 2.2, {"read": 1.0}, {"read": 1.1}, sizing(**changes))


@pytest.mark.parametrize(("memory", "kept"), [((100, 100), True), ((100, 75), True), ((100, 101), False), ((100, 74), False)])
def test_memory_is_never_above_and_not_far_below(memory, kept):
    assert sizing(memory=memory).keeps_memory == kept


@pytest.mark.parametrize(("stored", "kept"), [((1000, 1099), True), ((1000, 900), True), ((1000, 1101), False), ((1000, 899), False)])
def test_stored_bytes_are_within_a_tenth(stored, kept):
    assert sizing(stored=stored).keeps_stored == kept


def test_the_summary_counts_what_is_kept():
    lines = summary([row(), row(memory=(100, 120)), row(stored=(1000, 1200), codecs=("zstd", "none"))])
    assert lines[0].startswith("median error 10.0%") and lines[0].endswith("3 in the interval")
    assert "2 of 3 at most 25 % below and none above" in lines[1] and "-10.0% to +20.0%" in lines[1]
    assert "2 of 3 within 10 %, 2 in the interval, 1 with another codec" in lines[2]
    assert len(row().cells) == len(HEADER)


def test_a_sample_without_an_interval_is_in_none():
    assert not sizing(interval=None).is_inside


def test_the_same_seed_draws_the_same_jobs_whatever_their_data():
    plain, mixed = (list(islice(draws(7, TINY, kind), 30)) for kind in (False, True))
    assert [job.shape for job in plain] == [job.shape for job in mixed]
    assert {job.data for job in plain} == {"normal"}
    assert {job.data for job in mixed} == set(DATA)


@pytest.mark.parametrize("data", DATA)
def test_every_kind_of_data_is_stored_whole(tmp_path, data):
    store(tmp_path / "A", (30, 20), Drawn(**{**vars(JOB), "data": data}), 0)
    values = zarr.open_array(tmp_path / "A")[:]
    assert values.shape == (30, 20) and np.isfinite(values).all() and np.abs(values).max() > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_runs(tmp_path):
    line = ["--tiny", "--count", "2", "--data", "mixed", "--scratch", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", "benchmarks.prediction", *line], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "of 2 within 10 %" in done.stdout and "| peak memory" in done.stdout
    assert not list(tmp_path.iterdir())
