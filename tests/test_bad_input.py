"""Whatever is wrong with a command gets one line that says what, with numbers, and what to change; and nothing is written.

ONE table, `bad_input_table`. What is found before a run leaves the folder as it was, byte for byte; what is found while the
inputs are read keeps the staging folder, names it and leaves OUT absent. Commands run in
this process, on two real workers that all rows share.
"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import flows.cli
import flows.pool
from tasks import clusters
from tasks.cluster import Cluster
from tasks.clusters import ClusterSpec, open_cluster
from tasks.hardware import cache_folder, host_fingerprint, remember
from tests.bad_input_plans import PLANS
from tests.bad_input_table import BATCH_ENTRIES, BATCHES, HEADERS, MULTIPLY, PLACES, READING, VALUES, Row, impatient
from tests.bad_input_world import World
from tests.tasks import machines
from tests.tasks.foreign import foreign_worker

ROOT = Path(flows.cli.__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with open_cluster(ClusterSpec("local", workers=2)) as opened:
        yield opened


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The folder; this machine's measured rates are made up, temporaries would be seen in it, child processes stay."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(flows.cli, "end_descendants", lambda: None)
    monkeypatch.setenv("GEMMFLOW_CACHE", str(tmp_path / "cache"))  # no other test may plan with made-up rates
    made = machines.hardware()
    remember(made.__class__(**made.__dict__ | {"fingerprint": host_fingerprint("cpu")}))
    return World(folder, monkeypatch)


class Shared:
    """An open cluster that its users cannot close."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def close(self) -> None:
        """Others use it."""


@pytest.fixture
def shared(world: World, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(flows.pool, "open_cluster", lambda spec, gate: Shared(cluster))
    return world


def run(line: str) -> int:
    with warnings.catch_warnings():
        return flows.cli.run(line.split(" "))


def the_line(errors: str) -> str:
    lines = errors.splitlines()
    assert len(lines) == 1, errors
    assert lines[0].startswith("gemmflow: ")
    return lines[0]


def check(row: Row, errors: str) -> str:
    line = the_line(errors)
    assert [part for part in row.says if part not in line] == [], line
    return line


def named(rows: list[Row]) -> Any:
    return pytest.mark.parametrize("row", rows, ids=[row.what for row in rows])


def without_prefect(line: str) -> str:
    return line.replace("multiply ", "multiply --direct ", 1) if line.startswith("multiply ") else line


@named([*HEADERS, *PLACES, *VALUES, *BATCHES, *PLANS])
def test_found_before_the_run_nothing_is_written(row: Row, shared: World, capfd: pytest.CaptureFixture[str]) -> None:
    row.prepare(shared)
    before = shared.listing()
    code = run(without_prefect(row.line))
    output, errors = capfd.readouterr()
    check(row, errors)
    assert (code, output) == (row.code, "")
    assert shared.listing() == before


DAMAGED = ("corrupt chunk", "flipped bit", "truncated chunk", "chunk of no bytes", "chunk is a folder", "corrupt shard")
"""What may be mended, so that the same command goes on."""

FINISHED = ("product too large for a norm", "values too small for a norm")
"""What is found when every tile is there."""


@named(READING)
def test_found_while_reading_staging_is_kept_where_there_is_something_to_go_on_with(
    row: Row, shared: World, capfd: pytest.CaptureFixture[str]
) -> None:
    row.prepare(shared)
    before = shared.listing()
    assert run(f"{row.line} --direct --quiet") == row.code
    line = check(row, capfd.readouterr().err)
    left = [path for path in shared.folder.iterdir() if path.name not in before]
    assert [path.name for path in left] == ["C.zarr.gemmflow"] * (row.what in DAMAGED + FINISHED)
    assert all(str(path) in line for path in left) if left else "C.zarr.gemmflow" not in line
    assert {name: content for name, content in shared.listing().items() if not name.startswith("C.zarr.gemmflow")} == before


@pytest.mark.parametrize(("entry", "says"), [case[1:] for case in BATCH_ENTRIES], ids=[case[0] for case in BATCH_ENTRIES])
def test_a_bad_entry_of_a_batch_is_found_before_anything_runs(entry: str, says: str, shared: World, capfd) -> None:
    good = "- {a: A.zarr, b: B.zarr, out: D.zarr}"
    shared.text("j.yaml", "\n".join([f"- {entry}", good] if "later" in says else [good, f"- {entry}"]))
    before = shared.listing()
    assert run("batch j.yaml --direct") == 2
    output, errors = capfd.readouterr()
    number = 1 if "later" in says else 2
    assert output == "" and errors.startswith(f"gemmflow: j.yaml: job {number}: ") and says in errors
    assert errors.count("\n") == 1
    assert shared.listing() == before


def test_allowed_nonfinite_values_are_listed_by_row_and_column(shared: World, capfd) -> None:
    shared.put("A.zarr", (3, 1), float("nan"))
    shared.put("B.zarr", (0, 4), float("inf"))
    assert run(f"{MULTIPLY} --direct --allow-nonfinite") == 0
    output = capfd.readouterr().out
    assert "row 3" in output and "column 4" in output
    product = zarr.open_array(shared.folder / "C.zarr")[:]
    sound = np.isfinite(product)
    assert sound[[0, 1, 2, 4, 5], :4].all() and not sound[3].any() and not sound[:, 4].any()


def test_allowed_nonfinite_values_of_c0_stay_in_their_rows(shared: World, capfd) -> None:
    shared.put("C0.zarr", (5, 4), float("nan"))
    assert run(f"{MULTIPLY} --direct --allow-nonfinite --add C0.zarr --beta 2") == 0
    assert "row 5" in capfd.readouterr().out
    product = zarr.open_array(shared.folder / "C.zarr")[:]
    assert np.argwhere(~np.isfinite(product)).tolist() == [[5, 4]]


def test_a_scheduler_that_does_not_answer_is_named(world: World, capfd) -> None:
    impatient(world)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        started, before = time.monotonic(), world.listing()
        assert run(f"{MULTIPLY} --direct --cluster {address}") == 2
    assert time.monotonic() - started < 5
    assert f"no scheduler answers at {address} within 1 s" in the_line(capfd.readouterr().err)
    assert world.listing() == before


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.6p1 Debian-3\r\n" * 4, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"])
def test_who_answers_but_is_no_scheduler_is_named(greeting: bytes, world: World, capfd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        address = f"tcp://127.0.0.1:{foreign.getsockname()[1]}"

        def greet() -> None:
            connection, _ = foreign.accept()
            connection.sendall(greeting)
            connection.recv(1 << 16)
            connection.close()

        answering = threading.Thread(target=greet, daemon=True)
        answering.start()
        assert run(f"{MULTIPLY} --direct --cluster {address}") == 2
        answering.join(5)
    line = the_line(capfd.readouterr().err)
    assert address in line and ("is no Dask scheduler" in line or "no scheduler answers" in line)


def test_ten_seconds_is_what_a_scheduler_gets() -> None:
    assert clusters.CONNECT_SECONDS == 10


def test_workers_of_another_version_are_named(world: World, cluster: Cluster, tmp_path: Path, capfd) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for package in ("tasks", "storage"):
        (other / package).symlink_to(ROOT / package)
    info = other / "gemmflow-0.0.7.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gemmflow\nVersion: 0.0.7\n")
    before = world.listing()
    with foreign_worker(cluster, other):
        assert run(f"{MULTIPLY} --direct --cluster {cluster.address}") == 2
    line = the_line(capfd.readouterr().err)
    assert "runs gemmflow 0.0.7, this is" in line and "install the same gemmflow" in line
    assert world.listing() == before


SUBPROCESS = [
    row for row in (*HEADERS, *PLACES, *VALUES) if row.what in ("A is missing", "OUT is A", "max-error out of reach", "unknown option")
]


@named(SUBPROCESS)
def test_the_command_itself_says_the_same(row: Row, world: World) -> None:
    before = world.listing()
    done = subprocess.run(
        [sys.executable, "-m", "flows", *row.line.split(" ")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "GEMMFLOW_CACHE": str(cache_folder())},
    )
    check(row, done.stderr)
    assert (done.returncode, done.stdout) == (row.code, "")
    assert world.listing() == before
