"""Real runs in real processes: every process they start carries a mark in its environment, so that none can hide."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil


@dataclass
class Command:
    """A `gemmflow` command in a process group of its own, as a shell would start it."""

    arguments: list[str]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    module: str = "flows"
    """Or another one that is run with `python -m`."""

    def __post_init__(self) -> None:
        self.mark = uuid.uuid4().hex
        self.started = time.time()
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module, *self.arguments],
            env=os.environ | {"GEMMFLOW_MARK": self.mark} | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def family(self) -> list[psutil.Process]:
        """Every living process that this command started, the command included."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def end(self, timeout: float = 100) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        output, errors = self.process.communicate(timeout=timeout)
        return self.process.returncode, output, errors

    def clean(self) -> None:
        for process in self.family():
            with suppress(psutil.NoSuchProcess):  # workers end by themselves, a moment after their driver
                process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("GEMMFLOW_MARK") == self.mark
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def wait_until(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def cold_home(folder: Path, warm_cache: Path) -> Path:
    """A cache where this machine is measured, and Prefect was never started."""
    cold = folder / "cold"
    cold.mkdir()
    for calibration in warm_cache.glob("calibration-*"):
        (cold / calibration.name).write_bytes(calibration.read_bytes())
    return cold
