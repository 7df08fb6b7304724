"""A local S3 server, and a proxy before it that fails on demand.

    client --> Proxy (in this process) --> moto's server (a process of its own)

`proxy.fail(...)` names what happens to the next requests, one each: an error status, a body that breaks off, a connection that
is closed, an answer that gets lost after the server has acted.
"""

import http.client
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

START_SECONDS = 60.0
PAGE = 100
"""Keys in one page of a listing."""
_HOP_BY_HOP = ("transfer-encoding", "connection", "date", "server")


@contextmanager
def moto_server(log: Path) -> Generator[str]:
    """Start a server on a free loopback port; yields its URL and ends it by its process id.

    It is no child of this process: the command line ends every child when a run is over.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment["MOTO_S3_DEFAULT_MAX_KEYS"] = str(PAGE)
    subprocess.run(
        [sys.executable, "-W", "ignore", __file__, str(os.getpid()), str(log)], env=environment, check=True, timeout=START_SECONDS
    )
    pid = int(log.read_text().split()[0])
    try:
        yield _address(pid, log)
    finally:
        os.kill(pid, signal.SIGTERM)


def serve(owner: int, log: Path) -> None:
    """Become a server of its own that ends with its owner; the log starts with its process id and names its URL."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    child = os.fork()
    if child:
        os.write(descriptor, f"{child}\n".encode())
        return
    os.setsid()
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    from moto.server import main

    threading.Thread(target=_end_with, args=(owner,), daemon=True).start()
    main(["-H", "127.0.0.1", "-p", "0"])


def _end_with(owner: int) -> None:
    while Path(f"/proc/{owner}").exists():
        time.sleep(1)
    os._exit(0)


def make_bucket(url: str, name: str) -> None:
    request = urllib.request.Request(f"{url}/{name}", method="PUT")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def _address(pid: int, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
        found = [word for word in log.read_text().split() if word.startswith("http://127.0.0.1:")]
        if found:
            return found[0]
        time.sleep(0.05)
    raise RuntimeError(f"moto's server did not start: {log.read_text()}")


@dataclass(frozen=True)
class Fault:
    """What happens to one request."""

    status: int = 0
    """Answer this instead of asking the server."""
    code: str = ""
    """Error code in the body of that answer."""
    cut: int | None = None
    """Send only so many bytes of the body, then close the connection."""
    short: int | None = None
    """Send only so many bytes of the body, as if it had no more."""
    lost: bool = False
    """Let the server act, then close the connection without an answer."""
    closed: bool = False
    """Close the connection at once."""


@dataclass
class Proxy:
    """Where the client connects."""

    url: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    """Method, path and range of every request."""
    ignored: frozenset[str] = frozenset()
    """Request headers, in lower case, that do not reach the server."""

    def fail(self, *faults: Fault) -> None:
        self.seen.clear()
        self.faults[:] = faults


@contextmanager
def proxy_before(server: str) -> Generator[Proxy]:
    """Run a proxy before a server."""
    proxy = Proxy("")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None: ...

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.faults.pop(0) if proxy.faults else Fault()
            proxy.seen.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
            if fault.closed:
                self.close_connection = True
                return
            if fault.status:
                self._answer(fault.status, [], f"<Error><Code>{fault.code}</Code></Error>".encode(), None)
                return
            kept = {name: value for name, value in self.headers.items() if name.lower() not in proxy.ignored}
            status, headers, content = _ask(server, self.command, self.path, body, kept)
            if fault.lost:
                self.close_connection = True
                return
            if fault.short is not None:
                content = content[: fault.short]
                headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
                headers.append(("Content-Length", str(len(content))))
            self._answer(status, headers, content, fault.cut)

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, cut: int | None) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            if not any(name.lower() == "content-length" for name, _ in headers):
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content if cut is None else content[:cut])
            self.close_connection = self.close_connection or cut is not None

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_any  # noqa: N815

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


def _ask(server: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection(urlsplit(server).netloc)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, [pair for pair in answer.getheaders() if pair[0].lower() not in _HOP_BY_HOP], answer.read()
    finally:
        connection.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
