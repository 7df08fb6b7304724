"""What safety costs: journal, checksums and hashes; and the disk, where every chunk is synced.

    process          the run as it is, --durability process
    bare             the same without journal, checksums of what is written, and hashes    (the floor for both)
    power            the run as it is, --durability power
    synced write     as many bytes in files of a chunk, each synced, by as many processes   (what the disk itself needs)

Every round runs each once. Bare runs load a `sitecustomize` that empties the functions; nothing in the program knows of it.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np

from benchmarks.case import CHUNK, CODEC
from benchmarks.inputs import make_inputs
from benchmarks.saved import save_as
from benchmarks.settled import settled
from storage.sync import replace_file, sync_folder

SHAPES = {"8192": (8192, 8192, 8192), "k256": (16384, 256, 16384)}

BARE = textwrap.dedent(
    """
    import importlib.abc, importlib.machinery, sys

    class Nothing:
        def __init__(self, *_): pass
        def update(self, *_): return self
        def hexdigest(self): return "0" * 64

    import blake3
    blake3.blake3 = Nothing
    import xxhash
    xxhash.xxh3_128 = Nothing

    def empty_journal(module):
        module.Journal.append = lambda self, record: None

    def empty_checksum(module):
        module.crc32c = lambda encoded: 0

    CHANGES = {"storage.journal": empty_journal, "storage.write": empty_checksum}

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path, target=None):
            if name not in CHANGES:
                return None
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            load = spec.loader.exec_module
            def exec_module(module):
                load(module)
                CHANGES[name](module)
            spec.loader.exec_module = exec_module
            return spec

    sys.meta_path.insert(0, Finder())
    """
)


def main() -> None:
    """Measure and, if asked, store the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, action="append", help="default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--codec", default=CODEC)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    results = {}
    for shape in options.shape or list(SHAPES):
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            make_inputs(Path(folder), SHAPES[shape])
            results[shape] = measure(Path(folder), options.codec, options.rounds)
        print(shape, json.dumps(results[shape], indent=1))
    if options.save:
        save_as("durability", {"rounds": options.rounds, "codec": options.codec, "results": results})


def measure(folder: Path, codec: str, rounds: int) -> dict[str, float]:
    """Medians of the seconds, and of the ratios within a round."""
    (folder / "bare").mkdir()
    (folder / "bare" / "sitecustomize.py").write_text(BARE)
    seen: dict[str, list[float]] = {"process": [], "bare": [], "power": [], "synced write": []}
    for number in range(rounds + 1):
        round_ = {}
        for name, durability, extra in (("process", "process", ""), ("bare", "process", str(folder / "bare")), ("power", "power", "")):
            round_[name], stored = run(folder, (codec, durability), extra)
        round_["synced write"] = synced_write(folder, stored)
        for name, seconds in round_.items():
            seen[name] += [seconds] if number else []
    result = {f"{name} seconds": statistics.median(values) for name, values in seen.items()}
    result["process over bare"] = statistics.median(a / b for a, b in zip(seen["process"], seen["bare"], strict=True))
    added = [power - process for power, process in zip(seen["power"], seen["process"], strict=True)]
    result["added by power seconds"] = statistics.median(added)
    result["added over synced write"] = statistics.median(a / b for a, b in zip(added, seen["synced write"], strict=True))
    return result


def run(folder: Path, how: tuple[str, str], extra: str) -> tuple[float, int]:
    """Seconds of one run by its own clock, and the bytes it stored."""
    codec, durability = how
    line = ["-m", "flows", "multiply", "A", "B", "C", "--direct", "--quiet", "--json", "report.json", "--memory", "2GiB"]
    line += ["--codec", codec, "--durability", durability, "--chunk", f"{CHUNK[0]},{CHUNK[1]}"]
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(part for part in (extra, str(root)) if part)}
    with settled(folder):
        subprocess.run([sys.executable, *line], cwd=folder, env=environment, check=True, capture_output=True)
    report = json.loads((folder / "report.json").read_text())
    return report["measured"]["seconds"], report["storage"]["bytes_stored"]


def synced_write(folder: Path, nbytes: int) -> float:
    """Seconds to write and sync as many bytes in files of 16 MiB, by two processes."""
    place = folder / "synced"
    place.mkdir(exist_ok=True)
    files = max(2, nbytes // (16 << 20))
    content = folder / "content"
    np.save(content.with_suffix(".npy"), np.random.default_rng(0).integers(0, 255, nbytes // files, np.uint8))
    os.sync()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        ready = time.perf_counter()
        pool.starmap(_write, [(str(place / str(number)), str(content.with_suffix(".npy"))) for number in range(files)])
        sync_folder(str(place))
        took = time.perf_counter() - ready
    for path in place.iterdir():
        path.unlink()
    return took


def _write(path: str, content: str) -> None:
    replace_file(path, (np.load(content),), durable=True)


if __name__ == "__main__":
    main()
