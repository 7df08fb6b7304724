"""What a run of 10,000 tiles asks of its driver and of Prefect: `python -m benchmarks.many_tiles`.

The command runs in this process's children with a plan of tiles of 64 x 64, each a millisecond of work: the worst case for everything
that is counted by tiles. With Prefect and without it in turn.

    driver_bytes      peak resident memory of the driver, interpreter and libraries included
    database_bytes    what the run added to Prefect's database
    tile_ms           wall time a tile, of both workers together
    progress_share    of the time between the first tile and the last, that in which an update of Prefect's bar was under way
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from uuid import UUID

import numpy as np
import zarr

from benchmarks.saved import in_rounds, show

EDGE, TILE = 6400, 64
CHILD = "child"


def main() -> None:
    """Measure and print; or be the child."""
    if sys.argv[1:2] == [CHILD]:
        child(Path(sys.argv[2]), sys.argv[3:])
        return
    options = in_rounds(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _inputs(folder)
        _run(folder, "--direct")
        _run(folder)  # makes Prefect's database
        rounds = [(_run(folder, "--direct"), _run(folder)) for _ in range(options.rounds)]
    results: dict[str, object] = {"tiles": (EDGE // TILE) ** 2}
    for name, found in zip(("direct", "prefect"), zip(*rounds, strict=True), strict=True):
        results[name] = {key: median(one[key] for one in found) for key in found[0]}
    show("many-tiles", results, options.save)


def child(told: Path, line: list[str]) -> None:
    """One command in small tiles; what it took is written to `told`."""
    from flows.cli import run
    from tasks.resident import peak_resident_bytes

    _small_tiles()
    spent = _clock_updates() if "--direct" not in line else [0.0]
    code = run(line)
    told.write_text(json.dumps({"driver_bytes": peak_resident_bytes(), "updates": spent[0]}))
    sys.stdout.flush()
    os._exit(code)


def _small_tiles() -> None:
    from tasks import resume
    from tasks.hardware import Hardware
    from tasks.job import Job
    from tasks.plan import Plan, TileShape
    from tasks.survey import Problem

    honest = resume.make_plan

    def make_plan(job: Job, problem: Problem, hardware: Hardware) -> Plan:
        plan = honest(job, problem, hardware)
        grid = (EDGE // TILE, EDGE // TILE, 1)
        return replace(plan, tile=TileShape(TILE, TILE, problem.k), grid=grid, slots=(1, 1), residency="C", parts=1)

    resume.make_plan = make_plan


def _clock_updates() -> list[float]:
    """Seconds that updates of the bar took, summed up as they are sent."""
    from flows import artifacts

    honest, spent = artifacts.update_progress_artifact, [0.0]

    def update(key: UUID, share: float, description: str) -> object:
        began = time.monotonic()
        try:
            return honest(key, share, description=description)
        finally:
            spent[0] += time.monotonic() - began

    artifacts.update_progress_artifact = update
    return spent


def _run(folder: Path, *options: str) -> dict[str, float]:
    out, told, home = folder / "C", folder / "told.json", folder / "prefect"
    before = _size(home)
    inputs = [str(folder / "A"), str(folder / "B"), str(out)]
    fixed = ["--chunk", f"{TILE},{TILE}", "--memory", "2GiB", "--durability", "process", "--overwrite", "--quiet", "--json", "-"]
    line = [sys.executable, "-m", "benchmarks.many_tiles", CHILD, str(told), "multiply", *inputs, *fixed, *options]
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=os.environ | {"PREFECT_HOME": str(home)})
    report, found = json.loads(done.stdout), json.loads(told.read_text())
    seconds = report["measured"]["multiply_seconds"]
    return {
        "driver_bytes": found["driver_bytes"],
        "database_bytes": _size(home) - before,
        "tile_ms": 1000 * seconds / (EDGE // TILE) ** 2,
        "progress_share": found["updates"] / seconds,
    }


def _inputs(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name, shape in (("A", (EDGE, TILE)), ("B", (TILE, EDGE))):
        array = zarr.create_array(folder / name, shape=shape, chunks=(min(shape[0], 1024), min(shape[1], 1024)), dtype="float32")
        array[:] = rng.standard_normal(shape, dtype="float32")


def _size(home: Path) -> int:
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
