"""Nothing of one run is left to the next: no result, no dirty pages, and memory that the host has backed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

WARM = """
import sys, time
import numpy as np
from pathlib import Path
held = np.ones(int(sys.argv[1]), np.uint8)
print("ready", flush=True)
while not any(Path(sys.argv[2]).glob("C*")):
    time.sleep(0.005)
"""
MOST_HELD = 3 << 30


@contextmanager
def settled(folder: Path, most: int = MOST_HELD) -> Generator[None]:
    """Leave nothing of one run to the next; `most` bytes are held ready for it.

    A virtual machine gets its memory from its host at the first touch, at 0.5 to 2 GB/s, and gives back within seconds what lies idle:
    who starts slowly would pay for pages that are there for who starts at once. So another process holds some, and lets go of
    them at the moment when the run creates its result.
    """
    remove_results(folder)
    os.sync()
    nbytes = min(most, psutil.virtual_memory().available // 4)
    with subprocess.Popen([sys.executable, "-c", WARM, str(nbytes), str(folder)], stdout=subprocess.PIPE, text=True) as warm:
        assert warm.stdout is not None
        warm.stdout.readline()
        try:
            yield
        finally:
            warm.terminate()


def remove_results(folder: Path) -> None:
    """Everything in the folder whose name begins with C: results, and what was made on the way to them."""
    for path in folder.glob("C*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
