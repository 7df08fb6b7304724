"""The limit of a GPU host is a limit on the server; that it is held and given back on a real one is in test_deploy."""

import socket
from contextlib import contextmanager, nullcontext
from pathlib import Path

import httpx
import pytest

from flows import batch_artifacts, limited
from flows.batch_entry import Entry
from flows.gpu import gpu_limit, gpu_slot, takes_gpus
from flows.sending import Sender
from flows.steps import Tell, tell_nobody
from tasks.job import make_job
from tasks.report import Report
from tests.tasks.builders import Scene, report


@pytest.mark.parametrize(("cluster", "takes"), [("local", False), ("cuda", True), ("tcp://127.0.0.1:8786", False)])
def test_only_workers_on_this_hosts_gpus_take_them(cluster: str, takes: bool) -> None:
    assert takes_gpus(cluster) is takes


@pytest.mark.parametrize("kind", ["local", "cuda"])
def test_a_cluster_file_takes_what_its_kind_takes(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "here.yaml"
    file.write_text(f"kind: {kind}\n")
    assert takes_gpus(str(file)) is (kind == "cuda")


def test_the_limit_has_the_name_of_the_host() -> None:
    assert gpu_limit() == f"gemmflow-gpu-{socket.gethostname()}"
    assert gpu_limit("node7") == "gemmflow-gpu-node7"


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the limits that are held, in this order."""
    import prefect.concurrency.sync

    names: list[str] = []

    @contextmanager
    def note(name: str, occupy: int):
        assert occupy == 1
        names.append(name)
        yield

    monkeypatch.setattr(prefect.concurrency.sync, "concurrency", note)
    return names


@pytest.mark.parametrize("failure", [None, ValueError("in the run")])
def test_a_slot_that_cannot_be_given_back_changes_nothing(failure: Exception | None, monkeypatch: pytest.MonkeyPatch) -> None:
    import prefect.concurrency.sync

    given_back = []

    @contextmanager
    def lost(name: str, occupy: int):
        yield
        given_back.append(name)
        raise ConnectionError("no server")

    monkeypatch.setattr(prefect.concurrency.sync, "concurrency", lost)
    with nullcontext() if failure is None else pytest.raises(ValueError, match="in the run"), gpu_slot("cuda"):
        if failure is not None:
            raise failure
    assert given_back == [gpu_limit()]


@pytest.mark.parametrize(("error", "goes_on"), [(httpx.ConnectError("nobody there"), True), (ValueError("a wrong limit"), False)])
def test_a_server_that_cannot_be_asked_costs_the_limit_only(error: Exception, goes_on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import prefect.concurrency.sync

    @contextmanager
    def away(name: str, occupy: int):
        raise error
        yield

    monkeypatch.setattr(prefect.concurrency.sync, "concurrency", away)
    done: list[int] = []
    with nullcontext() if goes_on else pytest.raises(ValueError, match="a wrong limit"), gpu_slot("cuda"):
        done.append(1)
    assert done == [1] * goes_on


CLUSTERS = pytest.mark.parametrize(("cluster", "asked"), [("local", []), ("cuda", [gpu_limit()])])


@CLUSTERS
def test_the_server_is_asked_only_for_gpus(cluster: str, asked: list[str], held: list[str]) -> None:
    with gpu_slot(cluster):
        assert held == asked


@CLUSTERS
def test_a_job_of_a_batch_waits_for_the_gpus_as_a_single_run_does(
    cluster: str, asked: list[str], held: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = report(Scene(grid=(2, 2)))
    monkeypatch.setattr(batch_artifacts, "Task", lambda function, **_: function)
    monkeypatch.setattr(limited, "answers", lambda: True)

    def compute(entry: Entry, tell: Tell) -> Report:
        assert held == asked and entry.job.cluster == cluster and tell is tell_nobody
        return made

    entry = Entry(name="one", job=make_job(a="/A", b="/B", out="/C", cluster=cluster))
    assert batch_artifacts.as_task(compute, Sender())(entry) is made
