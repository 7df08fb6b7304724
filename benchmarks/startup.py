"""From command to first tile, and what a tile costs beyond its work: `python -m benchmarks.startup`.

`first` has an empty Prefect home (its database is made), `warm` finds it, `direct` does without Prefect, `server` uses one that runs
already. The calibration is kept in all of them. The overhead is the workers' time between tiles, from a product cut into many small ones.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import zarr

from benchmarks.saved import in_rounds, show
from tasks.geometry import blocks
from tasks.plan import TileShape

EDGE = 2048


def main() -> None:
    """Measure and print."""
    options = in_rounds(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _inputs(folder)
        _command(folder, "--direct")
        results: dict[str, object] = {
            "first": _startup(folder, options.rounds, [], forget=True),
            "warm": _startup(folder, options.rounds, [], forget=False),
            "direct": _startup(folder, options.rounds, ["--direct"], forget=False),
            "server": _beside_a_server(folder, options.rounds),
            "overhead_ms_per_tile": 1000 * overhead(folder),
        }
    show("startup", results, options.save)


def overhead(folder: Path) -> float:
    """Seconds of a worker between the end of one tile and the start of its next, on average over 1024 tiles."""
    from tasks.calibrate import measure
    from tasks.clusters import ClusterSpec, open_cluster
    from tasks.job import make_job
    from tasks.planner import make_plan
    from tasks.prepare import prepare
    from tasks.run import multiply
    from tasks.survey import survey

    out = folder / "C-tiles"
    job = make_job(a=str(folder / "A"), b=str(folder / "B"), out=str(out), memory="2GiB", chunk=(64, 64), durability="process")
    problem = survey(job)
    hardware = measure(job, problem)
    plan = make_plan(job, problem, hardware)
    grid = (blocks(EDGE, 64), blocks(EDGE, 64), 1)
    plan = replace(plan, tile=TileShape(64, 64, EDGE), grid=grid, slots=(1, 1))
    with open_cluster(ClusterSpec("local", plan.workers, plan.threads_per_worker)) as cluster:
        outcome = multiply(prepare(job, problem, hardware, plan, cluster), cluster, lambda _: None)
    work = sum(tile.finished - tile.started for tile in outcome.measurements)
    return (outcome.seconds * plan.workers - work) / plan.tiles


def _inputs(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in "AB":
        array = zarr.create_array(folder / name, shape=(EDGE, EDGE), chunks=(EDGE, EDGE), dtype="float32")
        array[:] = rng.standard_normal((EDGE, EDGE), dtype="float32")


def _startup(folder: Path, rounds: int, options: list[str], forget: bool) -> dict[str, float]:
    seconds = []
    for _ in range(rounds):
        home = folder / "prefect"
        if forget:
            shutil.rmtree(home, ignore_errors=True)
        seconds.append(_command(folder, *options))
    return {"median_seconds": statistics.median(seconds), "most_seconds": max(seconds)}


def _beside_a_server(folder: Path, rounds: int) -> dict[str, float]:
    """With a Prefect server that was there before, as PREFECT_API_URL says."""
    from flows.engine import start_server

    server = start_server()
    there = {"PREFECT_API_URL": server.url, "PREFECT_API_AUTH_STRING": server.auth or ""}
    try:
        with mock.patch.dict(os.environ, there):
            return _startup(folder, rounds, [], forget=False)
    finally:
        server.stop()


def _command(folder: Path, *options: str) -> float:
    """Seconds from the start of the command to the start of its first tile."""
    out = folder / "C"
    shutil.rmtree(out, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "flows",
        "multiply",
        str(folder / "A"),
        str(folder / "B"),
        str(out),
        "--quiet",
        "--json",
        "-",
        *options,
    ]
    start = time.time()
    environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    first = min(worker["started"] for worker in json.loads(done.stdout)["measured"]["workers"])
    return first - start


if __name__ == "__main__":
    main()
