"""The tools as a server of the Model Context Protocol, on standard input and output or over HTTP.

Standard output holds the protocol alone; whatever else is said goes to standard error. On HTTP no session is kept: every request stands
for itself, so a client goes on with another server where it was with this one.
"""

import json
import socket
import sys
import traceback
from importlib import metadata
from typing import Any

import uvicorn
from mcp.server.caching import CacheHint
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import CallToolResult, InputRequiredResult, TextContent, ToolAnnotations
from pydantic import ValidationError

from flows.agent.bearer import Bearer
from flows.agent.faults import AgentError, Fault, fault_of
from flows.agent.tools import Tools
from tasks.errors import GemmflowError

PATH = "/mcp"

LIST_SECONDS = 3600
"""For which a client may keep the list of tools: it is the same as long as the server lives."""

INSTRUCTIONS = (
    "Multiplies matrices that do not fit in memory, to a certified accuracy. analyze a job, compare its alternatives, submit its plan_id "
    "with limits, ask status with wait_seconds until it is finished, preview the product. analyze_shape and analyze_model say which "
    "devices suit a product or a transformer, without a plan. Errors have a code, a cause and a fix."
)

_READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)

ANNOTATIONS = {
    "analyze": ToolAnnotations(read_only_hint=True, idempotent_hint=False, open_world_hint=False),
    "analyze_shape": _READS,
    "analyze_model": _READS,
    "submit": ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False),
    "status": _READS,
    "preview": _READS,
    "cancel": ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False),
    "list_devices": _READS,
}
"""The tools, in the order of the list."""


class Server(MCPServer[Any]):
    """Answers with code, cause and fix where a tool fails, and takes no argument that a tool does not have."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: "Context[Any, Any] | None" = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; errors come back as an answer."""
        try:
            self._require_known(name, arguments)
            return await super().call_tool(name, arguments, context)
        except (ToolError, AgentError) as error:
            return failed(_fault(error))

    def _require_known(self, name: str, arguments: dict[str, Any]) -> None:
        schema = self._tool_input_schema(name)
        if schema is None:
            raise AgentError("unknown_tool", f"there is no tool {name[:80]!r}", f"call one of {', '.join(ANNOTATIONS)}")
        unknown = sorted(set(arguments) - set(schema["properties"]))
        if unknown:
            known = ", ".join(schema["properties"]) or "none"
            raise AgentError("bad_arguments", f"{name} has no argument {', '.join(unknown)[:200]}", f"its arguments are {known}")


def make_server(tools: Tools) -> Server:
    """The server over these tools."""
    server = Server(
        "gemmflow",
        title="gemmflow",
        version=metadata.version("gemmflow"),
        instructions=INSTRUCTIONS,
        log_level="ERROR",
        cache_hints={"tools/list": CacheHint(ttl_ms=LIST_SECONDS * 1000)},
        subscriptions=False,
    )
    for name, annotations in ANNOTATIONS.items():
        server.add_tool(getattr(tools, name), name=name, annotations=annotations, structured_output=True)
        schema = server._tool_input_schema(name)  # pyright: ignore[reportPrivateUsage] - the library has no other way to its schema
        assert schema is not None
        schema["additionalProperties"] = False
    return server


def failed(fault: Fault) -> CallToolResult:
    """The answer of a tool that failed."""
    error = {"error": fault.model_dump()}
    return CallToolResult(content=[TextContent(type="text", text=json.dumps(error))], structured_content=error, is_error=True)


async def serve_stdio(tools: Tools) -> None:
    """Serve until standard input ends."""
    await make_server(tools).run_stdio_async()


async def serve_http(tools: Tools, listening: socket.socket, token: str | None) -> None:
    """Serve on a socket that listens, until a signal comes; where there is a token, for who knows it."""
    host = listening.getsockname()[0]
    names = [f"{name}:*" for name in ("127.0.0.1", "localhost", "[::1]", host)]
    security = TransportSecuritySettings(allowed_hosts=names, allowed_origins=[f"http://{name}" for name in names])
    if token is not None and host not in ("127.0.0.1", "::1"):
        security = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # no page of a browser knows the token
    app = make_server(tools).streamable_http_app(streamable_http_path=PATH, stateless_http=True, transport_security=security)
    config = uvicorn.Config(
        app if token is None else Bearer(app, token), log_level="error", access_log=False, lifespan="on", timeout_graceful_shutdown=1
    )
    await uvicorn.Server(config).serve(sockets=[listening])


def _fault(error: Exception) -> Fault:
    cause = error.__cause__ if isinstance(error, ToolError) else error
    if isinstance(cause, AgentError | GemmflowError):
        return fault_of(cause)
    if isinstance(cause, ValidationError) and not isinstance(error, UnexpectedToolError):
        return _wrong_arguments(cause)
    traceback.print_exception(error, file=sys.stderr)
    return fault_of(cause or error)


def _wrong_arguments(error: ValidationError) -> Fault:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name, message = ".".join(map(str, first["loc"])), first["msg"]
    return Fault(code="bad_arguments", cause=f"{name}: {message[0].lower()}{message[1:]}", fix=f"change {name}; the tool's schema says how")
