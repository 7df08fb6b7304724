"""A plan survives its file, whatever it holds; and what is no such file is named."""

import json
import os
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import plan_file as module
from tasks.errors import BadInput, Refused
from tasks.forecast import Data
from tasks.plan import Choice, Inputs, Plan, Prediction, Rung, Skipped, TileShape
from tasks.plan_file import KIND, Input, Machine, PlanFile, digest_of, read_plan_file, text_of
from tasks.rounding import Rounding
from tests.tasks.builders import Scene, plan
from tests.tasks.plan_files import save

GOLDEN = Path(__file__).parents[1] / "golden" / "plan-schema-1.json"

numbers = st.floats(0, 1e300)
counts = st.integers(0, 2**62)
edges = st.integers(1, 2**40)
pairs = st.tuples(edges, edges)
text = st.text(max_size=20)
lanes = st.dictionaries(st.sampled_from(["read", "multiply", "write"]), numbers)
arithmetics = st.sampled_from(["float32", "float64", "bfloat16"])


def maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


predictions = st.builds(
    Prediction,
    seconds=numbers,
    lanes=lanes,
    bytes_read=counts,
    bytes_written=counts,
    peak_memory_bytes=counts,
    memory_items=st.dictionaries(text, counts, max_size=3),
    error_bound=numbers,
    seconds_interval=maybe(st.tuples(numbers, numbers)),
    correction=numbers,
    lane_corrections=lanes,
    bytes_of_sums=counts,
)
choices = st.builds(Choice, arithmetics, numbers | st.just(float("inf")), numbers | st.just(float("inf")), text, numbers, maybe(numbers))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    found = draw(
        st.builds(
            Plan,
            shape=st.tuples(edges, edges, edges),
            arithmetic=arithmetics,
            kernel=text,
            dtype_out=st.sampled_from(["float32", "int64"]),
            exact=st.booleans(),
            tile=st.builds(TileShape, edges, edges, edges),
            grid=st.tuples(edges, edges, edges),
            residency=st.sampled_from("CAB"),
            slots=pairs,
            device=st.sampled_from(["cpu", "cuda"]),
            workers=edges,
            threads_per_worker=edges,
            chunk=pairs,
            codec=text,
            memory_limit=counts,
            max_error=numbers,
            predicted=predictions,
            lower_bound_bytes=counts,
            choices=st.lists(choices, max_size=2).map(tuple),
            probes=edges,
            seed=counts,
            warnings=st.lists(text, max_size=2).map(tuple),
            shard=maybe(pairs),
            rounding=st.builds(Rounding, st.sampled_from(["no", "auto"]), numbers, text),
            guarantee=st.sampled_from(["certified", "measured"]),
            fallbacks=st.lists(st.builds(Rung, arithmetics, text, numbers), max_size=2).map(tuple),
            data=maybe(st.builds(Data, numbers, numbers, numbers, counts)),
            parts=edges,
            sums_codec=text,
            skipped=maybe(st.builds(Skipped, counts, counts, counts, counts)),
            symmetry=st.sampled_from(["none", "full", "triangle"]),
            inputs=maybe(st.builds(Inputs, counts, numbers, numbers, numbers)),
            rates=text,
        )
    )
    return replace(found, choices=(*found.choices, Choice(found.arithmetic, 1e-3, 1.0, "chosen")))


machines = st.builds(Machine, text, text, edges, counts, st.sampled_from(["cpu", "cuda"]), edges)
inputs = st.dictionaries(st.sampled_from(["a", "b", "add"]), st.builds(Input, text, pairs, text, pairs, text))
fields = st.dictionaries(text, st.none() | text | numbers | counts | st.lists(counts, max_size=2), max_size=4)


@settings(max_examples=60, deadline=None)
@given(job=fields, inputs=inputs, hardware=machines, made=plans(), others=st.dictionaries(text, text, max_size=2))
def test_any_plan_is_read_back_bit_for_bit(tmp_path_factory, job, inputs, hardware, made, others) -> None:
    path = tmp_path_factory.mktemp("any") / "P.json"
    file = PlanFile(job, "files", inputs, hardware, made, others | {"gemmflow": metadata.version("gemmflow")})
    path.write_text(text_of(file))
    found = read_plan_file(str(path))
    assert found == file
    assert found.plan.inputs == made.inputs and found.plan.rates == made.rates, "which plans are not compared by"
    assert text_of(found) == text_of(file)


def test_the_same_plan_writes_the_same_bytes(tmp_path: Path) -> None:
    saved = save(tmp_path)
    moved = saved.job.model_copy(update={"out": str(tmp_path / "elsewhere"), "priority": 5, "overwrite": True})
    again = text_of(module.plan_file(moved, saved.problem, saved.hardware, saved.plan))
    assert again == saved.path.read_text(), "where OUT is and how urgent it is are no part of a plan"


def a_fixed_one() -> PlanFile:
    """Nothing of it depends on where the test runs."""
    job = {"a": "/data/A.zarr", "b": "/data/B.npy", "alpha": 1.0, "max_error": 1e-3, "chunk": [64, 64]}
    known = {"a": Input("/data/A.zarr", (16384, 16384), "float32", (2048, 2048), "0f")}
    machine = Machine("f00dfeedf00dfeed", "a processor", 2, 2**34, "cpu", 2)
    return PlanFile(job, "files", known, machine, replace(plan(Scene()), rates="f00dfeedf00dfeed"), {"gemmflow": "0.1.0", "torch": "2.0"})


def test_the_format_is_the_golden_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is added to a plan is a diff here; what is renamed or removed needs another schema number."""
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text_of(a_fixed_one()))
    assert text_of(a_fixed_one()) == GOLDEN.read_text()
    monkeypatch.setattr(module.metadata, "version", lambda _: "0.1.0")
    assert read_plan_file(str(GOLDEN)) == a_fixed_one()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content: content.update(schema=2), "has schema 2, this gemmflow reads 1"),
        (lambda content: content.update(kind="a report"), "is no plan: make one with gemmflow analyze"),
        (lambda content: content.pop("inputs"), "is no whole plan (inputs is missing)"),
        (lambda content: content.update(plan=[]), "is no whole plan"),
        (lambda content: content["plan"].pop("tile"), "is no whole plan (tile"),
        (lambda content: content["plan"]["tile"].update(rows=0), "is empty"),
        (lambda content: content["inputs"]["a"].update(more=1), "is no whole plan (a.more"),
        (lambda content: content["hardware"].update(workers="many"), "is no whole plan (workers"),
        (lambda content: content["plan"].update(arithmetic="float31"), "computes in float31, which it does not weigh"),
    ],
)
def test_what_is_no_plan_is_named_though_its_digest_fits(tmp_path: Path, change, says: str) -> None:
    saved = save(tmp_path)
    saved.edit(change)
    with pytest.raises(BadInput) as caught:
        read_plan_file(str(saved.path))
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["plan"].update(workers=7),
        lambda content: content["job"].update(alpha=2.0),
        lambda content: content["inputs"]["a"].update(stamp="0"),
        lambda content: content["plan"]["predicted"].update(seconds=1e-9),
        lambda content: content.pop("digest"),
        lambda content: content.update(digest="sha256:0"),
        lambda content: content.update(more=1),
    ],
)
def test_what_was_edited_is_refused(tmp_path: Path, change) -> None:
    saved = save(tmp_path)
    saved.edit(change, signed=False)
    with pytest.raises(BadInput, match="edited or damaged after it was written"):
        read_plan_file(str(saved.path))


def test_layout_and_order_of_keys_are_no_edit(tmp_path: Path) -> None:
    saved = save(tmp_path)
    before = read_plan_file(str(saved.path))
    content = json.loads(saved.path.read_text())
    saved.path.write_text(json.dumps(dict(reversed(content.items())), indent=7))
    assert read_plan_file(str(saved.path)) == before


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null", '"x"', '{"kind": NaN}', "[" * 100_000, "\ufeff{}", "9" * 5000])
def test_other_files_are_no_plan(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(BadInput, match="is no plan"):
        read_plan_file(str(tmp_path / "x"))


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(module.LARGEST + 1)
    for name, says in {
        "gone": "cannot be read (No such file or directory)",
        ".": "is no file",
        "pipe": "is no file",
        "binary": "is no plan",
        "large": "16777217 bytes",
    }.items():
        with pytest.raises(BadInput) as caught:
            read_plan_file(str(tmp_path / name))
        assert says in str(caught.value)
    with pytest.raises(BadInput, match="is a URL"):
        read_plan_file("s3://lab/P.json")


def test_another_version_of_gemmflow_is_refused(tmp_path: Path) -> None:
    saved = save(tmp_path)
    saved.edit(lambda content: content["versions"].update(gemmflow="9.9"))
    with pytest.raises(Refused, match=r"made by gemmflow 9\.9, this is"):
        read_plan_file(str(saved.path))


def test_the_digest_is_of_everything_else() -> None:
    assert digest_of({"a": 1, "b": [1.5, "x"]}) == digest_of({"b": [1.5, "x"], "a": 1}) != digest_of({"a": 1, "b": [1.5, "y"]})
    assert KIND == "gemmflow plan"
