"""Whole products on a device, from host memory and from Zarr, beside what limits them, each measured alone.

    python -m benchmarks.device [--cluster cuda] [--edge 61440] [--precision bfloat16] [--memory 100GiB] [--rounds 3] [--save]

A and B are random normal float32, edge². From host memory: .npy files in a folder in memory (`--in-memory`), C uncompressed there too.
From Zarr: chunks of 2048², blosc-zstd, in `--folder`, C likewise. Limits, in seconds for this product:

    compute   torch's product of matrices of the arithmetic's type that lie in the device's memory, by its rate at `--compute-edge`
    link      A and B to the device and C back, once, by the rates of pinned copies; 0 where the device is the processor
    storage   A and B decoded once, from the page cache, by as many threads as read in the run

Asked on an H200 of bfloat16, edge 60,000 and more: from host memory at least 0.90 of compute, from Zarr at least 0.85 of the largest.
"""

import argparse
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.inputs import make_inputs, make_maps
from benchmarks.saved import save_as
from storage import open_matrix
from tasks.devices import DEVICES, torch_dtype
from tasks.hands import hands_of, read_block
from tasks.hardware import usable_cores
from tasks.host_memory import Pinned
from tasks.ladder import ARITHMETICS
from tasks.switches import IEEE, switched

LINK_BYTES = 1 << 30
REPEATS = 5


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    device = "cuda" if options.cluster == "cuda" else "cpu"
    folders = options.folder / "from-zarr", options.in_memory / "from-memory"
    try:
        results = measured(device, folders, options)
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(f"{key:30} {value}" for key, value in results.items()))
    if options.save:
        name = torch.cuda.get_device_name() if device == "cuda" else "processor"
        save_as(f"device-{device}", {"device": name, "results": {f"{options.precision} {options.edge}": results}})


def measured(device: str, folders: tuple[Path, Path], options: argparse.Namespace) -> dict[str, object]:
    """Limits, medians of the rounds, and how much of a limit the runs reach."""
    zarr, memory = folders
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    make_inputs(zarr, (options.edge,) * 3)
    make_maps(zarr)
    for name in "AB":
        shutil.move(zarr / f"{name}.npy", memory / f"{name}.npy")
    limits = limits_of(device, zarr, options)
    found = [_round(options, zarr, memory) for _ in range(options.rounds)]
    taken = {source: median(one[source] for one in found) for source in found[0]}
    return {
        "limits": limits,
        "seconds": taken,
        "host memory: compute over it": limits["compute"] / taken["host memory"],
        "zarr: largest limit over it": max(limits.values()) / taken["zarr"],
    }


def limits_of(device: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Seconds of a product of this edge by limit."""
    edge, row = options.edge, ARITHMETICS[options.precision]
    hands = hands_of(device, usable_cores())
    return {
        "compute": 2 * edge**3 / matmul_rate(device, row.stored_as, options.compute_edge),
        "link": sum(nbytes / rate for nbytes, rate in zip((8 * edge**2, 4 * edge**2), link_rates(device), strict=True)),
        "storage": _least(lambda: [_read(folder / name, hands) for name in "AB"], 1),
    }


def matmul_rate(device: str, dtype: str, edge: int) -> float:
    """Operations a second of torch's product of two edge² matrices in the device's memory."""
    place = DEVICES[device].place
    a, b = (torch.randn(edge, edge, device=place).to(torch_dtype(dtype)) for _ in range(2))

    def work() -> None:
        with switched(IEEE):
            torch.mm(a, b)
        DEVICES[device].synchronize()

    return 2 * edge**3 / _least(work, REPEATS)


def link_rates(device: str, nbytes: int = LINK_BYTES) -> tuple[float, float]:
    """Bytes a second to the device and back, from pinned memory and to it; infinite where there is no way to go."""
    if device == "cpu":
        return float("inf"), float("inf")
    pinned, there = Pinned(nbytes), DEVICES[device].empty(nbytes, torch.uint8)
    ways = (lambda: there.copy_(pinned.bytes, non_blocking=True)), (lambda: pinned.bytes.copy_(there, non_blocking=True))
    rates = [nbytes / _least(lambda way=way: (way(), DEVICES[device].synchronize()), REPEATS) for way in ways]
    pinned.release()
    return rates[0], rates[1]


def _round(options: argparse.Namespace, zarr: Path, memory: Path) -> dict[str, float]:
    return {
        "host memory": _run(options, (memory / "A.npy", memory / "B.npy", memory / "C"), "none"),
        "zarr": _run(options, (zarr / "A", zarr / "B", zarr / "C"), "blosc-zstd"),
    }


def _run(options: argparse.Namespace, paths: tuple[Path, Path, Path], codec: str) -> float:
    from flows import multiply

    shutil.rmtree(paths[2], ignore_errors=True)
    a, b, out = map(str, paths)
    report = multiply(
        a=a,
        b=b,
        out=out,
        memory=options.memory,
        codec=codec,
        precision=options.precision,
        cluster=options.cluster,
        durability="process",
        direct=True,
    )
    return report.clock.seconds


def _read(path: Path, hands: int) -> None:
    matrix = open_matrix(path)
    rows, cols = matrix.shape
    step = max(1, (1 << 30) // (cols * matrix.dtype.itemsize))
    out = np.empty((min(step, rows), cols), matrix.dtype)
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        read_block(hands, matrix, out[: stop - start], slice(start, stop), slice(0, cols))


def _least(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the best of some, after one that warms up."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", default="cuda")
    parser.add_argument("--edge", type=int, default=61440)
    parser.add_argument("--compute-edge", type=int, default=16384)
    parser.add_argument("--precision", choices=ARITHMETICS, default="bfloat16")
    parser.add_argument("--memory", default="100GiB")
    parser.add_argument("--folder", type=Path, default=Path("build/bench/device"))
    parser.add_argument("--in-memory", type=Path, default=Path("/dev/shm/gemmflow-bench"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
