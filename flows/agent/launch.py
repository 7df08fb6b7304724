"""Starting processes of our own: those of runs, which live on without the server, and their environment."""

import os
import subprocess
import sys
from pathlib import Path

from flows.agent.faults import AgentError
from flows.agent.runs import Run
from flows.cli_agents import TOKEN
from flows.serve import run_environment

_DETACH = Path(__file__).with_name("detach.py")

START_SECONDS = 30.0


def start(run: Run) -> None:
    """Start the process of a run, unless it lives; returns when it does so by itself. Raises AgentError where no process can be started."""
    held = run.take()
    if held is None:
        return
    program = [sys.executable, "-m", "flows.agent.child", str(run.folder), str(held)]
    try:
        with (run.folder / "log").open("ab") as log:
            subprocess.run(
                [sys.executable, "-I", "-S", str(_DETACH), *program],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                pass_fds=[held],
                check=True,
                timeout=START_SECONDS,
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise AgentError("not_started", f"no process could be started ({error})", "submit again with the same idempotency_key") from error
    finally:
        os.close(held)


def environment() -> dict[str, str]:
    """What our processes get: this one's variables, without the server's secrets, and where the code is."""
    inherited = {name: value for name, value in os.environ.items() if name != TOKEN}
    return inherited | run_environment()
