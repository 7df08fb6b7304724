"""The same batch again: what is complete is skipped, what is unfinished goes on, the rest runs."""

import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli import run
from flows.samples import Sample, write_sample
from tests.flows.processes import Command, wait_until

TILE = re.compile(rb'"kind": ?"tile"')

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def states(folder: Path, *more: str) -> list[str]:
    run(["batch", str(folder / "jobs.yaml"), "--direct", "--quiet", "--json", str(folder / "r.json"), *more])
    return [result["state"] for result in json.loads((folder / "r.json").read_text())["results"]]


def write(folder: Path, *jobs: dict[str, Any]) -> None:
    (folder / "jobs.yaml").write_text(yaml.safe_dump(list(jobs)))


def test_complete_jobs_are_skipped_until_an_input_or_the_job_changes(tmp_path: Path, warm_cache: Path) -> None:
    for name, shape, seed in (("A", (4, 5), 1), ("B", (5, 6), 2), ("E", (7, 7), 3)):
        write_sample(tmp_path / name, Sample(shape, seed))
    first = {"a": "A", "b": "B", "out": "C", "overwrite": True}
    second = {"a": "C", "b": "C", "transpose_b": True, "out": "D", "overwrite": True}
    third = {"a": "A", "b": "B", "out": "E"}
    write(tmp_path, first, second, third)
    assert states(tmp_path) == ["done", "done", "failed"]
    before = (tmp_path / "C" / "zarr.json").stat()
    assert states(tmp_path) == ["complete", "complete", "failed"]
    assert (tmp_path / "C" / "zarr.json").stat() == before
    shutil.rmtree(tmp_path / "E")
    write(tmp_path, first, second | {"alpha": 2.0}, third)
    assert states(tmp_path) == ["complete", "done", "done"]
    write_sample(tmp_path / "B", Sample((5, 6), 9))
    assert states(tmp_path) == ["done", "done", "failed"]  # E may not be overwritten
    assert "exists" in json.loads((tmp_path / "r.json").read_text())["results"][2]["message"]


def test_again_runs_all_and_replaces_what_the_same_job_made(tmp_path: Path, warm_cache: Path, small_inputs: tuple[Path, Path]) -> None:
    a, b = map(str, small_inputs)
    write(tmp_path, {"a": a, "b": b, "out": "C"}, {"a": a, "b": b, "out": "D"})
    assert states(tmp_path) == ["done", "done"]
    before = (tmp_path / "C" / "zarr.json").stat().st_ino
    assert states(tmp_path, "--again") == ["done", "done"]
    assert (tmp_path / "C" / "zarr.json").stat().st_ino != before


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_killed_batch_goes_on_where_it_was(tmp_path: Path, warm_cache: Path, large_inputs: tuple[Path, Path], at_once: int) -> None:
    a, b = map(str, large_inputs)
    jobs = [{"a": a, "b": x, "out": out, "chunk": [1024, 1024]} for out, x in (("C", a), ("D", b))]
    (tmp_path / "jobs.yaml").write_text(yaml.safe_dump({"at_once": at_once, "memory": "1200MiB", "jobs": jobs}))
    command = Command(["batch", str(tmp_path / "jobs.yaml"), "--direct"], tmp_path, {"GEMMFLOW_CACHE": str(warm_cache)})
    try:
        begun = "D" if at_once == 1 else "[CD]"
        wait_until(lambda: any(TILE.search(journal.read_bytes()) for journal in tmp_path.glob(f"{begun}.gemmflow/*/journal")), 120)
        os.kill(command.process.pid, signal.SIGKILL)
        wait_until(lambda: command.family() == [], 20)
        unfinished = [folder.parent.name[0] for folder in tmp_path.glob("*.gemmflow/*")]
        complete = [out for out in "CD" if (tmp_path / out).exists()]
        assert states(tmp_path) == ["complete" if out in complete else "done" for out in "CD"]
        results = json.loads((tmp_path / "r.json").read_text())["results"]
        resumed = [result["out"][-1] for result in results if result["report"] and result["report"]["measured"]["tiles_resumed"]]
        assert resumed and set(resumed) <= set(unfinished)
    finally:
        command.clean()
