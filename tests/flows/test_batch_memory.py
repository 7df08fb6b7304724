"""A batch of many jobs on one cluster holds no more after the last one than after the first."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.samples import Sample, write_sample

JOBS, MOST = 50, 1.05

PROGRAM = """
import json, shutil, sys
from datetime import UTC, datetime

import psutil

from flows.batch import run_here
from flows.batch_entry import Entry
from flows.batch_file import Batch
from flows.batch_job import run_planned_once
from tasks.job import make_job

folder, jobs = sys.argv[1], int(sys.argv[2])
fields = {"a": f"{folder}/A", "b": f"{folder}/B", "memory": "900MiB", "workers": 2, "durability": "process"}
entries = [Entry(name=str(i), job=make_job(**fields, out=f"{folder}/C{i}", alpha=1 + i / 100)) for i in range(jobs)]
batch = Batch(name="many", scheduled=datetime(2026, 1, 1, tzinfo=UTC), entries=tuple(entries))
driver, seen = psutil.Process(), []

def listen(result, count):
    assert result.state == "done", result.message
    workers = [child for child in driver.children(recursive=True) if "tasks.worker" in child.cmdline()]
    seen.append([process.memory_info().rss for process in (driver, *workers)])
    shutil.rmtree(f"{folder}/C{result.name}")

summary = run_here(batch, False, run_planned_once, listen)
peak = summary.results[0].report.to_json()["measured"]["peak_memory_bytes"]
print(json.dumps([peak, seen[0], seen[-1]]))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_fifty_jobs_on_one_cluster_leave_no_more_than_one(tmp_path: Path, warm_cache: Path) -> None:
    write_sample(tmp_path / "A", Sample((6144, 256), 1, chunk=1024))
    write_sample(tmp_path / "B", Sample((256, 6144), 2, chunk=1024))
    environment = os.environ | {"GEMMFLOW_CACHE": str(warm_cache)}
    line = [sys.executable, "-c", PROGRAM, str(tmp_path), str(JOBS)]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    peak, first, last = json.loads(done.stdout)
    assert peak > 600 << 20 and len(first) == len(last) == 3
    assert all(after < MOST * before for before, after in zip(first, last, strict=True)), (first, last)
    print(peak, first, last)
