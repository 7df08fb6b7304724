import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from flows import server as server_module
from flows.server import Service, TemporaryServer
from tasks.errors import BadInput, GemmflowError
from tests.flows.processes import wait_until

PARENT = """
import sys, time
from pathlib import Path
from flows.server import TemporaryServer
server = TemporaryServer(Path(sys.argv[1]))
server.wait()
print(server._process.pid, flush=True)
time.sleep(100)
"""


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.server
def test_a_server_answers_to_its_password_only_and_stops(warm_cache: Path) -> None:
    server = TemporaryServer(warm_cache)
    try:
        server.wait()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server.url}/version")
        assert refused.value.code == 401
        refused.value.close()
        pid = server._process.pid
        assert psutil.Process(pid).net_connections("tcp")[0].laddr.ip == "127.0.0.1"
    finally:
        started = time.monotonic()
        server.stop()
    assert time.monotonic() - started < 3
    assert not psutil.pid_exists(pid)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_does_not_outlive_its_parent(warm_cache: Path, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(warm_cache)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(parent.pid, number)
    wait_until(lambda: not psutil.pid_exists(pid), 20)


def test_a_server_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "broken.py"
    program.write_text("raise SystemExit('no database today')")
    monkeypatch.setattr(server_module, "_PROGRAM", program)
    server = TemporaryServer(tmp_path)
    with pytest.raises(GemmflowError, match="no database today"):
        server.wait()
    server.stop()


def test_a_port_in_use_is_bad_input(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BadInput, match="give another one"):
        TemporaryServer(tmp_path, Service(port=taken.getsockname()[1], ui=True))
