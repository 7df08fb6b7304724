"""`make test-slow`: two lanes side by side, since servers mostly wait and tiles mostly compute; then the tests that are alone.

What failed is said once more at the end, shortly: hours of output may be kept by their last lines only.
"""

import re
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

SLOW = "(slow or server or browser) and not gpu"
LANES = {"servers": f"{SLOW} and not alone and server and not browser", "others": f"{SLOW} and not alone and not (server and not browser)"}
LAST = {"alone": f"{SLOW} and alone"}

NOTHING_CHOSEN = 5
"""Exit code of pytest."""

CAUSE = re.compile(r"_{5,} .+ _{5,}$|E   |\S+\.py:\d+: \w|(FAILED|ERROR) ")
"""Lines of pytest's account of a failure that name the test, what was wrong and where."""

KEPT = 16
WIDTH = 160
"""Lines of a lane that are said again, and characters of each."""


@dataclass(frozen=True)
class Ended:
    """How a lane ended: pytest's exit code, and what to say again."""

    code: int
    causes: list[str]


def causes(lines: Iterable[str]) -> list[str]:
    """The last lines that tell what failed, where and why."""
    return [line.rstrip()[:WIDTH] for line in lines if CAUSE.match(line)][-KEPT:]


def run(lane: tuple[str, str]) -> Ended:
    """The tests of a lane, each line of theirs behind its name."""
    name, chosen = lane
    command = [sys.executable, "-m", "pytest", "-m", chosen, *sys.argv[1:]]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as tests:
        assert tests.stdout is not None
        for line in tests.stdout:
            print(f"{name:7} | {line}", end="", flush=True)
            lines.append(line)
    return Ended(tests.returncode, causes(lines))


def main() -> None:
    """Run all; arguments go to pytest. Ends with 1 where a lane failed."""
    with ThreadPoolExecutor(len(LANES)) as pool:
        ended = [*pool.map(run, LANES.items()), *map(run, LAST.items())]
    for name, lane in zip(LANES | LAST, ended, strict=True):
        if lane.code not in (0, NOTHING_CHOSEN):
            print(f"{name} failed ({lane.code}):", *lane.causes, sep="\n  ")
    codes = [lane.code for lane in ended]
    sys.exit(any(code not in (0, NOTHING_CHOSEN) for code in codes) or all(code == NOTHING_CHOSEN for code in codes))


if __name__ == "__main__":
    main()
