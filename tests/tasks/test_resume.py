"""What an unfinished run is, what may differ, and what is named."""

import json
from dataclasses import replace

import numpy as np
import pytest

from storage import Start, create_staging, discard, find_staging
from storage.journal import Journal
from tasks import resume
from tasks.errors import Refused
from tasks.job import make_job
from tasks.resume import (
    Unfinished,
    describe,
    find_unfinished,
    input_stamps,
    plan_json,
    plan_or_resume,
    read_plan,
    retract_record,
    run_record,
    tile_record,
    to_go_on_with,
)
from tasks.survey import survey
from tests.tasks.builders import Scene, report


@pytest.fixture
def started(tmp_path):
    """A run of a small product that has finished two of its four tiles, and what it was asked."""
    rng = np.random.default_rng(0)
    for name, shape in {"A": (8, 6), "B": (6, 10)}.items():
        np.save(tmp_path / f"{name}.npy", rng.standard_normal(shape))
    job = make_job(a=str(tmp_path / "A.npy"), b=str(tmp_path / "B.npy"), out=str(tmp_path / "C"), memory="1GiB", max_error=1e-3)
    problem, made = survey(job), report(Scene(grid=(2, 2)))
    plan = replace(made.run.plan, memory_limit=job.memory)
    tiles = made.outcome.measurements
    records = [run_record(job, input_stamps(problem), plan, made.run.staging.spec), tile_record(tiles[1]), tile_record(tiles[0])]
    create_staging(tmp_path / "C", made.run.staging.spec, "power", "r1", Start(tuple(records)))
    return job, problem, plan, tiles


def test_a_plan_and_a_tile_survive_json():
    made = report(Scene(grid=(2, 2)))
    assert read_plan(json.loads(json.dumps(plan_json(made.run.plan), allow_nan=False))) == made.run.plan
    assert made.run.plan.choices[-1].seconds == float("inf"), "the case that JSON cannot hold as a number"


def test_what_was_started_is_read_back(started):
    job, _, plan, tiles = started
    unfinished = find_unfinished(job)
    assert (unfinished.job, unfinished.plan, unfinished.tiles) == (job, plan, tiles[:2])
    assert describe(unfinished) == "going on with run r1: 2 of 4 tiles are done"
    assert describe(None) == ""


def test_nothing_is_planned_again(started, monkeypatch):
    job, problem, plan, _ = started
    monkeypatch.setattr(resume, "make_plan", lambda *_: pytest.fail("planned"))
    assert plan_or_resume(job, problem, None) == plan
    unsaid = job.model_copy(update={"memory": None})
    assert plan_or_resume(unsaid, problem, None) == plan, "who names no memory gets that of the plan"
    assert plan_or_resume(job.model_copy(update={"memory": 2 * job.memory, "overwrite": True}), problem, None) == plan
    assert plan_or_resume(job.model_copy(update={"priority": 5}), problem, None) == plan, "how urgent it is may change"


def test_without_an_unfinished_run_there_is_a_new_plan(started, monkeypatch, tmp_path):
    job, problem, _, _ = started
    monkeypatch.setattr(resume, "make_plan", lambda *_: "a new plan")
    assert plan_or_resume(job.model_copy(update={"out": str(tmp_path / "D")}), problem, None) == "a new plan"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"max_error": 1e-6}, "max-error was 0.001, now it is 1e-06"),
        ({"max_error": None}, "max-error was 0.001, now it is not set"),
        ({"codec": "zstd"}, "codec was auto, now it is zstd"),
        ({"chunk": (2, 5)}, "chunk was not set, now it is 2,5"),
        ({"dtype_out": "float64"}, "dtype-out was auto"),
        ({"durability": "process"}, "durability was power"),
        ({"transpose_b": True}, "transpose-b was False"),
        ({"alpha": 2.0}, "alpha was 1.0, now it is 2.0"),
        ({"round": "auto"}, "round was no, now it is auto"),
        ({"workers": 1}, "workers was not set, now it is 1"),
        ({"memory": 2**29}, "memory was 1.00 GiB, now it is 512 MiB"),
        ({"cluster": "cuda"}, "it computes on cpu, the cluster asked is cuda"),
    ],
)
def test_a_difference_is_named_and_nothing_is_lost(started, change, named):
    job, problem, _, _ = started
    with pytest.raises(Refused, match=r"unfinished run \(r1\) that differs") as caught:
        plan_or_resume(job.model_copy(update=change), problem, None)
    assert named in str(caught.value) and f"gemmflow clean {job.out}" in str(caught.value)
    assert len(find_unfinished(job).tiles) == 2


def begun(job, problem, plan, *records) -> None:
    """In place of the unfinished run, one that wrote these records and was killed."""
    unfinished = find_unfinished(job)
    unfinished.left.discard()
    first = run_record(job, input_stamps(problem), plan, unfinished.spec)
    create_staging(job_out(job), unfinished.spec, "power", "r2", Start((first, *records)))


def test_a_run_that_finished_nothing_does_not_stand_in_the_way_of_another_one(started, monkeypatch):
    job, problem, plan, _ = started
    begun(job, problem, plan)
    monkeypatch.setattr(resume, "make_plan", lambda *_: "a new plan")
    assert plan_or_resume(job, problem, None) == plan, "the same command goes on with it"
    other = job.model_copy(update={"allow_nonfinite": True})
    assert plan_or_resume(other, problem, None) == "a new plan"
    assert to_go_on_with(other, problem) is None
    assert find_unfinished(job).is_empty, "who only plans removes nothing"


@pytest.mark.parametrize("kept", ["tile", "retracted", "sum"])
def test_whatever_was_finished_stands_in_the_way(started, kept):
    job, problem, plan, tiles = started
    done = {"tile": [tile_record(tiles[0])], "retracted": [tile_record(tiles[0]), retract_record(0)], "sum": []}
    begun(job, problem, plan, *done[kept])
    if kept == "sum":
        folder = find_staging(job_out(job)).folder / "sums"
        folder.mkdir()
        assert find_unfinished(job).is_empty
        (folder / "0-0").write_bytes(b"x")
    with pytest.raises(Refused, match="allow-nonfinite was False, now it is True"):
        plan_or_resume(job.model_copy(update={"allow_nonfinite": True}), problem, None)
    assert find_unfinished(job) is not None


def test_every_field_of_a_job_is_compared_or_says_where():
    assert set(type(report(Scene(grid=(1, 1))).run.job).model_fields) >= resume.WHERE


def test_changed_inputs_and_other_versions_are_named(started, monkeypatch):
    job, problem, _, _ = started
    content = np.load(job.a)
    content[0, 0] += 1
    np.save(job.a, content)
    with pytest.raises(Refused, match=r"the input .*A\.npy was changed since"):
        plan_or_resume(job, survey(job), None)
    monkeypatch.setattr(resume.metadata, "version", lambda _: "9.9")
    with pytest.raises(Refused, match=r"started by gemmflow 0\.1\.0, this is 9\.9"):
        plan_or_resume(job, problem, None)


@pytest.mark.parametrize("content", [b"", b"GMMFJL1\n", b"something else"])
def test_a_journal_that_says_nothing_is_never_taken_for_a_new_start(started, content):
    job, _, _, _ = started
    (find_staging(job_out(job)).folder / "journal").write_bytes(content)
    with pytest.raises(Refused, match="journal is damaged; remove it with gemmflow clean"):
        find_unfinished(job)


def test_what_follows_a_flipped_bit_is_computed_again(started):
    job, _, _, _ = started
    path = find_staging(job_out(job)).folder / "journal"
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 8
    path.write_bytes(raw)
    assert len(find_unfinished(job).tiles) == 1


def test_a_retracted_tile_is_not_done_until_it_is_recorded_again(started):
    job, problem, plan, tiles = started
    spec, first = find_unfinished(job).spec, run_record(job, input_stamps(problem), plan, find_unfinished(job).spec)
    again = replace(tiles[0], confirmed=True)
    records = [first, tile_record(tiles[0]), tile_record(tiles[1]), retract_record(0)]
    for more, done in (
        ([], (tiles[1],)),
        ([tile_record(again)], (again, tiles[1])),
        ([tile_record(again), retract_record(0)], (tiles[1],)),
    ):
        discard(find_staging(job_out(job)))
        create_staging(job_out(job), spec, "power", "r1", Start((*records, *more)))
        assert find_unfinished(job).tiles == done


def test_records_of_before_rows_were_compared_are_read(started):
    """Their journals lack the fields, and their tiles raise no alarm."""
    job, _, _, tiles = started
    record = tile_record(tiles[0])
    for name in ("rows", "typical", "outlier", "outlier_single", "confirmed"):
        del record["tile"][name]
    unfinished = Unfinished(find_unfinished(job).left, (find_unfinished(job).started, record))
    assert unfinished.tiles == (tiles[0],)


def test_a_repair_is_no_run(started):
    job, _, _, _ = started
    Journal.create(find_staging(job_out(job)).folder / "journal", [resume.REPAIR]).close()
    with pytest.raises(Refused, match="unfinished repair: repeat gemmflow repair"):
        find_unfinished(job)


def test_what_a_published_run_left_is_removed(started):
    job, _, _, _ = started
    found = find_staging(job_out(job))
    (found.folder / "array").rename(job_out(job))
    assert find_unfinished(job) is None
    assert find_staging(job_out(job)) is None and job_out(job).is_dir()


def job_out(job):
    from pathlib import Path

    return Path(job.out)
