"""Plans that cannot be run, and files that are none: rows of `test_bad_input`, each with a plan that was saved before."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

import flows.cli
from tasks.hardware import host_fingerprint, recall, remember
from tasks.plan_file import digest_of
from tests.bad_input_table import MULTIPLY, Row
from tests.bad_input_world import World

SAVE = "analyze A.zarr B.zarr --memory 1GiB --max-error 1e-3 --alpha 2 --quiet --save-plan P"
RUN = f"{MULTIPLY} --plan P"


def saved(then: Callable[[World], Any] = lambda world: None) -> Callable[[World], None]:
    """A plan in P, and what happens after it was saved."""

    def prepare(world: World) -> None:
        assert flows.cli.run(SAVE.split()) == 0
        then(world)

    return prepare


def edited(change: Callable[[dict[str, Any]], object], signed: bool = False) -> Callable[[World], None]:
    def edit(world: World) -> None:
        path = world.folder / "P"
        content = json.loads(path.read_text())
        change(content)
        if signed:
            del content["digest"]
            content["digest"] = digest_of(content)
        path.write_text(json.dumps(content))

    return saved(edit)


def fewer_cores(world: World) -> None:
    """The calibration of a machine with one core."""
    here = recall(host_fingerprint("cpu"))
    assert here is not None
    one = [layout.__class__(**layout.__dict__ | {"workers": 1}) for layout in here.layouts if layout.threads == 1]
    remember(here.__class__(**here.__dict__ | {"layouts": tuple(one), "cores": 1}))


def two_workers(content: dict[str, Any]) -> None:
    content["plan"]["workers"] = content["hardware"]["workers"] = 2


def batch(world: World) -> None:
    world.text("jobs.yaml", "- {a: A.zarr, b: B.zarr, out: C.zarr, plan: P, alpha: 3}\n")


PLANS = [
    Row("no such plan", f"{MULTIPLY} --plan no.json", 2, ("no.json cannot be read (No such file or directory)", "check the path")),
    Row("a plan that is a folder", f"{MULTIPLY} --plan A.zarr", 2, ("A.zarr is no file", "--save-plan")),
    Row("a plan that is a matrix", f"{MULTIPLY} --plan x.npy", 2, ("x.npy is no plan",), lambda w: w.npy("x.npy", np.ones((2, 2)))),
    Row("a plan that is a report", f"{MULTIPLY} --plan r.json", 2, ("r.json is no plan",), lambda w: w.text("r.json", '{"schema": 1}')),
    Row("a plan in a bucket", f"{MULTIPLY} --plan s3://lab/P", 2, ("s3://lab/P is a URL", "copy it")),
    Row("an empty path of a plan", f"{MULTIPLY} --plan ", 2, ("empty",)),
    Row("a plan of another schema", RUN, 2, ("P has schema 9", "reads 1"), edited(lambda c: c.update(schema=9), signed=True)),
    Row("an edited plan", RUN, 2, ("P was edited or damaged", "analyze again"), edited(lambda c: c["plan"].update(workers=5))),
    Row("half a plan", RUN, 2, ("P is no whole plan (plan is missing)",), edited(lambda c: c.pop("plan"), signed=True)),
    Row(
        "a plan of another version",
        RUN,
        3,
        ("P was made by gemmflow 0.0.1, this is",),
        edited(lambda c: c["versions"].update(gemmflow="0.0.1"), signed=True),
    ),
    Row("another A", "multiply C0.zarr B.zarr C.zarr --plan P", 2, ("was made for a", "A.zarr, not", "C0.zarr"), saved()),
    Row("another alpha", f"{RUN} --alpha 3", 2, ("P was made for alpha 2, not 3", "leave that out"), saved()),
    Row("another max-error", f"{RUN} --max-error 1e-6", 2, ("P was made for max-error 0.001, not 1e-06",), saved()),
    Row("a transposed A", f"{RUN} --transpose-a", 2, ("P was made for transpose-a False, not True",), saved()),
    Row("less memory than the plan", f"{RUN} --memory 512MiB", 3, ("memory is 512 MiB", "P was made for 1.00 GiB", "at least"), saved()),
    Row("a gram by the plan of a product", "gram A.zarr C.zarr --plan P", 2, ("was made for b",), saved()),
    Row(
        "A was written to since",
        RUN,
        3,
        ("A.zarr was written to since", "P was made: analyze again"),
        saved(lambda w: w.put("A.zarr", (0, 0), 7.0)),
    ),
    Row(
        "A has another shape since",
        RUN,
        3,
        ("A.zarr is 8 x 4 float32 in chunks of 2 x 2, it was 6 x 4 float32",),
        saved(lambda w: (w.remove("A.zarr"), w.zarr("A.zarr", np.ones((8, 4), "float32")))),
    ),
    Row(
        "fewer cores than the plan",
        RUN,
        3,
        ("P needs 2 workers of 1 thread, there is room for 1 here",),
        lambda w: (edited(two_workers, signed=True)(w), fewer_cores(w)),
    ),
    Row(
        "a plan that promises too much",
        RUN,
        2,
        ("P promises an error of",),
        edited(lambda c: c["plan"].update(max_error=1e-9), signed=True),
    ),
    Row("to look at a plan that was edited", "analyze A.zarr B.zarr --plan P", 2, ("edited",), edited(lambda c: c["plan"].update(seed=5))),
    Row("a plan saved nowhere", "analyze A.zarr B.zarr --save-plan no/P", 2, ("--save-plan", "/no does not exist", "create it")),
    Row("a batch that contradicts its plan", "batch jobs.yaml", 2, ("plan: ", "was made for alpha 2, not 3"), saved(batch)),
]
