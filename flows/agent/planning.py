"""Plans on their way: each is made by a process of its own (`answering`), one at a time, and waits for whoever asks again.

A call never waits longer than it said. What is not ready then goes on; the same question finds it.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

from flows.agent.faults import AgentError
from flows.agent.launch import environment
from flows.agent.store import Document

MOST_WAITING = 16
"""Questions that are open at once; of those that are answered and not fetched, the oldest go."""
PLANNING_SECONDS = 900.0
"""After which planning is given up: measuring a machine takes a minute at most."""
TICK_SECONDS = 1.0

Tell = Callable[[float], Awaitable[None]]
"""Hears, each second, for how long somebody has waited."""


@dataclass
class Desk:
    """Where questions lie."""

    _open: dict[str, "asyncio.Task[Document]"] = field(default_factory=dict[str, "asyncio.Task[Document]"])
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def ask(self, question: Document, seconds: float, tell: Tell) -> Document | None:
        """What that process says, {"planned": ...}, {"advice": ...} or {"fault": ...}; None where it is not ready after so long."""
        name = json.dumps(question, sort_keys=True)
        if name not in self._open:
            self._make_room()
            self._open[name] = asyncio.create_task(self._plan(name))
        task, waited = self._open[name], 0.0
        while not task.done() and waited < seconds:
            await asyncio.wait([task], timeout=min(TICK_SECONDS, seconds - waited))
            waited += TICK_SECONDS
            if not task.done():
                await tell(waited)
        if not task.done():
            return None
        self._open.pop(name, None)
        return task.result()

    def _make_room(self) -> None:
        for name in [name for name, task in self._open.items() if task.done()][: max(0, len(self._open) - MOST_WAITING + 1)]:
            del self._open[name]
        if len(self._open) >= MOST_WAITING:
            raise AgentError("busy", f"{len(self._open)} plans are being made", "wait for one of them, then analyze again")

    async def _plan(self, question: str) -> Document:
        async with self._turn:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "flows.agent.answering",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=environment(),
                start_new_session=True,
            )
            try:
                output, _ = await asyncio.wait_for(process.communicate(question.encode()), PLANNING_SECONDS)
                return cast("Document", json.loads(output))
            except TimeoutError:
                return _gave_up(f"no plan was made in {PLANNING_SECONDS:.0f} s")
            except ValueError:
                return _gave_up(f"the planner ended with code {process.returncode}")
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.communicate()


def _gave_up(cause: str) -> Document:
    return {"fault": {"code": "not_planned", "cause": cause, "fix": "analyze again; the server's log says more"}}
