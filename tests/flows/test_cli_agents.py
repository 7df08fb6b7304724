import subprocess
import sys
from pathlib import Path

import pytest

from flows import cli_agents
from flows.cli import run
from flows.cli_agents import Agents, is_loopback, listen, open_tools, token_for
from tasks.errors import BadInput


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "no --root is given"),
        (["--root", "/no/such/folder"], "--root /no/such/folder is no folder: create it"),
        (["--root", "{root}", "--root", "/no/such/folder"], "/no/such/folder is no folder"),
        (["--root", "ftp://host/x"], "ftp://"),
        (["--root", "{root}", "--state", "{root}"], "is in a root or holds one"),
        (["--root", "{root}", "--state", "{root}/deep/state"], "is in a root or holds one"),
        (["--root", "{root}/deep", "--state", "{root}"], "is in a root or holds one"),
        (["--root", "{root}", "--state", "/proc/state"], "cannot be made"),
        (["--root", "{root}", "--at-once", "0"], "at_once"),
        (["--root", "{root}", "--max-seconds", "0"], "max_seconds"),
        (["--root", "{root}", "--catalogue", "/no/such/file.csv"], "/no/such/file.csv"),
        (["--root", "{root}", "--http", "99999"], "http"),
        (["--root", "{root}", "--http", "0", "--host", "0.0.0.0"], "set GEMMFLOW_MCP_TOKEN"),
        (["--root", "{root}", "--http", "0", "--host", "example.com"], "is no address"),
    ],
)
def test_what_cannot_be_served_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    root = tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    monkeypatch.setattr(cli_agents, "leave_on_signals", lambda: None)
    assert run(["mcp", *(word.format(root=root) for word in more)]) == 2
    shown = capsys.readouterr()
    assert says in shown.err and shown.out == "" and shown.err.count("\n") == 1


def test_options_reach_the_gate(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    roots = (str(tmp_path / "one"), str(tmp_path / "two"))
    given = {"state": str(tmp_path / "state"), "cluster": ("gpu.yaml",), "allow_overwrite": True, "at_once": 3, "max_seconds": 60.0}
    gate = open_tools(Agents(root=roots, **given)).gate
    assert (gate.roots.places, gate.clusters, gate.overwrite) == (roots, ("local", "cuda", "gpu.yaml"), True)
    assert (gate.at_once, gate.max_seconds) == (3, 60.0)


def test_without_its_library_the_command_says_what_to_install(tmp_path: Path) -> None:
    program = "import sys; sys.modules['mcp'] = None; from flows.cli import run; sys.exit(run(['mcp', '--root', sys.argv[1]]))"
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "pip install 'gemmflow[mcp]'" in done.stderr


def test_a_token_that_is_short_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cli_agents.TOKEN, "short")
    with pytest.raises(BadInput, match="at least 16"):
        token_for("127.0.0.1")
    monkeypatch.setenv(cli_agents.TOKEN, "x" * 16)
    assert token_for("0.0.0.0") == "x" * 16
    monkeypatch.delenv(cli_agents.TOKEN)
    assert token_for("127.0.0.1") is token_for("::1") is token_for("localhost") is None
    assert not is_loopback("10.0.0.1")


def test_a_port_that_is_taken_is_refused() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(BadInput, match="cannot be used"):
        listen("127.0.0.1", taken.getsockname()[1])
