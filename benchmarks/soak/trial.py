"""One job of a soak with its fault, until it is done and checked; what went wrong, in words."""

import secrets
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psutil

from benchmarks.soak.faults import FAULTS, Victim
from benchmarks.soak.jobs import KINDS, line
from benchmarks.soak.site import MARK, Site, left_behind

SECONDS = 300
"""No command may take longer."""

TRIES = 3
"""A command that a fault ended is given again at most so often."""

_DAMAGE_FOUND = 4


@dataclass(frozen=True)
class Draw:
    """What a trial is: a kind of job, a fault, where it runs and at which second the fault strikes."""

    kind: str
    fault: str
    shared: bool
    """On the cluster that outlives the job; otherwise on workers of its own."""
    moment: float
    random: Random = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """What came of it is filed under this."""
        return f"{self.kind}, {self.fault}, {'shared' if self.shared else 'own'} workers"


@dataclass(frozen=True)
class Told:
    """What came of a trial; no complaint means that nothing was lost."""

    name: str
    seconds: float
    runs: int
    complaints: tuple[str, ...]


def drawn(random: Random, longest: float) -> Draw:
    """The next trial; its fault strikes within `longest` seconds."""
    kind, fault = random.choice(list(KINDS)), random.choice(list(FAULTS))
    return Draw(kind, fault, random.random() < 0.5, random.uniform(0.5, longest), random)


def attempt(draw: Draw, site: Site, number: int) -> Told:
    """Run one trial; OUT is removed where nothing was wrong with it."""
    out, began = site.folder / f"C{number}.zarr", time.monotonic()
    more = ["--cluster", site.address] if draw.shared else []
    command = [*line(KINDS[draw.kind], site.folder, out, draw.random), *more]
    complaints, runs = _run(draw, site, command)
    if not complaints:
        complaints = _check(draw, site, out)
    if not complaints:
        shutil.rmtree(out)
        complaints = _traces(out)
    return Told(draw.name, time.monotonic() - began, runs, tuple(complaints))


def _run(draw: Draw, site: Site, command: list[str]) -> tuple[list[str], int]:
    """The command, with its fault, and again where that ended it."""
    fault = FAULTS[draw.fault]
    for run in range(TRIES):
        strike = run == 0
        code, errors = _command(site, command, draw if strike else None)
        if code == 0:
            return [], run + 1
        if not strike and "exists" in errors:
            return [], run + 1  # it was complete when the fault struck
        if not (strike and fault.ends_the_run):
            return [_without(site, f"{' '.join(command)}: exit code {code}: {errors[-500:]}")], run + 1
    return [_without(site, f"{' '.join(command)}: not done after {TRIES} times")], TRIES


def _without(site: Site, words: str) -> str:
    """What may stand in a record: no path of this machine."""
    return words.replace(f"{site.folder}/", "").strip()


def _command(site: Site, command: list[str], draw: Draw | None) -> tuple[int, str]:
    mark = secrets.token_hex(8)
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", *command],
        env=site.environment | {MARK: mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if draw is not None and (during := FAULTS[draw.fault].during) is not None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(draw.moment)
        if process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                during(Victim(site, psutil.Process(process.pid), mark, draw.random), draw.shared)
    try:
        _, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return -1, f"still running after {SECONDS} s"
    return process.returncode, errors + _orphans(mark)


def _orphans(mark: str, seconds: float = 30) -> str:
    until = time.monotonic() + seconds
    while (left := left_behind(mark)) and time.monotonic() < until:
        time.sleep(0.2)
    return f"; left running: {[' '.join(process.cmdline())[:100] for process in left]}" if left else ""


def _check(draw: Draw, site: Site, out: Path) -> list[str]:
    """Verify; damage it where that is the fault, find that, mend it, and verify again."""
    wanted = [("verify", "--full", 0), ("verify", "--against-inputs", 0)]
    after = FAULTS[draw.fault].after
    if after is not None:
        after(out, draw.random)
        wanted = [("verify", "--full", _DAMAGE_FOUND), ("repair", "--full", 0), *wanted]
    for what, option, code in wanted:
        found, errors = _command(site, [what, str(out), option, "--quiet"], None)
        if found != code:
            return [_without(site, f"{what} {option} of {draw.name}: exit code {found}, {code} expected: {errors[-500:]}")]
    return []


def _traces(out: Path) -> list[str]:
    """Nothing may lie beside a product that is done."""
    left = sorted(path.name for path in out.parent.glob(f"{out.name}*"))
    return [f"left beside {out.name}: {', '.join(left)}"] if left else []
