"""Worker processes of this host: started, watched, started again when they die, and ended by process id.

They are plain child processes with an environment of their own: the driver's environment and its main module are never
touched, a script needs no `__main__` guard, and Ctrl-C on the terminal reaches the driver alone.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import IO

from tasks.errors import GemmflowError
from tasks.gate import Gate
from tasks.wording import ended

MODULE = "tasks.worker"
MAX_RESTARTS = 8
"""How often one worker is started again; after that its place stays empty."""
MOST_DEATHS = 3
"""How often one worker may be killed while it starts. One that ends by itself then would do so again."""
END_SECONDS = 2.0
"""How long a worker may take to end before it is killed."""

RETURNED_AT = 32 << 20
"""Bytes from which a freed block goes back to the system at once, the most that glibc accepts. Below, the codecs' own temporaries
would be fresh pages for every block (measured: at 1 MiB blosc-zstd encodes at 0.45 of the speed, blosc-lz4 at 0.7); with no limit
glibc's threshold grows with use. Tiles and slabs have pages of their own; the end of a run gives the rest back."""

IDLE_THREADS_SLEEP = {"OPENBLAS_THREAD_TIMEOUT": "4", "GOMP_SPINCOUNT": "1000"}
"""After 2**4 cycles and 1000 turns: the threads of one library would spin on the cores that those of the other need next (measured with
two threads: float32-wide 214 GFLOP/s, 395 with it; without both, and something else running, 2)."""

Environment = Mapping[str, str]


class WorkerProcess:
    """One worker: a child process, replaced when it dies."""

    def __init__(self, command: Sequence[str], environment: Environment, gate: Gate) -> None:
        self.command = command
        self.environment = environment
        self._gate = gate
        self.restarts = 0
        self.deaths: list[int] = []
        """How each child that was to go on ended, as `subprocess` says it."""
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        self._lock = threading.Lock()
        self._ending = False
        self._child = gate.start(self._start)

    @property
    def pid(self) -> int:
        """Process id of the present child."""
        return self._child.pid

    def last_words(self) -> str:
        """The last line that the process wrote to standard error."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it wrote nothing"

    def join(self, address: str) -> None:
        """Tell the child where its scheduler is, and watch it from now on."""
        self._tell(address)
        threading.Thread(target=self._watch, args=(address,), name="worker watch", daemon=True).start()

    def hang_up(self) -> None:
        """Ask the child to end; it is not replaced."""
        with self._lock:
            self._ending = True
            self._hang_up()

    def end(self, deadline: float) -> None:
        """Wait for the child until `deadline` (monotonic seconds), then kill it."""
        try:
            self._child.wait(max(0.0, deadline - monotonic()))
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._log.close()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            start_new_session=True,
        )

    def _tell(self, address: str) -> None:
        with suppress(BrokenPipeError):
            assert self._child.stdin is not None
            self._child.stdin.write(f"{address}\n".encode())
            self._child.stdin.flush()

    def _hang_up(self) -> None:
        with suppress(BrokenPipeError):
            assert self._child.stdin is not None
            self._child.stdin.close()

    def _watch(self, address: str) -> None:
        while True:
            status = self._child.wait()
            with self._lock:
                if self._ending:
                    return
                self.deaths.append(status)
                if self.restarts == MAX_RESTARTS:
                    return
                self._hang_up()
                self.restarts += 1
                try:
                    self._child = self._gate.start(self._start)
                except GemmflowError:  # shut
                    return
                self._tell(address)


class WorkerProcesses:
    """The worker processes of one cluster."""

    def __init__(self, environments: Sequence[Environment], limit: int, gate: Gate) -> None:
        self.gate = gate
        self.folder = Path(tempfile.mkdtemp(prefix="gemmflow-workers-"))
        self.members: list[WorkerProcess] = []
        try:
            for index, environment in enumerate(environments):
                command = [sys.executable, "-P", "-m", MODULE, str(index), str(self.folder / str(index)), str(limit)]
                self.members.append(WorkerProcess(command, environment, gate))
        except BaseException:
            self.end()
            raise

    def join(self, address: str) -> None:
        """Let every process join the scheduler at `address`."""
        for member in self.members:
            member.join(address)

    def check(self) -> None:
        """Raise GemmflowError when a process ended by itself or was killed too often while it started, or nobody wants them any more."""
        self.gate.check()
        for member in self.members:
            deaths = list(member.deaths)
            if any(status >= 0 for status in deaths):
                raise GemmflowError(f"a worker process ended while it started: {member.last_words()}")
            if len(deaths) > MOST_DEATHS:
                often = f"{ended(deaths[-1])} while it started, {len(deaths)} times"
                raise GemmflowError(f"a worker process was {often}: see what ends it; a kernel that is out of memory says so in its log")

    @property
    def deaths(self) -> tuple[int, ...]:
        """How children ended that were to go on, oldest first of each place."""
        return tuple(status for member in self.members for status in list(member.deaths))

    def end(self) -> None:
        """End every process within END_SECONDS; those that do not listen are killed."""
        for member in self.members:
            member.hang_up()
        deadline = monotonic() + END_SECONDS
        for member in self.members:
            member.end(deadline)
        shutil.rmtree(self.folder, ignore_errors=True)


def worker_environment(threads: int, **more: str) -> Environment:
    """The environment of a worker: this process's, this code's folder, `threads` for every BLAS, memory given back when freed."""
    variables = dict(os.environ)
    root = str(Path(__file__).resolve().parents[1])
    variables["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [variables.get("PYTHONPATH")])])
    variables |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    variables = IDLE_THREADS_SLEEP | variables
    variables |= dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(RETURNED_AT))
    return variables | more
