"""How a server ends: when its client is gone, or on a signal, at once and without a word on standard output."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.flows.agent.agents import Place


@pytest.fixture
def process(root: Path, tmp_path: Path):
    place = Place(root, tmp_path / "state", tmp_path / "cache")
    pipe = subprocess.PIPE
    with subprocess.Popen(place.line(), env=place.environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write('{"jsonrpc": "2.0", "id": 1, "method": "nonsense"}\nno json\n')
        process.stdin.flush()
        assert '"error"' in process.stdout.readline()  # it serves
        yield process
        process.kill()


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("way", ["end of input", signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_server_ends_at_once(process: "subprocess.Popen[str]", way: str | signal.Signals) -> None:
    asked = time.monotonic()
    if isinstance(way, signal.Signals):
        process.send_signal(way)
        assert process.wait(30) == 0
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0 and time.monotonic() - asked < 10
    assert all(line.startswith('{"jsonrpc"') for line in output.splitlines())
    assert "Traceback" not in errors
