"""What a small job of a batch costs beyond its arithmetic: `python -m benchmarks.batch`.

Jobs of 512 x 512 float32 on one open cluster, with Prefect and without. The arithmetic of a job is what its tiles took, from read to
write. The first job opens the workers and is left out; so is the start of Prefect's server.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import yaml

from benchmarks.saved import in_rounds, show
from flows.samples import Sample, write_sample

EDGE = 512


def main() -> None:
    """Measure and print."""
    parser = in_rounds(__doc__)
    parser.add_argument("--jobs", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _prepare(folder, options.jobs)
        _run(folder, "--direct")
        found: dict[str, object] = {name: _cost(folder, options.rounds, more) for name, more in (("direct", ["--direct"]), ("prefect", []))}
        found["complete"] = _again(folder)
    show("batch", found, options.save)


def _cost(folder: Path, rounds: int, more: list[str]) -> dict[str, float]:
    """Seconds of a job beyond its tiles: the median of all rounds' medians, and the mean of the round that has it."""
    found = sorted(([_beyond(result) for result in _run(folder, "--again", *more)[1:]] for _ in range(rounds)), key=median)
    middle = found[len(found) // 2]
    return {"median_seconds": median(middle), "mean_seconds": sum(middle) / len(middle), "most_seconds": max(middle)}


def _beyond(result: dict) -> float:
    workers = result["report"]["measured"]["workers"]
    return result["seconds"] - max(worker["busy_seconds"] for worker in workers)


def _again(folder: Path) -> float:
    """Seconds of a job that is complete."""
    return median(result["seconds"] for result in _run(folder, "--direct"))


def _prepare(folder: Path, jobs: int) -> None:
    for name, seed in (("A", 1), ("B", 2)):
        write_sample(folder / name, Sample((EDGE, EDGE), seed))
    (folder / "jobs.yaml").write_text(yaml.safe_dump([{"a": "A", "b": "B", "out": f"C{number}"} for number in range(jobs)]))


def _run(folder: Path, *more: str) -> list[dict]:
    line = [sys.executable, "-m", "flows", "batch", str(folder / "jobs.yaml"), "--quiet", "--json", "-", *more]
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)["results"]


if __name__ == "__main__":
    main()
