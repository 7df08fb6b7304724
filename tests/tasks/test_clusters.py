"""Clusters open, answer, and leave nothing behind."""

import asyncio
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from threading import Thread

import dask.config
import numpy as np
import psutil
import pytest
import torch
from distributed import Client, Future, LocalCluster, Scheduler, default_client

from tasks import clusters, nvidia, tls
from tasks.clusters import CLUSTERS, ClusterSpec, open_cluster
from tasks.errors import BadInput, ClusterMismatch, GemmflowError, WorkersLost
from tasks.gate import Gate
from tasks.handshake import check_workers
from tasks.job import make_job
from tasks.workspace import release
from tests.tasks.foreign import foreign_worker, wait_until

ROOT = Path(clusters.__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def cluster():
    with open_cluster(ClusterSpec("local", workers=2, threads=3)) as opened:
        yield opened


def pids(cluster) -> set[int]:
    return set(cluster.run_on_workers(os.getpid).values())


def scratch_folders() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).iterdir() if path.name.startswith(("gemmflow-", "dask-"))}


def test_there_are_as_many_worker_processes_as_asked(cluster):
    assert len(cluster.workers) == len(pids(cluster)) == 2
    assert os.getpid() not in pids(cluster)
    assert all(address.startswith("tls://127.0.0.1:") for address in (cluster.address, *cluster.workers))


def test_results_are_keyed_by_worker(cluster):
    assert set(cluster.run_on_workers(divmod, 7, 3)) == set(cluster.workers)
    assert set(cluster.run_on_workers(divmod, 7, 3).values()) == {(2, 1)}
    assert set(cluster.run_on_workers(int, "ff", base=16).values()) == {255}


def test_a_call_runs_on_all_workers_at_the_same_time(cluster):
    start = time.perf_counter()
    cluster.run_on_workers(time.sleep, 1)
    assert time.perf_counter() - start < 1.9


def test_what_the_function_raises_is_raised(cluster):
    with pytest.raises(ZeroDivisionError):
        cluster.run_on_workers(divmod, 1, 0)
    with pytest.raises(TimeoutError, match="mine"):
        cluster.run_on_workers(raise_timeout)


def raise_timeout() -> None:
    raise TimeoutError("mine")


def test_workers_have_loaded_their_libraries_and_nothing_of_prefect(cluster):
    for modules in cluster.run_on_workers(loaded_modules).values():
        assert {"torch", "distributed", "numpy"} <= modules
        assert not modules & {"prefect", "typer", "bokeh", "matplotlib", "fastapi"}


def loaded_modules() -> set[str]:
    return set(sys.modules)


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"])
def test_blas_threads_are_those_of_the_spec(cluster, name):
    assert set(cluster.run_on_workers(os.getenv, name).values()) == {"3"}


def test_torch_uses_the_threads_of_the_spec(cluster):
    assert set(cluster.run_on_workers(torch.get_num_threads).values()) == {3}


def test_one_task_at_a_time_and_no_memory_manager(cluster):
    info = cluster.client.scheduler_info(n_workers=-1)["workers"].values()
    assert [(worker["nthreads"], worker["memory_limit"]) for worker in info] == [(1, 0), (1, 0)]


def test_a_worker_gives_back_what_it_frees(cluster):
    """At the end of a run, however the heap was cut up."""
    assert max(cluster.run_on_workers(growth_after_temporaries).values()) < 12 * 2**20


def growth_after_temporaries() -> int:
    """Bytes that stay resident after blocks of 1 to 24 MiB were made and freed out of order, with small blocks between them.

    What the end of a run calls is called too.
    """
    before = psutil.Process().memory_info().rss
    order, held, kept = random.Random(1), [], []
    for _ in range(200):
        held.append(np.ones(order.randint(1 << 17, 3 << 20)))
        kept.append(bytes(2000))
        if len(held) > 4:
            held.pop(order.randrange(4))
    held.clear()
    release()
    return psutil.Process().memory_info().rss - before


def test_nothing_is_the_default_client(cluster):
    with pytest.raises(ValueError, match="No clients found"):
        default_client()


def test_work_stealing_is_off_and_the_settings_are_put_back(cluster):
    assert "stealing" not in cluster.client.run_on_scheduler(extensions)
    assert dask.config.get("distributed.scheduler.work-stealing") is True


def extensions(dask_scheduler) -> set[str]:
    return set(dask_scheduler.extensions)


def test_opening_and_closing_leave_no_trace(capfd, recwarn, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = list(sys.path)
    environment, children, levels = dict(os.environ), children_of_this(), logger_levels()
    folders = scratch_folders()
    with open_cluster(ClusterSpec("local")) as opened:
        assert scratch_folders() > folders
        assert len(children_of_this()) == len(children) + 1
        assert dict(os.environ) == environment
        (worker,) = pids(opened)
    assert not psutil.pid_exists(worker)
    assert (dict(os.environ), children_of_this(), logger_levels()) == (environment, children, levels)
    assert scratch_folders() == folders
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
    assert sys.path == path


def children_of_this() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def logger_levels() -> dict[str, int]:
    return {name: logging.getLogger(name).level for name in logging.root.manager.loggerDict if name.startswith("distributed")}


@pytest.mark.alone
@pytest.mark.slow
def test_closing_is_quick_even_when_a_worker_is_busy_or_stopped():
    with open_cluster(ClusterSpec("local", workers=2)) as opened:
        stopped, busy = opened.run_on_workers(os.getpid).values()
        os.kill(stopped, signal.SIGSTOP)
        future = opened.client.submit(time.sleep, 60)
        start = time.perf_counter()
    assert time.perf_counter() - start < 2 + 2 * clusters.CLOSE_SECONDS + 1
    assert not psutil.pid_exists(stopped)
    assert not psutil.pid_exists(busy)
    del future


@pytest.mark.parametrize("slow", [Client, Scheduler])
def test_what_does_not_close_in_time_is_no_error(slow, monkeypatch):
    """A product that is complete would be reported as failed."""
    close, late = slow.close, []

    async def close_late(scheduler):
        await close(scheduler)
        out_of_time()

    def out_of_time():
        late.append(slow)
        raise TimeoutError("timed out after 1 s.")

    def close_late_for_us(client, *seconds):
        close(client, *seconds)
        if seconds:  # without them Python does, as it collects what an earlier test has left
            out_of_time()

    monkeypatch.setattr(slow, "close", close_late if slow is Scheduler else close_late_for_us)
    with open_cluster(ClusterSpec("local")) as opened:
        (worker,) = pids(opened)
    assert late == [slow]
    assert not psutil.pid_exists(worker)


def test_closing_twice_is_harmless():
    opened = open_cluster(ClusterSpec("local"))
    opened.close()
    opened.close()


@pytest.mark.slow
def test_two_clusters_at_once_do_not_know_each_other(cluster):
    with open_cluster(ClusterSpec("local", threads=1, memory_limit=2**30)) as other:
        assert other.address != cluster.address
        assert set(other.run_on_workers(os.getenv, "OMP_NUM_THREADS").values()) == {"1"}
        assert [worker["memory_limit"] for worker in other.client.scheduler_info()["workers"].values()] == [2**30]
    assert len(pids(cluster)) == 2


def test_no_worker_is_overlooked_while_the_client_asks_other_questions(cluster):
    with dask.config.set({"distributed.client.scheduler-info-interval": "1ms"}), open_cluster(ClusterSpec(cluster.address)) as joined:
        assert {len(joined.workers) for _ in range(300)} == {2}


def test_a_dead_worker_is_replaced(cluster):
    before = cluster.run_on_workers(os.getpid)
    address, victim = next(iter(before.items()))
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(cluster.workers) == 2 and address not in cluster.workers)
    assert len(pids(cluster) & set(before.values())) == 1


def kill_one(cluster):
    """As the kernel does where memory runs out; returns the address."""
    address, victim = next(iter(cluster.run_on_workers(os.getpid).items()))
    os.kill(victim, signal.SIGKILL)
    return address


@pytest.mark.slow
def test_questions_are_put_to_all_again_where_a_worker_dies(cluster):
    cluster.new_deaths()
    dead = kill_one(cluster)
    answers = cluster.run_on_workers(os.getpid)
    assert len(set(answers.values())) == 2 and dead not in answers
    assert (cluster.new_deaths(), cluster.new_deaths()) == ((-signal.SIGKILL,), ())
    dead = kill_one(cluster)
    wait_until(lambda: dead not in cluster.workers)
    assert len(cluster.present()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("joined", [False, True])
def test_the_only_worker_may_die_before_the_handshake(joined):
    with open_cluster(ClusterSpec("local")) as opened:
        dead = kill_one(opened)
        if joined:
            with open_cluster(ClusterSpec(opened.address)) as other:
                assert len(other.workers) == 1 and dead not in other.workers
        check_workers(opened)
        assert opened.greeted and dead not in opened.greeted
        kill_one(opened)
        assert opened.run_on_one(abs, -3) == 3


@pytest.mark.alone
@pytest.mark.slow
def test_a_worker_that_does_not_come_back_is_waited_for_once(monkeypatch):
    monkeypatch.setattr("tasks.cluster.BACK_SECONDS", 2.0)
    gate = Gate()
    with open_cluster(ClusterSpec("local", workers=2), gate) as opened:
        gate.shut()
        dead = kill_one(opened)
        began = time.monotonic()
        (left,) = opened.run_on_workers(os.getpid)
        took = time.monotonic() - began
        assert left != dead and took >= 2
        began = time.monotonic()
        assert opened.present() == (left,)
        assert time.monotonic() - began < 1
        kill_one(opened)
        with pytest.raises(WorkersLost, match="no worker is there for 2 s"):
            opened.run_on_workers(os.getpid)


@pytest.mark.slow
def test_workers_that_die_of_every_question_are_lost():
    with open_cluster(ClusterSpec("local")) as opened, pytest.raises(WorkersLost, match=r"worker at tls://\S+ went away"):
        opened.run_on_workers(os._exit, 3)


def test_an_answer_that_is_there_but_takes_long_to_fetch_is_waited_for(cluster, monkeypatch):
    seen, honest = list[str](), Future.result

    async def slow(self):
        seen.append(self.key)
        while not self.done():
            await asyncio.sleep(0.01)
        if len(seen) == 1:
            raise TimeoutError("timed out after 1 s.")
        return await honest(self)

    monkeypatch.setattr(Future, "result", slow)
    assert list(cluster.run_on_workers(abs, -3).values()) == [3] * len(cluster.workers)


@pytest.mark.slow
def test_what_only_a_hung_worker_holds_is_computed_again_once_it_is_dropped():
    with open_cluster(ClusterSpec("local", 2, 1)) as opened:
        hung, other = opened.workers
        pid = opened.among([hung]).run_on_one(os.getpid)
        future = opened.client.submit(os.getpid, workers=[hung], allow_other_workers=True, pure=False)
        wait_until(future.done, 20)
        os.kill(pid, signal.SIGSTOP)
        try:
            asked = Thread(target=future.result, daemon=True)  # waits for the worker that does not answer
            asked.start()
            opened.drop(hung, 10)
            assert future.result(timeout=30) not in (pid, None)
            asked.join(30)
            assert not asked.is_alive() and opened.workers == (other,)
        finally:
            os.kill(pid, signal.SIGCONT)


def test_a_worker_that_is_killed_behind_a_shut_gate_is_not_replaced():
    gate, others = Gate(), children_of_this()
    with open_cluster(ClusterSpec("local"), gate) as opened:
        [worker] = pids(opened)
        gate.shut()
        psutil.Process(worker).kill()
        wait_until(lambda: not opened.workers)
        time.sleep(0.3)
        assert children_of_this() - {worker} == others


def test_an_opening_ends_when_its_gate_is_shut(monkeypatch):
    others, gate = children_of_this(), Gate()
    wait = clusters._wait_for_workers
    monkeypatch.setattr(clusters, "_wait_for_workers", lambda *parts: [gate.shut(), wait(*parts)])
    with pytest.raises(GemmflowError, match="ended while they started"):
        open_cluster(ClusterSpec("local", workers=2), gate)
    assert children_of_this() == others


def test_a_worker_that_cannot_start_says_why(monkeypatch):
    monkeypatch.setattr("tasks.processes.MODULE", "tasks.nothing")
    children = children_of_this()
    with pytest.raises(GemmflowError, match=r"a worker process ended while it started: .*No module named tasks.nothing"):
        open_cluster(ClusterSpec("local", workers=2))
    assert children_of_this() == children


DRIVER = """
    import os, sys, time
    from tasks.clusters import ClusterSpec, open_cluster
    with open_cluster(ClusterSpec("local", workers=2)) as cluster:
        try:
            print(*cluster.run_on_workers(os.getpid).values(), flush=True)
            cluster.run_on_workers(time.sleep, 60)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
"""


def start_driver(tmp_path) -> subprocess.Popen[str]:
    """A driver without a main guard whose workers are busy; its own folder has a package named tasks too."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/__init__.py").write_text("raise ImportError('the wrong package')")
    script = tmp_path / "script" / "driver.py"
    script.parent.mkdir()
    script.write_text(textwrap.dedent(DRIVER))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(script.parent)}
    return subprocess.Popen(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_a_killed_driver(tmp_path, number):
    driver = start_driver(tmp_path)
    workers = [int(word) for word in driver.stdout.readline().split()]
    assert len(workers) == 2
    driver.send_signal(number)
    _, errors = driver.communicate()
    wait_until(lambda: not any(psutil.pid_exists(worker) for worker in workers), seconds=10)
    assert errors == ""
    wait_until(lambda: [path.name for path in (tmp_path / "script").iterdir()] == ["driver.py"], seconds=10)


@pytest.mark.slow
def test_ctrl_c_reaches_the_driver_alone(tmp_path):
    driver = start_driver(tmp_path)
    workers = [int(word) for word in driver.stdout.readline().split()]
    for worker in workers:
        os.kill(worker, signal.SIGINT)
    driver.send_signal(signal.SIGINT)
    output, errors = driver.communicate(timeout=30)
    assert (output, errors, driver.returncode) == ("interrupted\n", "", 0)
    assert not any(psutil.pid_exists(worker) for worker in workers)


def test_a_running_scheduler_is_joined_and_left_running(cluster):
    with open_cluster(ClusterSpec(cluster.address)) as joined:
        assert not joined.own
        assert joined.workers == cluster.workers
        assert pids(joined) == pids(cluster)
    assert len(pids(cluster)) == 2
    assert cluster.own


def test_a_running_scheduler_with_a_foreign_worker_is_refused_and_keeps_it(cluster, tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/__init__.py").write_text("")
    with foreign_worker(cluster, tmp_path):
        with pytest.raises(ClusterMismatch, match=r"worker tls://\S+ has no module tasks.handshake"):
            open_cluster(ClusterSpec(cluster.address))
        assert len(cluster.workers) == 3


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 1.0)
    start = time.perf_counter()
    with pytest.raises(BadInput, match=r"no scheduler answers at tcp://127.0.0.1:9 within 1 s"):
        open_cluster(ClusterSpec("tcp://127.0.0.1:9"))
    assert time.perf_counter() - start < 4


@pytest.mark.parametrize("address", ["foo://127.0.0.1:1", "tcp://127.0.0.1"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(BadInput, match=f"{address} is no address of a scheduler .*: use tcp://host:port"):
        open_cluster(ClusterSpec(address))


def test_the_address_of_a_worker_is_refused(cluster):
    tls.bring(cluster.workers[0], cluster.client.security)
    with pytest.raises(BadInput, match=r"a worker answers at tls://\S+: give the address of its scheduler"):
        open_cluster(ClusterSpec(cluster.workers[0]))


def test_a_scheduler_without_workers_is_refused(monkeypatch):
    monkeypatch.setattr(clusters, "WORKERS_SECONDS", 0.2)
    with (
        LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address="127.0.0.1:0", silence_logs=50) as empty,
        pytest.raises(BadInput, match="has no workers: start some with `dask worker"),
    ):
        open_cluster(ClusterSpec(empty.scheduler_address))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "moon"}, "cluster 'moon' is unknown: use local, cuda or tcp://host:port"),
        ({"kind": "local", "workers": 0}, "a cluster of 0 workers x 1 threads"),
        ({"kind": "local", "threads": 0}, "a cluster of 1 workers x 0 threads"),
        ({"kind": "local", "memory_limit": -1}, "with -1 bytes is impossible"),
    ],
)
def test_an_impossible_spec_is_refused(values, message):
    with pytest.raises(BadInput, match=message):
        ClusterSpec(**values)


def test_every_job_can_name_every_kind():
    for kind in CLUSTERS:
        assert make_job(a="a", b="b", out="c", cluster=kind).cluster == kind


def test_cuda_without_a_driver_is_refused(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(nvidia.ctypes, "CDLL", missing_library)
    with pytest.raises(BadInput, match="no CUDA device: the NVIDIA driver is not installed"):
        open_cluster(ClusterSpec("cuda"))


def missing_library(name: str) -> None:
    raise OSError(name)


def test_cuda_with_hidden_devices_is_refused(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(BadInput, match="no CUDA device: CUDA_VISIBLE_DEVICES hides all"):
        open_cluster(ClusterSpec("cuda"))


def test_more_cuda_workers_than_devices_are_refused(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,MIG-7")
    assert nvidia.visible_devices() == ["0", "MIG-7"]
    with pytest.raises(BadInput, match="3 CUDA workers need a device each, and this host offers 2"):
        open_cluster(ClusterSpec("cuda", workers=3))


def test_cuda_that_torch_cannot_use_is_refused(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-none")
    children = children_of_this()
    with pytest.raises(BadInput, match="no CUDA device: torch "):
        open_cluster(ClusterSpec("cuda"))
    assert children_of_this() == children


@pytest.mark.gpu
def test_each_cuda_worker_has_a_device_of_its_own():
    devices = nvidia.visible_devices()
    with open_cluster(ClusterSpec("cuda", workers=len(devices))) as opened:
        assert sorted(map(str, opened.run_on_workers(os.getenv, "CUDA_VISIBLE_DEVICES").values())) == sorted(devices)
    assert "torch" not in sys.modules or not sys.modules["torch"].cuda.is_initialized()
