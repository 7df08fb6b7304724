"""An agent: a client of the protocol, over whichever way it comes, that calls tools and reads their answers."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from time import time
from typing import Any, cast

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from flows.agent.answering import answer
from flows.agent.gate import Gate
from flows.agent.kept import Kept
from flows.agent.planning import Desk
from flows.agent.roots import open_roots
from flows.agent.server import Server, make_server
from flows.agent.store import Store, open_store
from flows.agent.tools import Tools
from tasks.job import make_job
from tests.tasks.plan_files import Saved, save

Answer = dict[str, Any]
REPOSITORY = Path(__file__).resolve().parents[3]
OVER = ("finished", "failed", "cancelled", "time_limit", "interrupted")


@dataclass
class Agent:
    """Calls tools."""

    client: Client
    progress: list[tuple[float, float | None, str | None]] = field(default_factory=list)

    async def call(self, tool: str, /, **arguments: object) -> Answer:
        """The answer of a tool that does not fail."""
        result = await self.client.call_tool(tool, arguments, progress_callback=self._note)
        assert not result.is_error, result.structured_content
        return cast("Answer", result.structured_content)

    async def fault(self, tool: str, /, **arguments: object) -> Answer:
        """The error of one that does: code, cause, fix."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        content = cast("Answer", result.structured_content)
        assert json.loads(cast("Any", result.content[0]).text) == content
        assert set(content["error"]) == {"code", "cause", "fix"} and all("\n" not in text and text for text in content["error"].values())
        return content["error"]

    async def plan(self, job: Answer, **more: object) -> Answer:
        """Analyze until the plan is there."""
        while (answer := await self.call("analyze", job=job, **more))["state"] == "planning":
            assert answer["plan_id"] is None
        return answer

    async def end(self, handle: str) -> Answer:
        """Ask until the run is over."""
        with anyio.fail_after(200):
            while (answer := await self.call("status", handle=handle, wait_seconds=10))["state"] not in OVER:
                pass
        return answer

    async def _note(self, progress: float, total: float | None, message: str | None) -> None:
        self.progress.append((progress, total, message))


@dataclass
class Place:
    """Where a server keeps its things."""

    root: Path
    state: Path
    cache: Path
    inputs: Path | None = None
    """A second root."""

    @property
    def job(self) -> Answer:
        """A.zarr times B.zarr of the last root."""
        folder = self.inputs or self.root
        return {"a": str(folder / "A.zarr"), "b": str(folder / "B.zarr"), "out": "C.zarr", "memory": "512MiB"}

    @property
    def environment(self) -> dict[str, str]:
        known = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
        return known | {"PYTHONPATH": str(REPOSITORY), "GEMMFLOW_CACHE": str(self.cache)}

    def line(self, *more: str) -> list[str]:
        roots = [word for root in (self.root, self.inputs) if root is not None for word in ("--root", str(root))]
        return [sys.executable, "-m", "flows", "mcp", *roots, "--state", str(self.state), *more]

    @asynccontextmanager
    async def stdio(self, *more: str, mode: str = "auto") -> AsyncIterator[Agent]:
        """A server of the agent's own, as clients start it."""
        command, *arguments = self.line(*more)
        async with Client(StdioServerParameters(command=command, args=arguments, env=self.environment), mode=mode) as client:
            yield Agent(client)

    @asynccontextmanager
    async def http(self, *more: str, token: str | None = None) -> AsyncIterator[tuple[str, "subprocess.Popen[str]"]]:
        """A server on HTTP: its address and its process."""
        secret = {"GEMMFLOW_MCP_TOKEN": token} if token else {}
        with subprocess.Popen(
            self.line("--http", "0", *more),
            env=self.environment | secret,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stderr is not None
            said = await anyio.to_thread.run_sync(process.stderr.readline)
            try:
                yield said.split("serving agents at ")[1].split(";")[0], process
            finally:
                process.kill()


@asynccontextmanager
async def visit(url: str, token: str | None = None, mode: str = "auto") -> AsyncIterator[Agent]:
    """An agent that comes over HTTP."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield Agent(client)


@asynccontextmanager
async def inside(server: Server) -> AsyncIterator[Agent]:
    """An agent in the process of the server."""
    async with Client(server) as client:
        yield Agent(client)


def make_tools(root: Path, state: Path, **more: Any) -> Tools:
    return Tools(Gate(open_roots([str(root)]), **more), open_store(state))


def ask(tools: Tools, talk: Callable[[Agent], Awaitable[None]]) -> None:
    """Talk to a server over these tools, without a process."""

    async def run() -> None:
        async with inside(make_server(tools)) as agent:
            await talk(agent)

    anyio.run(run)


def a_plan(store: Store, root: Path, **more: Any) -> Kept:
    """A plan that was kept, of matrices that need not exist."""
    del store
    places = {name: str(root / f"{name.upper()}.zarr") for name in ("a", "b")}
    job = make_job(**places, out=str(root / "C.zarr"), memory=2**30)
    given: Answer = {"seconds": 10.0, "usd_per_hour": None, "version": metadata.version("gemmflow"), "made_at": time(), **more}
    return Kept(job=job.model_dump(mode="json"), plan={}, **given)


def a_whole_plan(folder: Path) -> tuple[Saved, Kept]:
    """The plan of a small product on a hand-made machine, as the planner keeps it; its inputs lie in the folder."""
    saved = save(folder)
    job = saved.job.model_copy(update={"memory": saved.plan.memory_limit})
    plan = json.loads(saved.path.read_text())
    seconds, version = saved.plan.predicted.seconds, metadata.version("gemmflow")
    made = {"seconds": seconds, "usd_per_hour": None, "version": version, "made_at": time()}
    return saved, Kept.model_validate({"job": job.model_dump(mode="json"), "plan": plan, **made})


def answer_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have questions answered in this process: starting one takes a second."""

    async def _plan(self: Desk, question: str) -> Answer:
        del self
        return answer(json.loads(question))

    monkeypatch.setattr(Desk, "_plan", _plan)
