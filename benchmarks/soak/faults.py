"""What happens to a job of a soak: one row a fault, during the job or after it."""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil

from benchmarks.soak.site import Site, left_behind


@dataclass(frozen=True)
class Victim:
    """A job that runs: where its workers are, its process, and the mark of all its processes."""

    site: Site
    process: psutil.Process
    mark: str
    draw: Random

    def any_worker(self, shared: bool) -> psutil.Process | None:
        """A worker of the shared cluster, or one that the job has started."""
        found = self.site.workers() if shared else [one for one in left_behind(self.mark) if "tasks.worker" in " ".join(one.cmdline())]
        return self.draw.choice(found) if found else None


During = Callable[[Victim, bool], None]
"""Gets the job, and whether it runs on the shared cluster."""

After = Callable[[Path, Random], None]
"""Gets the finished product."""


@dataclass(frozen=True)
class Fault:
    """One fault."""

    during: During | None = None
    """Struck while the job runs."""
    after: After | None = None
    """Struck on the product: `verify` must find it, `repair` must mend it."""
    ends_the_run: bool = False
    """Whether the command may fail, and has to be given again."""


def _kill_driver(victim: Victim, shared: bool) -> None:
    victim.process.kill()


def _interrupt(victim: Victim, shared: bool) -> None:
    victim.process.send_signal(signal.SIGINT)


def _kill_everything(victim: Victim, shared: bool) -> None:
    for process in left_behind(victim.mark):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _kill_worker(victim: Victim, shared: bool) -> None:
    if worker := victim.any_worker(shared):
        worker.kill()


def _stop_worker(victim: Victim, shared: bool) -> None:
    if worker := victim.any_worker(shared):
        worker.suspend()
        time.sleep(victim.draw.uniform(1, 4))
        worker.resume()


def _flip(out: Path, draw: Random) -> None:
    chunk = _any_chunk(out, draw)
    content = bytearray(chunk.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    chunk.write_bytes(content)


def _truncate(out: Path, draw: Random) -> None:
    chunk = _any_chunk(out, draw)
    chunk.write_bytes(chunk.read_bytes()[: draw.randrange(chunk.stat().st_size)])


def _remove(out: Path, draw: Random) -> None:
    _any_chunk(out, draw).unlink()


def _any_chunk(out: Path, draw: Random) -> Path:
    return draw.choice(sorted(path for path in (out / "c").rglob("*") if path.is_file()))


FAULTS = {
    "none": Fault(),
    "driver killed": Fault(during=_kill_driver, ends_the_run=True),
    "everything killed": Fault(during=_kill_everything, ends_the_run=True),
    "interrupted": Fault(during=_interrupt, ends_the_run=True),
    "worker killed": Fault(during=_kill_worker),
    "worker stopped": Fault(during=_stop_worker),
    "byte flipped": Fault(after=_flip),
    "file truncated": Fault(after=_truncate),
    "file removed": Fault(after=_remove),
}
