"""gemmflow against torch in memory and dask.array, interleaved, as ratios: `make bench`.

Machines of this size are noisy, so only ratios within one round count: every round runs every contender once, and the
table shows each contender's median seconds and the median of its ratio to `torch in memory` of the same round, and to gemmflow's.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zarr

from benchmarks.contenders import CHUNK, CONTENDERS
from storage import resolve_codec
from tasks.hardware import installed_memory, processor_name, usable_cores

SHAPES = {"8192": (8192, 8192, 8192), "k256": (16384, 256, 16384)}
CODEC = "blosc-zstd"
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the comparison and store its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, action="append", help="default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--codec", default=CODEC)
    parser.add_argument("--save", action="store_true", help=f"write the result under {RESULTS.name}/")
    options = parser.parse_args()
    results = {}
    for shape in options.shape or list(SHAPES):
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            make_inputs(Path(folder), SHAPES[shape])
            results[shape] = summarise(measure(Path(folder), options.codec, options.rounds))
        print(table(shape, results[shape]))
    if options.save:
        save_as(
            "compare" if options.codec == CODEC else f"compare-{options.codec}",
            {"rounds": options.rounds, "codec": options.codec, "results": results},
        )


def make_inputs(folder: Path, shape: tuple[int, int, int]) -> None:
    """Random float32 matrices in chunks of 2048 x 2048, blosc-zstd."""
    rng = np.random.default_rng(0)
    for name, (rows, cols) in {"A": shape[:2], "B": shape[1:]}.items():
        chunks = (min(CHUNK[0], rows), min(CHUNK[1], cols))
        compressors = resolve_codec(CODEC).bytes_codecs(4)
        array = zarr.create_array(folder / name, shape=(rows, cols), chunks=chunks, dtype="float32", compressors=compressors)
        for start in range(0, rows, CHUNK[0]):
            stop = min(start + CHUNK[0], rows)
            array[start:stop] = rng.standard_normal((stop - start, cols), dtype="float32")


def measure(folder: Path, codec: str, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Every contender once a round; the first round warms caches and does not count."""
    runs = {name: (name, codec) for name in CONTENDERS} | {f"gemmflow ({other})": ("gemmflow", other) for other in ("auto", "none")}
    seen: dict[str, list[dict[str, float]]] = {label: [] for label in runs}
    for number in range(rounds + 1):
        for label, (name, chosen) in runs.items():
            result = _run(name, folder, chosen)
            if number:
                seen[label].append(result)
    return seen


def summarise(seen: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Medians, and the median ratios to torch in memory and to gemmflow of the same round."""
    floor, ours = ([run["seconds"] for run in seen[label]] for label in ("torch in memory", "gemmflow"))
    return {
        label: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        | {"ratio": _ratio(runs, floor), "over gemmflow": _ratio(runs, ours)}
        for label, runs in seen.items()
    }


def _ratio(runs: list[dict[str, float]], others: list[float]) -> float:
    return statistics.median(run["seconds"] / other for run, other in zip(runs, others, strict=True))


def table(shape: str, rows: dict[str, dict[str, float]]) -> str:
    """For people."""
    lines = [f"{' x '.join(map(str, SHAPES[shape]))} float32", f"{'':24} {'seconds':>8} {'/ torch':>8} {'/ gemmflow':>11}"]
    for label, row in rows.items():
        lines.append(f"{label:24} {row['seconds']:8.2f} {row['ratio']:8.2f} {row['over gemmflow']:11.2f}")
    return "\n".join([*lines, ""])


def save_as(name: str, results: dict[str, Any]) -> None:
    """One file a day and kind, with what is needed to read it later; shapes that were measured before stay in it."""
    versions = {package: metadata.version(package) for package in ("gemmflow", "torch", "numpy", "dask", "zarr", "numcodecs", "prefect")}
    date = time.strftime("%Y-%m-%d")
    machine = {
        "processor": processor_name(),
        "cores": usable_cores(),
        "memory_bytes": installed_memory(),
        "python": platform.python_version(),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{date}-{name}.json"
    if path.exists():
        results["results"] = json.loads(path.read_text())["results"] | results["results"]
    path.write_text(json.dumps({"date": date, "machine": machine, "versions": versions, **results}, indent=1) + "\n")
    print(f"saved benchmarks/results/{path.name}")


WARM = """
import sys, time
import numpy as np
from pathlib import Path
held = np.ones(int(sys.argv[1]), np.uint8)
print("ready", flush=True)
while not any(Path(sys.argv[2]).glob("C*")):
    time.sleep(0.005)
"""


@contextmanager
def settled(folder: Path) -> Generator[None]:
    """Leave nothing of one run to the next: no result, no dirty pages, and memory that the host has backed.

    A virtual machine gets its memory from its host at the first touch, at 0.5 to 2 GB/s, and gives back within seconds what lies idle:
    who starts slowly would pay for pages that are there for who starts at once. So another process holds some, and lets go of
    them at the moment when the run creates its result.
    """
    for path in folder.glob("C*"):
        shutil.rmtree(path)
    os.sync()
    nbytes = min(3 << 30, psutil.virtual_memory().available // 4)
    with subprocess.Popen([sys.executable, "-c", WARM, str(nbytes), str(folder)], stdout=subprocess.PIPE, text=True) as warm:
        assert warm.stdout is not None
        warm.stdout.readline()
        try:
            yield
        finally:
            warm.terminate()


def _run(name: str, folder: Path, codec: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.contenders", name, str(folder), codec]
    with settled(folder):
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
