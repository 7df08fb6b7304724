"""Clusters that files describe: opened, waited for, closed; what ran before is left alone; what goes wrong is one line."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from threading import Timer
from typing import ClassVar

import pytest
from distributed import Client, LocalCluster

from tasks import described as module
from tasks.cluster_file import FOLDERS
from tasks.described import described
from tasks.errors import BadInput, GemmflowError

HEARD: list[str] = []

ALONE = """
import asyncio
from distributed import Scheduler

async def serve():
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.finished()

asyncio.run(serve())
"""
"""A scheduler without workers."""


class Pretended:
    """As a cluster class of Dask; keeps what was asked of it."""

    asked: ClassVar[list[object]] = []

    def __init__(self, address: str) -> None:
        self.scheduler_address = address

    def scale(self, n: int) -> None:
        self.asked.append(("scale", n))

    def adapt(self, **limits: int) -> None:
        self.asked.append(("adapt", limits))

    def close(self) -> None:
        self.asked.append("close")


class Unsizable(Pretended):
    def scale(self, n: int) -> None:
        raise OSError(f"no room for {n}\nsee the queue")


class Unclosable(Pretended):
    def close(self) -> None:
        super().close()
        raise TimeoutError("the queue does not answer")


class Quitting(Pretended):
    def __init__(self) -> None:
        raise SystemExit(3)


class Wrapping(Pretended):
    def __init__(self) -> None:
        try:
            raise TypeError("no such argument\nand more")
        except TypeError as error:
            raise RuntimeError("no worker") from error


@pytest.fixture(scope="module")
def running():
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(FOLDERS, str(tmp_path))
    HEARD.clear()
    Pretended.asked = []

    def write(text: str) -> str:
        (tmp_path / "mine.yaml").write_text(text)
        return "mine"

    return write


def test_a_kind_is_passed_on(file) -> None:
    with described(file("kind: cuda"), HEARD.append) as cluster:
        assert cluster == "cuda"


def test_a_scheduler_that_ran_before_is_left_alone(file, running: str) -> None:
    with described(file(f"address: {running}"), HEARD.append) as cluster:
        assert cluster == running
    with Client(running, set_as_default=False) as client:
        assert len(client.scheduler_info(n_workers=-1)["workers"]) == 1


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ("", []),
        ("workers: 1", [("scale", 1)]),
        ("adapt_kwargs: {minimum: 1, maximum: 3, interval: 2s}", [("adapt", {"minimum": 1, "maximum": 3, "interval": "2s"})]),
    ],
)
def test_a_class_is_called_sized_and_closed(file, running: str, more: str, asked: list[object]) -> None:
    text = f"cluster_class: tests.tasks.test_described.Pretended\ncluster_kwargs: {{address: '{running}'}}\n{more}\n"
    with described(file(text), HEARD.append) as cluster:
        assert cluster == running
        assert Pretended.asked == asked
    assert Pretended.asked == [*asked, "close"]


def test_a_real_class_starts_workers_and_ends_them(file) -> None:
    text = "cluster_class: distributed.LocalCluster\nworkers: 2\nwait: {workers: 2, seconds: 60}\n"
    text += "cluster_kwargs: {n_workers: 0, processes: false, dashboard_address: ':0'}"
    with described(file(text), HEARD.append) as cluster, Client(cluster, set_as_default=False) as client:
        assert len(client.scheduler_info(n_workers=-1)["workers"]) == 2
    with pytest.raises(OSError):
        Client(cluster, timeout=1)


def test_workers_that_do_not_come_are_given_up(file, running: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOLD_SECONDS", 0.3)
    text = (
        f"cluster_class: tests.tasks.test_described.Pretended\ncluster_kwargs: {{address: '{running}'}}\nwait: {{workers: 3, seconds: 1}}"
    )
    with pytest.raises(GemmflowError, match=r"1 of 3 workers came to .* within 1.0 s: see why"), described(file(text), HEARD.append):
        pass
    assert Pretended.asked == ["close"]
    assert HEARD and HEARD[0].startswith("waiting for workers: 1 of 3 after 0.")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cluster_class: no_such_package.Cluster", "needs no_such_package.Cluster .* install no-such-package"),
        ("cluster_class: distributed.NoCluster", "distributed has no NoCluster"),
        ("cluster_class: tests.tasks.test_described.Pretended", "does not start: TypeError"),
        ("cluster_class: tests.tasks.test_described.Quitting", "does not start: SystemExit: 3"),
        ("cluster_class: tests.tasks.test_described.Wrapping", "does not start: RuntimeError: no worker; TypeError: no such argument$"),
        ("cluster_class: tests.tasks.test_described.Pretended\ncluster_kwargs: {address: null}", "has the scheduler_address None, not one"),
        (
            "cluster_class: tests.tasks.test_described.Unsizable\ncluster_kwargs: {address: 'tcp://h:1'}\nworkers: 2",
            "does not start: OSError: no room for 2",
        ),
        ("address: tcp://127.0.0.1:1\nwait: {seconds: 1}", "no scheduler answers at tcp://127.0.0.1:1 within 1 s"),
        ("address: foo://127.0.0.1:1\nwait: {seconds: 1}", "foo://127.0.0.1:1 is no address of a scheduler .*: use tcp://host:port"),
    ],
)
def test_what_goes_wrong_is_one_line(file, text: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint) as raised, described(file(text), HEARD.append):
        pass
    assert "\n" not in str(raised.value)
    assert Pretended.asked == (["close"] if "address: '" in text or "null" in text else [])


@pytest.mark.timeout(30)
def test_what_takes_the_call_and_is_silent_is_given_up(file) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        text = file(f"address: {address}\nwait: {{seconds: 1}}")
        with pytest.raises(BadInput, match=f"no scheduler answers at {address} within 1 s"), described(text, HEARD.append):
            pass


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_scheduler_that_stands_still_or_ends_while_workers_are_waited_for_is_named(file, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 1.0)
    for last in (signal.SIGSTOP, signal.SIGKILL):
        with subprocess.Popen([sys.executable, "-c", ALONE], stdout=subprocess.PIPE, text=True) as scheduler:
            assert scheduler.stdout is not None
            address = scheduler.stdout.readline().strip()
            text = file(f"address: {address}\nwait: {{workers: 2, seconds: 40}}")
            (ending := Timer(1.5, scheduler.send_signal, (last,))).start()
            try:
                complaint = f"the scheduler at {address} does not answer any more"
                with pytest.raises(GemmflowError, match=complaint), described(text, HEARD.append):
                    pass
            finally:
                ending.join()
                scheduler.kill()


def test_a_cluster_that_cannot_be_closed_takes_nothing_back(file, running: str) -> None:
    text = f"cluster_class: tests.tasks.test_described.Unclosable\ncluster_kwargs: {{address: '{running}'}}"
    with described(file(text), HEARD.append):
        pass
    assert Pretended.asked == ["close"]
    assert HEARD == ["cluster mine could not be closed, see whether its workers are gone: TimeoutError: the queue does not answer"]


def test_a_scheduler_in_the_clear_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "open.yaml"
    file.write_text(f"cluster_class: {__name__}.Pretended\ncluster_kwargs: {{address: 'tcp://10.0.0.7:8786'}}\nwait: {{seconds: 0.1}}\n")
    told: list[str] = []
    monkeypatch.setattr(module, "_wait", lambda *_: None)
    with described(str(file), told.append) as address:
        assert address == "tcp://10.0.0.7:8786"
    assert told == [f"the scheduler at {address} listens in the clear, and whoever reaches it can run code as you: see GEMMFLOW_TLS"]
