"""The cluster files for SSH and SLURM as they are shipped: opened, a product computed on what they open, and nothing left.

Changed are places and sizes alone: ports, keys and networks of the test, and few workers. The SSH server is real, if small; SLURM is
two scripts, `sbatch` and `scancel`, that start and end a job's script as a process of this host.
"""

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
import zarr

from flows.multiply import multiply
from tasks import tls
from tests.flows.processes import wait_until

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "deployments/clusters"
SLURM = Path(__file__).parent / "slurm"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(0)
    for name, shape in (("A", (600, 300)), ("B", (300, 500))):
        np.save(tmp_path / f"{name}.npy", rng.standard_normal(shape).astype("float32"))
    return tmp_path / "A.npy", tmp_path / "B.npy"


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """In the environment of every process that the test starts."""
    monkeypatch.setenv("GEMMFLOW_MARK", mark := f"clusters-{os.getpid()}")
    return mark


def shipped(name: str, **changes: object) -> dict[str, object]:
    """What a file says, with other arguments for its class."""
    content = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text())
    assert changes.keys() <= content["cluster_kwargs"].keys(), "only what the file has is replaced"
    return content | {"cluster_kwargs": content["cluster_kwargs"] | changes}


def computed(folder: Path, content: dict[str, object], inputs: tuple[Path, Path]) -> set[str]:
    """The workers that computed a product, by a run on the cluster that a file describes; the product is right."""
    (folder / "mine.yaml").write_text(yaml.safe_dump(content))
    a, b = inputs
    out = folder / "C"
    report = multiply(
        direct=True, a=str(a), b=str(b), out=str(out), cluster=str(folder / "mine.yaml"), memory="2GiB", chunk=(64, 64), workers=2
    )
    exact = np.load(a).astype(float) @ np.load(b)
    error = np.linalg.norm(zarr.open_array(out)[:] - exact) / np.linalg.norm(np.load(a)) / np.linalg.norm(np.load(b))
    assert error < 1e-6
    return {tile.worker for tile in report.outcome.measurements}


def marked(mark: str) -> list[psutil.Process]:
    """Living processes of the test, this one left out."""

    def is_ours(process: psutil.Process) -> bool:
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            return alive and process.pid != os.getpid() and process.environ().get("GEMMFLOW_MARK") == mark
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    return [process for process in psutil.process_iter() if is_ours(process)]


@pytest.fixture
def ssh(tmp_path: Path, mark: str) -> Iterator[dict[str, object]]:
    """How to reach an SSH server on this host."""
    asyncssh = pytest.importorskip("asyncssh")
    folder = tmp_path / "ssh"
    folder.mkdir()
    for name in ("host", "client"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(folder / name))
        key.write_public_key(str(folder / f"{name}.pub"))
    server = subprocess.Popen([sys.executable, str(Path(__file__).parent / "ssh_server.py"), str(folder)])
    with ExitStack() as closing:
        closing.callback(server.wait)
        closing.callback(server.kill)
        wait_until((folder / "port").exists, 30)
        yield {"port": int((folder / "port").read_text()), "username": "user", "client_keys": [str(folder / "client")], "config": None}


@pytest.mark.parametrize("protocol", ["tls", "tcp"])
def test_workers_through_ssh(
    tmp_path: Path, inputs: tuple[Path, Path], ssh: dict[str, object], mark: str, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    if protocol == "tls":
        tls.make(tmp_path / "tls")
        monkeypatch.setenv(tls.TLS, str(tmp_path / "tls"))
    content = shipped("ssh", connect_options={"known_hosts": None} | ssh)
    before = len(marked(mark))
    workers = computed(tmp_path, content, inputs)
    assert len(workers) == 2 and all(worker.startswith(f"{protocol}://") for worker in workers)
    wait_until(lambda: len(marked(mark)) == before, 30)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # dask-jobqueue leaves its files to the collector
def test_workers_as_slurm_jobs(tmp_path: Path, inputs: tuple[Path, Path], mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask_jobqueue")
    jobs = tmp_path / "slurm"
    jobs.mkdir()
    monkeypatch.setenv("PRETENDED_SLURM", str(jobs))
    monkeypatch.setenv("PATH", f"{SLURM}{os.pathsep}{os.environ['PATH']}")
    (certificates := tmp_path / "home").mkdir()
    content = shipped("slurm", interface="lo", cores=2, processes=2, memory="4GiB", shared_temp_directory=str(certificates))
    content |= {"adapt_kwargs": {"minimum": 2, "maximum": 4}, "wait": {"workers": 2, "seconds": 120}}
    workers = computed(tmp_path, content, inputs)
    assert len(workers) == 2 and all(worker.startswith("tls://") for worker in workers)
    (script,) = jobs.glob("*.sh")
    asked = [line.removeprefix("#SBATCH ") for line in script.read_text().splitlines() if line.startswith("#SBATCH ")]
    assert {"-p normal", "-n 1", "--cpus-per-task=2", "--mem=4G", "-t 04:00:00"} <= set(asked)
    assert "--memory-limit 0" in script.read_text(), "the plan bounds memory"
    assert list(jobs.glob("*.cancelled"))
    wait_until(lambda: not marked(mark), 30)
    gc.collect()
    assert not [path for path in certificates.iterdir() if path.is_file()]
