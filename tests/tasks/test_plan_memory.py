"""Counted again from its decisions, a plan needs what the planner said: for any shape, type, symmetry, layout and guarantee."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import BadInput, Refused
from tasks.following import _of_promise
from tasks.plan_memory import candidate_of, held_by
from tasks.planner import make_plan
from tests.tasks.machines import GIB, MIB, hardware, job, problem

edges = st.integers(1, 30_000)
MACHINES = (hardware((2, 1), (1, 2)), hardware((4, 1)), hardware((1, 4), device="cuda", device_memory=2 * GIB))
WAYS = (
    {},
    {"guarantee": "measured", "max_error": 1e-2},
    {"codec": "none", "chunk": (512, 512)},
    {"shard": (2048, 2048)},
    {"durability": "process", "codec": "smallest"},
    {"out": "s3://lab/C"},
    {"seal": "key"},
    {"max_error": 1e-9},
)


@settings(max_examples=120, deadline=None)
@given(
    shape=st.tuples(edges, edges, edges),
    dtypes=st.sampled_from([("float32", "float32"), ("float64", "float32"), ("int8", "int8"), ("float16", "float16")]),
    machine=st.sampled_from(MACHINES),
    way=st.sampled_from(WAYS),
    memory=st.integers(700, 6000),
    symmetry=st.sampled_from(["none", "full", "triangle"]),
)
def test_it_is_what_the_planner_counted(shape, dtypes, machine, way, memory, symmetry) -> None:
    if symmetry != "none":
        shape, dtypes = (shape[0], shape[1], shape[0]), (dtypes[0], dtypes[0])
    chunks = (min(1024, shape[0]), min(1024, shape[1])), (min(1024, shape[1]), min(1024, shape[2]))
    asked = job(memory=memory * MIB, cluster="cuda" if machine.device == "cuda" else "local", **way)
    seen = replace(problem(shape, dtypes, chunks), symmetry=symmetry)
    try:
        plan = make_plan(asked, seen, machine)
    except (BadInput, Refused):
        return
    layout = machine.layout(plan.workers, plan.threads_per_worker)
    held = held_by(asked, seen, plan, layout)
    assert plan.workers * held.host == plan.predicted.peak_memory_bytes <= plan.memory_limit
    assert (held.device <= machine.device_memory_bytes) if plan.device == "cuda" else held.device == 0
    way = candidate_of(asked, plan, layout)
    assert (way.grid, way.slots, way.residency) == (plan.grid, plan.slots, plan.residency)
    asked = asked.model_copy(update={"store": "triangle" if symmetry == "triangle" else "full"})
    assert [*_of_promise(asked, seen, machine, plan)] == [], "what is looked at in a file holds for every plan that is made"


@pytest.mark.parametrize("more", [100 * MIB, GIB])
def test_a_larger_interpreter_is_counted_for_each_worker(more: int) -> None:
    machine, seen = hardware((2, 1)), problem((5000, 5000, 5000))
    asked = job(memory=4 * GIB)
    plan = make_plan(asked, seen, machine)
    (layout,) = machine.layouts
    heavier = replace(layout, base_bytes=layout.base_bytes + more)
    assert held_by(asked, seen, plan, heavier).host - held_by(asked, seen, plan, layout).host == more
