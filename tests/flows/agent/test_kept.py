import json
import time
from pathlib import Path

import pytest

from flows.agent import kept
from flows.agent.faults import AgentError
from flows.agent.store import Store
from tests.flows.agent.agents import a_plan


def test_a_plan_is_found_under_its_id(store: Store, root: Path) -> None:
    plan = a_plan(store, root, usd_per_hour=36.0)
    first, second = kept.keep(store, plan), kept.keep(store, plan)
    assert first != second
    assert kept.find(store, first) == kept.find(store, second) == plan
    assert plan.usd == pytest.approx(0.1) and a_plan(store, root).usd is None


@pytest.mark.parametrize("forge", [lambda real: "plan-" + "0" * 32, lambda real: real[:-1] + ("0" if real[-1] != "0" else "1"), str.upper])
def test_a_forged_id_is_no_plan(store: Store, root: Path, forge) -> None:
    real = kept.keep(store, a_plan(store, root))
    with pytest.raises(AgentError, match="no plan of this server"):
        kept.find(store, forge(real))


@pytest.mark.parametrize(
    "name", ["", "../runs/x", "plan-" + "0" * 31 + "/", "x" * 9999, "plan-\0", "../../etc/passwd", "plan-" + "0" * 32 + "\n"]
)
def test_a_name_that_is_no_id_is_no_plan(store: Store, name: str) -> None:
    with pytest.raises(AgentError, match="no plan of this server"):
        kept.find(store, name)


def test_a_file_under_another_name_is_no_plan(store: Store, root: Path) -> None:
    real = kept.keep(store, a_plan(store, root))
    other = "plan-" + "1" * 32
    (store.plans / f"{other}.json").write_bytes((store.plans / f"{real}.json").read_bytes())
    with pytest.raises(AgentError, match="no plan of this server"):
        kept.find(store, other)


@pytest.mark.parametrize(
    ("change", "says"), [({"made_at": time.time() - kept.SECONDS - 9}, "older than 7 days"), ({"version": "0.0"}, "by gemmflow 0.0")]
)
def test_an_old_plan_is_refused(store: Store, root: Path, change: dict[str, object], says: str) -> None:
    plan_id = kept.keep(store, a_plan(store, root, **change))
    with pytest.raises(AgentError, match=says):
        kept.find(store, plan_id)


def test_the_file_is_plain_json(store: Store, root: Path) -> None:
    plan_id = kept.keep(store, a_plan(store, root))
    assert json.loads((store.plans / f"{plan_id}.json").read_text())["id"] == plan_id
