"""Every worker runs this code and sees these files, or it is named and refused."""

import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tasks.handshake
from storage import open_matrix
from tasks.clusters import ClusterSpec, open_cluster
from tasks.errors import ClusterMismatch
from tasks.handshake import check_files, check_kernels, check_workers, describe_code, look_at_files, source_hash
from tasks.planner import make_plan
from tests.tasks.foreign import foreign_worker
from tests.tasks.machines import hardware, job, problem

ROOT = Path(tasks.handshake.__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def opened():
    with open_cluster(ClusterSpec("local", workers=2)) as opened:
        yield opened


@pytest.fixture
def cluster(opened):
    """Two workers that were not asked yet."""
    opened.greeted = frozenset()
    return opened


@pytest.fixture
def code(tmp_path):
    """A copy of this code, to be changed."""
    for package in ("tasks", "storage"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def add_metadata(folder: Path, name: str, version: str) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_own_workers_pass(cluster):
    check_workers(cluster)


def test_own_workers_are_asked_once_and_others_every_time(cluster, monkeypatch):
    asked = []
    real = tasks.handshake._ask
    monkeypatch.setattr(tasks.handshake, "_ask", lambda *question: asked.append(question) or real(*question))
    check_workers(cluster)
    once = len(asked)
    check_workers(cluster)
    assert 0 < once == len(asked)
    monkeypatch.setattr(cluster, "own", False)
    check_workers(cluster)
    assert len(asked) == 2 * once


def test_the_same_code_in_another_folder_passes(cluster, code):
    with foreign_worker(cluster, code):
        check_workers(cluster)


def test_a_foreign_package_named_tasks_is_refused(cluster, tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/__init__.py").write_text("def build(): ...\n")
    with foreign_worker(cluster, tmp_path), pytest.raises(ClusterMismatch, match=r"tls://\S+ has no module tasks.handshake: install"):
        check_workers(cluster)


def test_a_foreign_package_with_our_file_names_is_refused(cluster, tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/__init__.py").write_text("")
    (tmp_path / "tasks/handshake.py").write_text("def greet(): ...\n")
    with foreign_worker(cluster, tmp_path), pytest.raises(ClusterMismatch, match="imports another package named tasks"):
        check_workers(cluster)


@pytest.mark.parametrize("changed", ["tasks/kernels.py", "storage/codecs.py"])
def test_other_source_with_the_same_version_is_refused(cluster, code, changed):
    with (code / changed).open("a") as file:
        file.write("# edited on this machine only\n")
    with (
        foreign_worker(cluster, code),
        pytest.raises(ClusterMismatch, match=f"other source files of the same version, from {re.escape(str(code))}"),
    ):
        check_workers(cluster)


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("gemmflow", "0.0.9", "runs gemmflow 0.0.9, this is "),
        ("numpy", "1.26.4", "has numpy 1.26.4, here it is "),
        *(
            pytest.param(name, version, f"has {name} {version}, here it is ", marks=pytest.mark.slow)
            for name, version in (("torch", "2.5.1"), ("zarr", "3.0.0"), ("numcodecs", "0.15.0"))
        ),
    ],
)
def test_another_version_is_refused(cluster, code, name, version, message):
    add_metadata(code, name, version)
    with foreign_worker(cluster, code), pytest.raises(ClusterMismatch, match=message):
        check_workers(cluster)


def test_another_python_is_refused(cluster, monkeypatch):
    monkeypatch.setattr(tasks.handshake.platform, "python_version", lambda: "3.99.0")
    monkeypatch.setattr(tasks.handshake, "_ask", lambda *_: {"tcp://w": "3.11.1"})
    with pytest.raises(ClusterMismatch, match=r"worker tcp://w runs Python 3.11.1, this is 3.99.0"):
        check_workers(cluster)


def test_a_patch_release_apart_is_the_same_python(monkeypatch):
    monkeypatch.setattr(tasks.handshake.platform, "python_version", lambda: "3.11.7")
    tasks.handshake._check_python({"tcp://w": "3.11.1"})


def test_a_worker_that_does_not_answer_is_named_in_bounded_time(cluster, code, monkeypatch):
    monkeypatch.setattr(tasks.handshake, "ANSWER_SECONDS", 1.0)
    known = set(cluster.workers)
    with foreign_worker(cluster, code) as process:
        (foreign,) = set(cluster.workers) - known
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(ClusterMismatch, match=f"worker {foreign} did not answer within 1 s"):
            check_workers(cluster)


def test_code_is_described_by_versions_and_source():
    description = describe_code()
    assert description["source"] == source_hash()
    assert set(description) == {"gemmflow", "torch", "numpy", "zarr", "numcodecs", "source", "folder"}
    assert re.fullmatch("[0-9a-f]{64}", description["source"])


@pytest.fixture
def files(tmp_path):
    """A token and two inputs."""
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    np.save(tmp_path / "b.npy", np.ones((3, 2)))
    (tmp_path / "token").write_text("run-1")
    return tmp_path / "token", [open_matrix(tmp_path / "a.npy"), open_matrix(tmp_path / "b.npy")]


def test_shared_files_pass(cluster, files):
    token, matrices = files
    check_files(cluster, token, "run-1", matrices)


def test_a_missing_token_is_named(cluster, files):
    token, matrices = files
    token.unlink()
    with pytest.raises(ClusterMismatch, match=rf"worker tls://\S+ cannot read {re.escape(str(token))} \(No such file"):
        check_files(cluster, token, "run-1", matrices)


def test_another_runs_token_is_refused(cluster, files):
    token, matrices = files
    with pytest.raises(ClusterMismatch, match="reads another run's token"):
        check_files(cluster, token, "run-2", matrices)


def test_a_changed_input_is_refused(cluster, files):
    token, matrices = files
    np.save(matrices[1].path, np.ones((3, 4)))
    with pytest.raises(ClusterMismatch, match=r"sees another matrix at \S+b.npy"):
        check_files(cluster, token, "run-1", matrices)


def test_a_missing_input_is_refused(cluster, files):
    token, matrices = files
    Path(matrices[0].path).unlink()
    with pytest.raises(ClusterMismatch, match=r"cannot open \S+a.npy"):
        check_files(cluster, token, "run-1", matrices)


def test_a_token_that_is_no_text_is_a_complaint_not_a_crash(tmp_path):
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    assert "another run's token" in str(look_at_files(str(tmp_path / "token"), "run-1", []))


def saturate() -> None:
    """Make this worker's int8 products those of a processor without VNNI (runs on a worker)."""
    from tasks import kernels

    kernels.honest_int8 = kernels.KERNELS["int8", "cpu", "torch"]
    kernels.KERNELS["int8", "cpu", "torch"] = kernels.Multiplies(
        lambda a, b, out: (a.double() @ b.double()).clamp(-(2**15), 2**15 - 1).int()
    )


def restore() -> None:
    """Back to an honest kernel (runs on workers)."""
    from tasks import kernels

    kernels.KERNELS["int8", "cpu", "torch"] = kernels.honest_int8


def test_a_worker_that_multiplies_integers_wrongly_is_named_before_any_tile(cluster):
    """The plan may be that of a calibration, or of an unfinished run, on another processor."""
    wide = make_plan(job(precision="float64"), problem((64, 640, 64), ("int8", "int8")), hardware())
    plan = replace(wide, arithmetic="int8", kernel="torch")
    check_kernels(cluster, plan)
    cluster.run_on_workers(saturate)
    try:
        check_kernels(cluster, wide)
        with pytest.raises(ClusterMismatch, match=r"worker tls://\S+ multiplies wrongly in int8: its processor .* use --precision float64"):
            check_kernels(cluster, plan)
    finally:
        cluster.run_on_workers(restore)
