"""Trials until the time is over: `python -m benchmarks.soak --minutes 30 --save`.

Exit code 1 where anything was lost, or memory grew.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from random import Random

from benchmarks.saved import show
from benchmarks.soak.growth import growth
from benchmarks.soak.jobs import prepare
from benchmarks.soak.site import Site, site
from benchmarks.soak.trial import Told, attempt, drawn

LONGEST = 6.0
"""A fault strikes within so many seconds of a command's start."""


def main() -> int:
    """Run, print what came of it, save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, site(Path(scratch), prepare(Path(scratch))) as opened:
        found = _trials(opened, 60 * options.minutes, Random(options.seed))
    summary = {"minutes": options.minutes, "seed": options.seed} | found
    show("soak", summary, options.save)
    return 1 if found["lost"] or found["grew"] else 0


def _trials(opened: Site, seconds: float, random: Random) -> dict[str, object]:
    told: list[Told] = []
    memory: list[dict[str, int]] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        told.append(attempt(drawn(random, LONGEST), opened, len(told)))
        memory.append(opened.memory())
        latest = told[-1]
        print(f"{len(told):4d}  {latest.seconds:5.1f} s  {latest.name}  {'; '.join(latest.complaints)}", file=sys.stderr, flush=True)
        opened.wait()
    judged = growth(memory)
    return {
        "trials": len(told),
        "commands_given_again": sum(one.runs - 1 for one in told),
        "by_kind": Counter(one.name.split(", ")[0] for one in told),
        "by_fault": Counter(one.name.split(", ")[1] for one in told),
        "lost": [asdict(one) for one in told if one.complaints],
        "grew": [name for name, process in judged.items() if not process.flat],
        "memory": {name: asdict(process) for name, process in judged.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
