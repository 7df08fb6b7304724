"""The command for agents: mcp."""

import os
import signal
import socket
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from pydantic import BaseModel, ConfigDict, Field

from flows.options import Group, command
from flows.show import tell
from flows.signals import end_descendants
from storage import expanded
from tasks.errors import BadInput

if TYPE_CHECKING:
    from flows.agent.tools import Tools

TOKEN = "GEMMFLOW_MCP_TOKEN"
"""Variable with the token that HTTP requests must bear."""
SHORTEST_TOKEN = 16


class Agents(BaseModel):
    """What agents may do, and how they come here."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    root: tuple[str, ...] = ()
    """Folder, or s3://bucket/key, that agents may read from and write to; may be given more than once. Relative paths are those in the
    first. Needed."""
    state: str | None = None
    """Folder of plans and runs, outside of the roots. Default: agent in GEMMFLOW_CACHE."""
    cluster: tuple[str, ...] = ()
    """Cluster that runs may use beside local and cuda: a name, file or address; may be given more than once."""
    allow_overwrite: bool = False
    """Let runs replace results."""
    catalogue: str | None = None
    """A CSV or YAML file with devices or prices of your own, for the advice on devices."""
    at_once: int = Field(default=1, ge=1, le=64)
    """Runs that go on at the same time; others wait. Default: 1."""
    max_seconds: float = Field(default=30 * 86400.0, gt=0, le=30 * 86400.0)
    """Longest that a run may take. Default: 30 days."""
    http: int | None = Field(default=None, ge=0, le=65535)
    """Serve HTTP on this port, at /mcp, instead of standard input and output; 0: any that is free."""
    host: str = "127.0.0.1"
    """Address to listen on; others than this host's own need a token in GEMMFLOW_MCP_TOKEN. Default: 127.0.0.1."""
    debug: bool = False
    """Show the traceback of an error."""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    command(app, "mcp", Group(Agents))(mcp)


def mcp(agents: Agents) -> int:
    """Serve agents over the Model Context Protocol: analyze, submit, status, preview and cancel products, and ask about devices.

    On standard input and output, as clients start it, or over HTTP. Runs go on when the server ends; another one finds them.
    """
    tools = open_tools(agents)
    import anyio  # noqa: PLC0415 - slow, and needed only here

    from flows.agent import server  # noqa: PLC0415

    leave_on_signals()
    if agents.http is None:
        anyio.run(server.serve_stdio, tools)
    else:
        serve_http(tools, agents.host, agents.http)
    end_now()
    return 0


def serve_http(tools: "Tools", host: str, port: int) -> None:
    """Serve until a signal comes. Raises BadInput where nobody can listen there, or a token is needed and missing."""
    import anyio  # noqa: PLC0415

    from flows.agent import server  # noqa: PLC0415

    token = token_for(host)
    with listen(host, port) as listening:
        host, port = listening.getsockname()[:2]
        tell(f"serving agents at http://{f'[{host}]' if ':' in host else host}:{port}{server.PATH}; Ctrl-C ends it")
        if token is None:
            tell(f"every user of this host may use it: set {TOKEN} to ask for a token")
        anyio.run(server.serve_http, tools, listening, token)


def open_tools(agents: Agents) -> "Tools":
    """The tools. Raises BadInput where a root, the state or the catalogue cannot be used, or the library is missing."""
    try:
        from flows.agent.tools import Tools  # noqa: PLC0415 - the library is an extra
    except ModuleNotFoundError as error:
        raise BadInput(f"gemmflow mcp needs another library ({error.name}): pip install 'gemmflow[mcp]'") from error
    from flows.agent.gate import Gate  # noqa: PLC0415
    from flows.agent.roots import open_roots  # noqa: PLC0415
    from flows.agent.store import default_state, open_store  # noqa: PLC0415
    from tasks.catalogue import catalogue  # noqa: PLC0415

    roots = open_roots(agents.root)
    state = str(expanded(agents.state).absolute() if agents.state else default_state().absolute())
    if roots.touch(state):
        raise BadInput(f"the state folder {state} is in a root or holds one, so agents could write to it: name another one with --state")
    gate = Gate(roots, ("local", "cuda", *agents.cluster), agents.allow_overwrite, agents.at_once, agents.max_seconds)
    if agents.catalogue is not None:
        catalogue(expanded(agents.catalogue))
    return Tools(gate, open_store(Path(state)), agents.catalogue and str(expanded(agents.catalogue).absolute()))


def token_for(host: str) -> str | None:
    """The token that requests must bear. Raises BadInput where one is needed and missing, or too short to be one."""
    token = os.environ.get(TOKEN)
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise BadInput(f"{TOKEN} has {len(token)} characters, at least {SHORTEST_TOKEN} are needed: make one with openssl rand -hex 32")
    if token is None and not is_loopback(host):
        raise BadInput(f"--host {host} lets others than this host's users in: set {TOKEN} to a token, or leave --host out")
    return token


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this host alone. Raises BadInput where it is no address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        raise BadInput(f"--host {host} is no address: give one of this host's, such as 127.0.0.1") from None


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises BadInput where there can be none."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128)
    except OSError as error:
        raise BadInput(f"{host} port {port} cannot be used ({error.strerror}): give another one with --http") from None


def leave_on_signals() -> None:
    """End at once on a signal: nothing that matters is in this process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: end_now())


def end_now() -> None:
    """End this process, and planners that it started; runs are none of its own."""
    try:
        end_descendants()
        sys.stderr.flush()
    finally:
        os._exit(0)
