"""A run above its limits waits in Prefect with its plan, holds nothing, and does as it is told."""

import urllib.error
from pathlib import Path

import pytest

from storage import read_certificate
from tests.flows.processes import wait_until
from tests.flows.test_serve import api, request  # noqa: F401 - a fixture

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(250)]


@pytest.fixture
def waiting(api: str, tmp_path: Path, small_inputs: tuple[Path, Path]) -> tuple[str, str]:  # noqa: F811
    """API and id of a run that asks."""
    deployment = request(f"{api}/deployments/name/multiply/multiply")
    job = {"a": str(small_inputs[0]), "b": str(small_inputs[1]), "out": str(tmp_path / "C.zarr")}
    parameters = {"job": job, "ask_above": {"seconds": 0}}
    run = request(f"{api}/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters, "state": {"type": "SCHEDULED"}})
    wait_until(lambda: state(api, run["id"])["type"] in ("PAUSED", "FAILED", "CRASHED", "COMPLETED"), 120)
    wait_until(lambda: asks(api, run["id"]), 60)
    return api, run["id"]


def asks(api: str, run: str) -> bool:  # noqa: F811
    """Whether the question is there: Prefect says that a run is suspended, and writes the question then."""
    keys = state(api, run)["state_details"]["run_input_keyset"]
    try:
        return all(request(f"{api}/flow_runs/{run}/input/{keys[key]}") for key in ("schema", "description"))
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return False


def state(api: str, run: str) -> dict:  # noqa: F811
    return request(f"{api}/flow_runs/{run}")["state"]


def answer(api: str, run: str, proceed: bool) -> dict:  # noqa: F811
    said = request(f"{api}/flow_runs/{run}/resume", {"run_input": {"proceed": proceed}})
    assert said["status"] == "ACCEPT", said
    wait_until(lambda: state(api, run)["type"] in ("FAILED", "CRASHED", "COMPLETED"), 120)
    return state(api, run)


def test_yes_carries_the_plan_out(waiting: tuple[str, str], tmp_path: Path) -> None:
    found = state(*waiting)
    assert (found["type"], found["name"]) == ("PAUSED", "Suspended")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("C")] == []
    assert answer(*waiting, True)["type"] == "COMPLETED"
    assert read_certificate(tmp_path / "C.zarr")["plan"]["shape"] == [4, 5, 6]


def test_no_ends_the_run_and_nothing_is_written(waiting: tuple[str, str], tmp_path: Path) -> None:
    ended = answer(*waiting, False)
    assert ended["type"] == "FAILED" and "the plan was not approved (time: " in ended["message"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("C")] == []


def test_the_question_shows_the_plan_and_wants_an_answer(waiting: tuple[str, str]) -> None:
    api, run = waiting  # noqa: F811
    keys = state(api, run)["state_details"]["run_input_keyset"]
    text = str(request(f"{api}/flow_runs/{run}/input/{keys['description']}"))
    assert "**4x5x6 float32** would take" in text and "- time: " in text and "| peak memory |" in text
    schema = request(f"{api}/flow_runs/{run}/input/{keys['schema']}")
    assert "proceed" in str(schema)
    assert request(f"{api}/flow_runs/{run}/resume", {"run_input": {"proceed": "perhaps"}})["status"] == "REJECT"
