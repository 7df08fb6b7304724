"""Odd places and odd neighbours: paths with spaces and unicode, leftovers, folders that cannot be written, readers meanwhile."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import flows
from storage import Staging, leftovers
from tests.faults.lab import Lab
from tests.faults.world import World

pytestmark = pytest.mark.slow

ROOT = Path(flows.__file__).resolve().parents[1]


def test_a_path_with_spaces_and_unicode(lab: Lab) -> None:
    place = lab.world.data / "große Matrizen, 行列"
    place.mkdir()
    for name in ("A.zarr", "B.zarr"):
        (lab.world.data / name).rename(place / name)
    lab.world.data = place
    folder = lab.stop()
    assert folder.parent.parent == place
    done = lab.run()
    assert (done.code, done.report["measured"]["tiles_resumed"]) == (0, 5)
    (lab.out / "c/3/3").unlink()
    assert lab.command("verify", str(lab.out)).code == 4
    assert "bit for bit" in lab.command("repair", str(lab.out)).output
    assert lab.command("verify", str(lab.out), "--full", "--against-inputs").code == 0
    assert lab.world.beside() == []


def test_out_by_a_link_and_by_a_relative_path_is_the_same_run(lab: Lab) -> None:
    lab.stop()
    (lab.world.scratch / "link").symlink_to(lab.world.data)
    lab.patch.chdir(lab.world.scratch)
    line = [part.replace(str(lab.out), "link/C.zarr") for part in lab.world.line]
    done = lab.command(*line)
    assert done.code == 3 and "out was" in done.line  # what was asked differs, and nobody's tiles are lost
    assert lab.run().report["measured"]["tiles_resumed"] == 5


def test_leftover_temporary_files_are_swept(lab: Lab) -> None:
    folder = lab.stop()
    for name in ("c/0/0.1-ab-0.partial", "c/7/7.99-cd-5.partial", "zarr.json.5-ab-1.partial"):
        (folder / "array" / name).write_bytes(b"torn")
    for mark in ("new", "old", "probe"):
        (lab.world.data / f"C.zarr.gemmflow-{mark}-0123abcd" / "array").mkdir(parents=True)
    assert len(leftovers(lab.out)) == 4
    assert lab.run().code == 0
    assert not list(lab.world.data.rglob("*.partial"))
    lab.command("clean", str(lab.out))
    assert lab.world.beside() == []


def test_temporary_files_of_orphaned_workers_are_not_published(lab: Lab) -> None:
    from storage import publish

    def orphan(staging: Staging) -> None:
        Path(staging.array, "c/0/0.1-ab-0.partial").write_bytes(b"late")

    with lab.patch.context() as patch:
        patch.setattr("storage.site_local.publish", lambda staging, overwrite: (orphan(staging), publish(staging, overwrite)))
        assert lab.run().code == 0
    assert not list(lab.out.rglob("*.partial"))


READ_ONLY = """
import os, sys
from pathlib import Path
from storage import BadInput, OutputSpec, check_out, create_staging, preload
preload()
os.setgid(65534)
os.setuid(65534)
out = Path(sys.argv[1])
spec = OutputSpec((4, 4), "float32", (2, 2), "none")
for attempt in (lambda: check_out(out, [], False), lambda: create_staging(out, spec, "power", "r")):
    try:
        attempt()
    except BadInput as error:
        print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody who may not write")
def test_a_folder_that_cannot_be_written() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        line = [sys.executable, "-c", READ_ONLY, str(place / "C.zarr")]
        done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)})
        said = done.stdout.splitlines()
        assert len(said) == 2 and all("cannot be written" in line and "permissions" in line for line in said), done
        assert list(place.iterdir()) == []


READER = """
import sys
from pathlib import Path
import numpy as np
from storage import open_result, scrub
out, flag = Path(sys.argv[1]), Path(sys.argv[2])
with open_result(out) as result:
    root = result.root
    print(root, flush=True)
    while not flag.exists():
        block = np.empty(result.matrix.shape, result.matrix.dtype)
        result.matrix.read_into(block, slice(None), slice(None))
        assert not list(scrub(result, True)) and result.root == root
    print(float(block.astype(float).sum()), flush=True)
"""


@pytest.mark.slow
def test_a_reader_in_another_process_sees_one_result_across_an_overwrite(processes: World) -> None:
    assert processes.run().code == 0
    root, total, flag = processes.root(), float(processes.values().astype(float).sum()), processes.scratch / "enough"
    line = [sys.executable, "-c", READER, str(processes.out), str(flag)]
    reader = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert reader.stdout is not None
    assert reader.stdout.readline().strip() == root
    assert processes.run("--overwrite", "--alpha", "2").code == 0
    assert processes.root() != root
    assert len(processes.beside()) == 1  # the old result, for its reader
    flag.touch()
    output, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0 and float(output) == total
    assert np.isclose(float(processes.values().astype(float).sum()), 2 * total)
    assert processes.run(line=("clean", str(processes.out))).code == 0
    assert processes.beside() == []


RETRY = """
import json, sys
from flows import workflow
from flows.engine import prefect_api
from flows.session import open_session
from storage import Journal
from tasks.job import make_job

honest, taken = Journal.append, [0]

def append(journal, record):
    taken[0] += 1
    if taken[0] == 21:
        raise RuntimeError("injected")
    honest(journal, record)

Journal.append = append
with open_session() as session:
    session.keep(prefect_api)
    report = workflow.multiply_flow.with_options(retries=1)(make_job(**json.loads(sys.argv[1])))
print(json.dumps(report.to_json()["measured"]["tiles_resumed"]))
"""


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(300)
def test_a_retry_of_the_flow_goes_on(processes: World) -> None:
    job = {"a": str(processes.a), "b": str(processes.b), "out": str(processes.out), "memory": "1GiB", "chunk": [128, 128]}
    environment = os.environ | processes.environment()
    environment["PYTHONPATH"] += os.pathsep + str(ROOT)
    done = subprocess.run([sys.executable, "-c", RETRY, json.dumps(job)], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "20"
    assert max(processes.computed().values()) <= 2 and sum(processes.computed().values()) <= 64 + 4
    assert processes.beside() == []
