"""A plan that is run is the one of the file, or nothing runs; and what it rests on is looked at."""

import doctest
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from storage import Start, create_staging, find_staging
from storage.journal import Record
from tasks import following
from tasks.errors import BadInput, Refused, TooLittleMemory
from tasks.following import difference, follow_or_plan
from tasks.hardware import Hardware
from tasks.plan import Plan
from tasks.prepare import product_spec
from tasks.resume import input_stamps, run_record, tile_record
from tasks.survey import survey
from tests.tasks.builders import Scene, report
from tests.tasks.machines import GIB, hardware
from tests.tasks.plan_files import Saved, save


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    return save(tmp_path)


def follow(saved: Saved, machine: Hardware | None = None, **changes: object) -> Plan:
    job = saved.following.model_copy(update=changes)
    return follow_or_plan(job, survey(job), machine or saved.hardware)


def test_the_examples_hold() -> None:
    assert doctest.testmod(following).failed == 0


def test_nothing_is_planned_again(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "plan_or_resume", lambda *_: pytest.fail("planned"))
    found = follow(saved)
    assert found == saved.plan and found.predicted == saved.plan.predicted and found.warnings == saved.plan.warnings


def test_a_plan_that_nobody_would_make_today_is_followed(saved: Saved) -> None:
    """Other rates would give another plan; the file's is run."""
    saved.edit(lambda content: content["plan"].update(tile={"rows": 30, "cols": 50, "depth": 20}, grid=[2, 1, 2], parts=2, chunk=[15, 50]))
    found = follow(saved)
    assert (found.tile.rows, found.grid, found.parts) == (30, (2, 1, 2), 2)
    assert found != follow_or_plan(saved.job, saved.problem, saved.hardware)


def test_without_a_file_a_plan_is_made(saved: Saved) -> None:
    assert follow_or_plan(saved.job, saved.problem, saved.hardware) == saved.plan


def test_the_planned_job_is_asked_for(saved: Saved) -> None:
    """Who calls the stages by hand must have given the job through `as_planned`."""
    with pytest.raises(BadInput, match="made for alpha 1, not 2"):
        follow(saved, alpha=2.0)
    with pytest.raises(TooLittleMemory, match=r"memory is 1\.00 GiB but .* was made for 2\.00 GiB"):
        follow(saved, memory=GIB)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a: np.ones((61, 40), "float32"), "A.npy is 61 x 40 float32 in chunks of"),
        (lambda a: a.astype("float64"), "float64 in chunks of"),
        (lambda a: a + 1, "A.npy was written to since"),
    ],
)
def test_inputs_that_changed_are_named(saved: Saved, change, says: str) -> None:
    np.save(saved.job.a, change(np.load(saved.job.a)))
    with pytest.raises(Refused) as caught:
        follow(saved)
    assert says in str(caught.value) and "analyze again with --save-plan" in str(caught.value)


def test_an_input_that_was_only_touched_is_named(saved: Saved) -> None:
    status = Path(saved.job.b).stat()
    os.utime(saved.job.b, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    with pytest.raises(Refused, match=r"B\.npy was written to since .*P\.json was made"):
        follow(saved)


def without(machine: Hardware, arithmetic: str, kernel: str) -> Hardware:
    layouts = []
    for layout in machine.layouts:
        gemm = {
            name: {key: rate for key, rate in of.items() if (name, key) != (arithmetic, kernel)} for name, of in layout.rates.gemm.items()
        }
        layouts.append(replace(layout, rates=replace(layout.rates, gemm=gemm)))
    return replace(machine, layouts=tuple(layouts))


def uncoded(machine: Hardware, codec: str) -> Hardware:
    layouts = []
    for layout in machine.layouts:
        encode = {name: rate for name, rate in layout.rates.encode.items() if name != codec}
        layouts.append(replace(layout, rates=replace(layout.rates, encode=encode)))
    return replace(machine, layouts=tuple(layouts))


def heavier(machine: Hardware, base: int) -> Hardware:
    return replace(machine, layouts=tuple(replace(layout, base_bytes=base) for layout in machine.layouts))


def test_a_machine_that_cannot_is_refused_with_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = save(tmp_path, codec="blosc-zstd")
    saved.edit(lambda content: (content["plan"].update(workers=2), content["hardware"].update(workers=2)))
    assert follow(saved).workers == 2
    cases = {
        "needs 2 workers of 1 thread, there is room for 1 here": hardware((1, 1)),
        "needs 2 workers of 1 thread, there is room for 0 here": hardware((1, 2)),
        "computes on cpu, the workers of cluster local on cuda": replace(saved.hardware, device="cuda"),
        f"multiplies in float32 by {saved.plan.kernel}, which these workers cannot": without(saved.hardware, "float32", saved.plan.kernel),
        "compresses by blosc-zstd, which these workers cannot": uncoded(saved.hardware, "blosc-zstd"),
        "1.50 GiB a worker for interpreter and libraries, and may use 2.00 GiB": heavier(saved.hardware, 3 * GIB // 2),
    }
    for says, machine in cases.items():
        with pytest.raises(Refused) as caught:
            follow(saved, machine)
        assert says in str(caught.value) and "analyze again" in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.setattr(following, "installed_memory", lambda: 2**20)
    with pytest.raises(Refused, match=r"this machine has 1\.00 MiB: analyze again with less --memory"):
        follow(saved)


def test_a_device_with_less_free_memory_is_refused(tmp_path: Path) -> None:
    saved = save(tmp_path, cluster="cuda", machine=hardware((1, 4), device="cuda", device_memory=GIB))
    assert follow(saved) == saved.plan and saved.plan.device == "cuda"
    with pytest.raises(Refused, match=r"of each device, 64\.0 KiB are free there"):
        follow(saved, replace(saved.hardware, device_memory_bytes=2**16))


def test_more_workers_than_cores_that_were_asked_for_are_no_objection(tmp_path: Path) -> None:
    saved = save(tmp_path, workers=3, chunk=[8, 8])
    assert saved.plan.workers > max(layout.workers for layout in saved.hardware.layouts)
    assert follow(saved) == saved.plan


def test_another_kind_of_machine_is_a_warning(saved: Saved) -> None:
    (told,) = follow(saved, replace(saved.hardware, processor="another one")).warnings[len(saved.plan.warnings) :]
    assert told.startswith("planned on a processor, run on another one: the times predicted are not those of this machine")
    (told,) = follow(saved, replace(saved.hardware, fingerprint="beef")).warnings[len(saved.plan.warnings) :]
    assert told.startswith("planned by another calibration (f00d, now beef)")
    saved.edit(lambda content: content["versions"].update(torch="1.0"))
    (told,) = follow(saved).warnings[len(saved.plan.warnings) :]
    assert told.startswith("planned with torch 1.0 not ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda plan: plan["choices"][_place(plan)].update(bound=1e-30), "promises an error of 1e-30 of 0.001 asked"),
        (lambda plan: plan.update(max_error=0.5), "promises an error"),
        (lambda plan: plan.update(exact=True), "promises an error"),
        (lambda plan: plan.update(guarantee="measured"), "promises an error"),
        (lambda plan: plan["rounding"].update(mode="auto", share=0.1), "promises an error"),
        (lambda plan: plan.update(dtype_out="float64"), "promises an error"),
        (
            lambda plan: plan.update(arithmetic="bfloat16x3", kernel="torch"),
            "multiplies in bfloat16x3 by torch, which these workers cannot",
        ),
        (lambda plan: plan.update(arithmetic="bfloat16", kernel="torch"), "computes in bfloat16: certifies 0.012, more than 0.001"),
        (lambda plan: plan.update(symmetry="full"), "computes a product of symmetry full, and it has none"),
        (lambda plan: plan.update(grid=[1, 1, 7]), "blocks, and should not"),
        (
            lambda plan: plan.update(tile=plan["tile"] | {"rows": 30}, grid=[2, *plan["grid"][1:]], chunk=[20, 50]),
            "cuts files of 20 x 50 by",
        ),
        (lambda plan: plan.update(shape=[60, 40, 51]), "covers a product of 60 x 40 x 51"),
        (lambda plan: plan.update(fallbacks=[{"arithmetic": "float64", "kernel": "torch", "bound": 0.0}]), "promises 0 in float64"),
    ],
)
def test_a_forged_plan_promises_nothing(saved: Saved, change, says: str) -> None:
    """Anybody can make a digest that fits; nobody gets a certificate that does not hold by it."""
    saved.edit(lambda content: change(content["plan"]))
    with pytest.raises((BadInput, Refused)) as caught:
        follow(saved)
    assert says in str(caught.value)


def _place(plan: dict[str, object]) -> int:
    return [choice["arithmetic"] for choice in plan["choices"]].index(plan["arithmetic"])


def began(saved: Saved, plan: Plan, *done: Record) -> None:
    spec = product_spec(saved.job, saved.problem, plan)
    record = run_record(saved.job, input_stamps(saved.problem), plan, spec)
    create_staging(Path(saved.job.out), spec, "power", "r1", Start((record, *done)))


def test_an_unfinished_run_of_the_same_plan_is_gone_on_with(saved: Saved) -> None:
    later = replace(saved.plan, predicted=replace(saved.plan.predicted, seconds=9.0), warnings=("told then",))
    began(saved, later)
    assert follow(saved) == later, "what was predicted then is what its journal says"


def test_an_unfinished_run_of_another_plan_is_refused_and_kept(saved: Saved) -> None:
    began(saved, replace(saved.plan, workers=7), tile_record(report(Scene(grid=(1, 1))).outcome.measurements[0]))
    before = sorted(str(path) for path in Path(saved.job.out).parent.iterdir())
    with pytest.raises(Refused, match=r"unfinished run \(r1\) of another plan than .*P\.json, its workers is 7, there 1: leave --plan out"):
        follow(saved)
    assert sorted(str(path) for path in Path(saved.job.out).parent.iterdir()) == before


@pytest.mark.parametrize("asked", [{}, {"out_of": {"max_error": 1e-2}}, {"plan": {"workers": 7}}])
def test_an_unfinished_run_that_finished_nothing_stands_in_no_plans_way(saved: Saved, asked: dict[str, dict[str, object]]) -> None:
    plan = replace(saved.plan, **asked.get("plan", {}))
    began(replace(saved, job=saved.job.model_copy(update=asked.get("out_of", {}))), plan)
    assert follow(saved) == saved.plan
    assert follow(saved).warnings == saved.plan.warnings
    assert find_staging(Path(saved.job.out)) is not None, "who only plans removes nothing"


def test_decisions_differ_and_words_do_not(saved: Saved) -> None:
    plan = saved.plan
    assert difference(plan, replace(plan, warnings=("x",), choices=(), rates="y")) == ""
    assert difference(plan, replace(plan, codec="none", seed=1)) == "codec is auto, there none"
