"""Resident memory of all workers, sampled from outside every 5 ms, against the budget: `python -m benchmarks.memory`.

Also the bytes read against those planned. The products are larger than their budgets.
"""

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.inputs import make_inputs
from benchmarks.saved import save_as
from tasks.units import format_bytes, parse_bytes

CASES = {"8192": (8192, 8192, 8192), "k4096": (16384, 4096, 16384)}
BUDGETS = ("1GiB", "2GiB")
INTERVAL_SECONDS = 0.005


def main() -> None:
    """Run every case at every budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    results = []
    for name, shape in CASES.items():
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            make_inputs(Path(folder), shape)
            results += [measure(Path(folder), name, budget) for budget in BUDGETS]
    print(json.dumps(results, indent=1))
    if options.save:
        save_as("memory", {"cases": results})


def measure(folder: Path, name: str, budget: str) -> dict[str, object]:
    """One run: what it may hold, planned to hold, and held."""
    from flows import multiply

    watch = Watch()
    watch.start()
    report = multiply(a=str(folder / "A"), b=str(folder / "B"), out=str(folder / f"C-{budget}"), memory=budget, direct=True)
    peak = watch.stop()
    planned, read = report.run.plan.predicted, report.measured.bytes_read
    limit = parse_bytes(budget)
    line = f"{name} {budget}: held {format_bytes(peak)}, planned {format_bytes(planned.peak_memory_bytes)}"
    print(f"{line}, {'within' if peak <= limit else 'ABOVE'} the budget; bytes read / planned {read / planned.bytes_read:.3f}", flush=True)
    return {
        "case": name,
        "budget_bytes": limit,
        "planned_bytes": planned.peak_memory_bytes,
        "peak_bytes": peak,
        "reported_peak_bytes": report.measured.peak_memory_bytes,
        "bytes_read_over_planned": read / planned.bytes_read,
        "seconds": report.clock.seconds,
        "planned_seconds": planned.seconds,
    }


class Watch(threading.Thread):
    """Sums the resident bytes of this process's worker processes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._peak = 0
        self._over = threading.Event()

    def run(self) -> None:
        """Sample until stopped; children are looked for four times a second."""
        children: list[psutil.Process] = []
        looked = 0.0
        while not self._over.wait(INTERVAL_SECONDS):
            if time.monotonic() - looked > 0.25:
                children, looked = [child for child in psutil.Process().children() if _is_worker(child)], time.monotonic()
            self._peak = max(self._peak, sum(_resident(child) for child in children))

    def stop(self) -> int:
        """The most that was resident at one moment, in bytes."""
        self._over.set()
        self.join()
        return self._peak


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "tasks.worker" in process.cmdline()
    except psutil.Error:
        return False


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


if __name__ == "__main__":
    main()
