"""What a job leaves out is its plan's; what it says must agree."""

import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest

from tasks.as_planned import DECIDED, FREE, as_planned
from tasks.errors import BadInput, TooLittleMemory
from tasks.job import Job, make_job
from tasks.plan import Plan
from tests.tasks.plan_files import Saved, save


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    return save(tmp_path, alpha=2.0, codec="blosc-zstd", chunk=[32, 32])


def asking(saved: Saved, **more: object) -> Job:
    return make_job(**({"a": saved.job.a, "b": saved.job.b, "out": saved.job.out, "plan": str(saved.path)} | more))


def test_a_job_without_a_plan_stays_as_it_is(saved: Saved) -> None:
    assert as_planned(saved.job) is saved.job


def test_what_is_left_out_is_the_plans_and_asked_again_it_is_the_same(saved: Saved) -> None:
    found = as_planned(asking(saved))
    assert found == saved.following
    assert (found.alpha, found.codec, found.chunk, found.memory) == (2.0, "blosc-zstd", (32, 32), saved.plan.memory_limit)
    assert as_planned(found) == found
    assert as_planned(found.model_copy(update={"memory": 2 * found.memory})) == found, "more memory changes nothing"


def test_place_urgency_and_cluster_are_the_jobs_own(saved: Saved, tmp_path: Path) -> None:
    own = {"out": str(tmp_path / "D"), "overwrite": True, "priority": 7, "cluster": "tcp://127.0.0.1:9"}
    found = as_planned(asking(saved, **own))
    assert {name: getattr(found, name) for name in own} == own
    assert as_planned(asking(saved)).cluster == "local"


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"alpha": 3.0}, "was made for alpha 2, not 3"),
        ({"alpha": 1.0}, "was made for alpha 2, not 1"),
        ({"max_error": 1e-6}, "was made for max-error 0.001, not 1e-06"),
        ({"transpose_a": True}, "was made for transpose-a False, not True"),
        ({"codec": "auto"}, "was made for codec blosc-zstd, not auto"),
        ({"chunk": [64, 64]}, "was made for chunk 32,32, not 64,64"),
        ({"precision": "float64"}, "was made for precision float32, not float64"),
        ({"dtype_out": "float64"}, "was made for dtype-out float32, not float64"),
        ({"workers": 9}, "was made for workers 1, not 9"),
        ({"durability": "process"}, "was made for durability power, not process"),
        ({"allow_nonfinite": True}, "was made for allow-nonfinite False, not True"),
        ({"store": "triangle"}, "was made for store full, not triangle"),
        ({"seal": "key"}, "was made for seal none, not key"),
        ({"out": "s3://lab/C"}, "was made for an OUT among files, but s3://lab/C is among objects"),
    ],
)
def test_what_contradicts_the_plan_is_named(saved: Saved, said: dict[str, object], named: str) -> None:
    with pytest.raises(BadInput) as caught:
        as_planned(asking(saved, **said))
    assert named in str(caught.value) and str(saved.path) in str(caught.value) and "analyze again" in str(caught.value)


def test_other_inputs_are_named_and_other_names_of_them_are_not(saved: Saved, tmp_path: Path) -> None:
    shutil.copy(saved.job.a, tmp_path / "copy.npy")
    (tmp_path / "link.npy").symlink_to(saved.job.a)
    with pytest.raises(BadInput, match=r"made for a .*A\.npy, not .*copy\.npy"):
        as_planned(asking(saved, a=str(tmp_path / "copy.npy")))
    with pytest.raises(BadInput, match=r"made for b .*B\.npy, not .*A\.npy"):
        as_planned(asking(saved, b=saved.job.a))
    with pytest.raises(BadInput, match="made for beta 0, not 1"):
        as_planned(asking(saved, add=str(tmp_path / "C0.npy"), beta=1.0))
    assert as_planned(asking(saved, a=str(tmp_path / "link.npy"))).a == saved.job.a
    assert as_planned(asking(saved, a=f"{tmp_path}/../{tmp_path.name}/A.npy")).a == saved.job.a


def test_to_ask_for_what_the_plan_decided_is_no_contradiction(saved: Saved) -> None:
    decided = {name: of(saved.plan) for name, of in DECIDED.items()}
    decided = {name: value for name, value in decided.items() if value is not None}
    assert as_planned(asking(saved, **decided)) == saved.following


def test_less_memory_is_refused_with_both_sizes(saved: Saved) -> None:
    with pytest.raises(TooLittleMemory, match=r"memory is 1\.00 GiB but .*P\.json was made for 2\.00 GiB: give at least that"):
        as_planned(asking(saved, memory="1GiB"))
    assert as_planned(asking(saved, memory="3GiB")).memory == saved.plan.memory_limit


def test_every_field_is_free_or_compared(saved: Saved) -> None:
    """A field that a job gets later is compared, unless somebody puts it among the free ones."""
    assert set(Job.model_fields) >= FREE and set(Job.model_fields) - FREE >= set(DECIDED)
    assert {field.name for field in fields(Plan)} >= set(DECIDED) - {"precision"}
    assert replace(saved, job=saved.job).following.plan == str(saved.path)
