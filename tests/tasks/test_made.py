import os
from pathlib import Path

import pytest

from flows.samples import Sample, write_sample
from storage import OutputSpec, certify, create_staging, publish, write_block
from tasks.job import Job, make_job
from tasks.made import is_made
from tasks.resume import input_stamps
from tasks.survey import open_problem


def make(job: Job, /, **changed: object) -> None:
    """A result as `publish` leaves it, without multiplying anything."""
    import numpy as np

    spec = OutputSpec(shape=(4, 6), dtype="float32", chunks=(4, 6), codec="none")
    staging = create_staging(Path(job.out), spec, "process", "r1")
    records = write_block(staging, 0, 0, np.zeros((4, 6), np.float32)).records
    certificate = {"job": job.model_dump(mode="json"), "inputs": input_stamps(open_problem(job))} | changed
    certify(staging, {"run_id": "r1", "storage": {"codec": "none"}, **certificate}, records)
    publish(staging, overwrite=False)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    write_sample(tmp_path / "A", Sample((4, 5), 1))
    write_sample(tmp_path / "B", Sample((5, 6), 2))
    return make_job(a=str(tmp_path / "A"), b=str(tmp_path / "B"), out=str(tmp_path / "C"), memory="1GiB")


def test_the_same_job_from_the_same_inputs(job: Job) -> None:
    assert not is_made(job)
    make(job)
    assert is_made(job)
    assert is_made(job.model_copy(update={"memory": 2**31, "overwrite": True, "cluster": "tcp://h:1"}))


@pytest.mark.parametrize("changed", [{"alpha": 2.0}, {"max_error": 1e-3}, {"transpose_a": True}, {"codec": "zstd"}])
def test_another_job(job: Job, changed: dict[str, object]) -> None:
    make(job)
    assert not is_made(job.model_copy(update=changed))


def test_other_inputs(job: Job) -> None:
    make(job)
    os.utime(Path(job.b) / "zarr.json")
    assert not is_made(job)
    Path(job.b, "zarr.json").unlink()
    assert not is_made(job)


def test_what_is_no_result_of_ours_or_says_too_little(job: Job) -> None:
    Path(job.out).mkdir()
    assert not is_made(job)
    Path(job.out).rmdir()
    make(job, job={"speed": 9})
    assert not is_made(job)


def test_a_certificate_without_stamps(job: Job) -> None:
    make(job, inputs={})
    assert not is_made(job)
    assert not is_made(replace_out(job, f"{job.out}-none"))


def replace_out(job: Job, out: str) -> Job:
    return job.model_copy(update={"out": out})
