from pathlib import Path
from typing import Any

import pytest

from flows.agent.faults import AgentError
from flows.agent.gate import Gate
from flows.agent.roots import open_roots
from flows.agent.store import Store
from tasks.errors import BadInput
from tests.flows.agent.agents import a_plan
from tests.flows.agent.test_runs import a_request

JOB = {"a": "A.zarr", "b": "B.zarr", "out": "C.zarr"}


@pytest.fixture
def gate(root: Path) -> Gate:
    return Gate(open_roots([str(root)]))


def test_a_job_gets_whole_paths_and_nothing_else(gate: Gate, root: Path) -> None:
    fields = gate.judge({**JOB, "max_error": 1e-3, "memory": "1GiB", "add": None})
    places = {name: str(root / f"{name.upper()}.zarr") for name in ("a", "b")}
    assert fields == {**places, "out": str(root / "C.zarr"), "max_error": 1e-3, "memory": 2**30}
    assert gate.judge(fields) == fields


@pytest.mark.parametrize("name", ["a", "b", "out", "add"])
def test_every_place_is_judged(gate: Gate, name: str) -> None:
    with pytest.raises(AgentError) as refused:
        gate.judge({**JOB, "beta": 1.0, name: "../x"})
    assert refused.value.fault.code == "outside_roots"


@pytest.mark.parametrize("cluster", ["tcp://host:8786", "own.yaml", "/etc/cluster.yaml", "slurm", 7, ["local"], ""])
def test_a_cluster_is_one_that_the_operator_named(gate: Gate, cluster: object) -> None:
    """The file of a cluster names a class that is imported, and an address is connected to."""
    with pytest.raises(AgentError) as refused:
        gate.judge({**JOB, "cluster": cluster})
    assert refused.value.fault.code == "not_allowed"


def test_what_the_operator_allows_is_allowed(root: Path) -> None:
    gate = Gate(open_roots([str(root)]), clusters=("local", "tcp://host:8786"), overwrite=True)
    fields = gate.judge({**JOB, "cluster": "tcp://host:8786", "overwrite": True})
    assert (fields["cluster"], fields["overwrite"]) == ("tcp://host:8786", True)


def test_nothing_is_overwritten_unless_the_operator_allows_it(gate: Gate) -> None:
    with pytest.raises(AgentError, match="overwrite is not allowed"):
        gate.judge({**JOB, "overwrite": True})
    assert gate.judge({**JOB, "overwrite": False})["overwrite"] is False


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"speed": 9}, "no field of a job"),
        ({"memory": "1MiB"}, "no worker fits"),
        ({"max_error": "x"}, "max_error"),
        ({"a": None}, "a is missing"),
    ],
)
def test_a_job_that_is_none_is_refused(gate: Gate, change: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        gate.judge({**JOB, **change})


def test_a_kept_plan_is_judged_again(gate: Gate, store: Store, root: Path, tmp_path: Path) -> None:
    plan = a_plan(store, root)
    gate.judge_kept(plan)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(AgentError, match="is not in"):
        Gate(open_roots([str(other)])).judge_kept(plan)
    (root / "D.zarr").mkdir()
    (root / "A.zarr").symlink_to(root / "D.zarr")
    with pytest.raises(AgentError, match=r"A.zarr became a link"):
        gate.judge_kept(plan)


@pytest.mark.parametrize(
    ("limits", "price", "code"),
    [
        ({"max_seconds": 9.9}, None, "over_limit"),
        ({"max_seconds": 101.0}, None, "over_limit"),
        ({"max_seconds": 60.0, "max_usd": 1.0}, None, "no_price"),
        ({"max_seconds": 60.0, "max_usd": 0.09}, 36.0, "over_limit"),
        ({"max_seconds": 60.0}, None, None),
        ({"max_seconds": 60.0, "max_usd": 0.11}, 36.0, None),
    ],
)
def test_predictions_are_held_against_limits(
    store: Store, root: Path, limits: dict[str, float], price: float | None, code: str | None
) -> None:
    gate = Gate(open_roots([str(root)]), max_seconds=100.0)
    request = a_request(store, root, kept=a_plan(store, root, usd_per_hour=price), **limits)
    if code is None:
        gate.judge_limits(request)
        return
    with pytest.raises(AgentError) as refused:
        gate.judge_limits(request)
    assert refused.value.fault.code == code
