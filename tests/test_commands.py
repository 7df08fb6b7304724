"""Every command of the documents is run, here or by a test that names the page, or says why not; and every option in them exists."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import typer

from flows.cli import app
from flows.serve import SERVED
from tests.documents import PROGRAMS, ROOT, Block, Line, blocks, commands, outside, pages
from tests.flows.prefect_api import free_port, request
from tests.flows.processes import wait_until

COMMANDS = typer.main.get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
AS_WRITTEN = ("docs/first-hour.md",)
"""Pages whose products are recorded in Prefect, as the text says; on the others `--direct` is added, which is quicker."""
ELSEWHERE = {
    "README.md": "tests/test_docs.py",
    "deployments/README.md": "tests/deployments/test_readme.py",
    "examples/README.md": "tests/examples/test_batches.py",
}
"""Pages that are run by tests of their own."""
RUN_HERE_TOO = ("docs/sealing.md",)
"""Another test reads one of its blocks."""
SOME_TILES = re.compile(r": [1-9]\d*/\d+ tiles")
PORT = "4200"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def run_elsewhere(page: Path) -> bool:
    """Whether another test reads the blocks of this page, as tests/deployments/test_readme.py does."""
    others = (path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__))
    if page.name == "README.md":
        return (ROOT / ELSEWHERE[name_of(page)]).is_file()
    return name_of(page) not in RUN_HERE_TOO and any(page.name in (text := path.read_text()) and "```" in text for path in others)


RUN_HERE = [page for page in pages() if any(line.run for line in commands(page)) and not run_elsewhere(page)]


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_a_command_stands_in_a_block_of_commands(page: Path) -> None:
    """An indented line, or a fence without a language, would not be run."""
    hidden = [line for line in outside(page).splitlines() if re.match(rf" {{4}}(\S*/)?({'|'.join(PROGRAMS)}) [\w-]", line)]
    unnamed = [block.text for block in blocks(page) if not block.language and re.match(rf"({'|'.join(PROGRAMS)}) ", block.text)]
    assert not [*hidden, *unnamed], "put it between ```sh and ```"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_what_is_not_run_says_why(page: Path) -> None:
    assert all(len(line.comment) > len("not run: why") for line in commands(page) if not line.run)


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_command_line_is_understood(page: Path) -> None:
    for line in commands(page):
        if line.gemmflow and line.gemmflow[0] in COMMANDS:
            COMMANDS[line.gemmflow[0]].make_context(line.gemmflow[0], line.gemmflow[1:])
        else:
            assert line.gemmflow in (None, ["--version"]), line.command


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_option_in_the_prose_exists(page: Path) -> None:
    for name, rest in re.findall(r"`gemmflow ([a-z]+)([^`]*)`", outside(page)):
        assert name in COMMANDS, f"gemmflow {name}"
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, f"gemmflow {name}{rest}"


def test_every_how_to_is_short_and_in_the_map() -> None:
    there = sorted((ROOT / "docs/how-to").glob("*.md"))
    linked = (ROOT / "docs/README.md").read_text()
    assert there and all(f"how-to/{page.name}" in linked for page in there)
    assert all(len(page.read_text().splitlines()) <= 70 for page in there)


def test_the_map_links_every_page() -> None:
    linked = (ROOT / "docs/README.md").read_text()
    missing = [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md" and f"({page.name})" not in linked]
    assert not missing, "add a row to docs/README.md"


@dataclass
class Reader:
    """Somebody who types what a page says."""

    folder: Path
    more: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    port: str = field(default_factory=lambda: str(free_port()))
    beside: list[subprocess.Popen[str]] = field(default_factory=list)
    said: str = ""
    """By the commands of the last block."""

    def read(self, block: Block) -> None:
        if block.file is not None:
            (self.folder / block.file).write_text(block.text)
        elif block.language == "sh":
            self.said = ""
            for line in block.lines:
                if line.run:
                    self.type(line)
        elif block.language == "text":
            missing = heads(block.text) - heads(self.said)
            assert not missing, self.said

    def type(self, line: Line) -> None:
        command = line.command.replace(PORT, self.port)
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.environment[name] = self._run(f"printf %s {value}").communicate()[0]
            return
        if line.command == "gemmflow ui":
            command += f" --port {self.port}"
        if line.gemmflow and line.gemmflow[0] in ("multiply", "gram", "batch"):
            command = " ".join([command, *self.more])
        process = self._run(command)
        if line.stays:
            self.beside.append(process)
            wait_until(lambda: self._is_there(process), 120)
            return
        if line.interrupted:
            self._interrupt(process)
        self.said += process.communicate(timeout=300)[0]
        assert process.returncode == line.code, (command, self.said)

    def leave(self) -> None:
        for process in reversed(self.beside):
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)

    def _run(self, command: str) -> "subprocess.Popen[str]":
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **self.environment}
        both = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(["bash", "-c", command], cwd=self.folder, env=environment, text=True, **both)

    def _is_there(self, process: "subprocess.Popen[str]") -> bool:
        """A server serves its last flow; a worker says that it waits for work."""
        assert process.poll() is None, process.communicate()[0]
        if "prefect" in str(process.args):
            return bool(out_of(process).readline())
        try:
            return bool(request(f"http://127.0.0.1:{self.port}/api/deployments/name/{SERVED[-1]}/{SERVED[-1]}"))
        except OSError:
            return False

    def _interrupt(self, process: "subprocess.Popen[str]") -> None:
        for line in out_of(process):
            self.said += line
            if SOME_TILES.search(line):
                process.send_signal(signal.SIGINT)
                return
        raise AssertionError(self.said)


def out_of(process: "subprocess.Popen[str]") -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def heads(text: str) -> set[str]:
    """How lines begin that are not indented; of an error, what it is about."""
    lines = [line.split() for line in text.splitlines() if line[:1].strip()]
    return {" ".join(words[:4]) if words[0] == "gemmflow:" else words[0] for words in lines}


@pytest.fixture
def reader(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """In a folder with the matrices A, B and X; no server has been there before."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    import zarr

    rng = np.random.default_rng(0)
    for name in "ABX":
        zarr.create_array(tmp_path / f"{name}.zarr", shape=(300, 300), chunks=(100, 100), dtype="float32")[:] = rng.random((300, 300))
    reader = Reader(tmp_path, () if name_of(page) in AS_WRITTEN else ("--direct", "--yes"))
    yield reader
    reader.leave()


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", RUN_HERE, ids=name_of)
def test_the_commands_of_a_page_run_one_after_the_other(page: Path, reader: Reader) -> None:
    started = time.monotonic()
    for block in blocks(page):
        reader.read(block)
    print(f"{name_of(page)}: {time.monotonic() - started:.0f} s")


def test_a_page_is_read_as_its_reader_does(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\n# data.py\nprint(1)\n```\n```sh\npython data.py\nfalse  # exit code 1\nrm x  # not run: no x\n```\n")
    reader = Reader(tmp_path, ())
    for block in [*blocks(page), Block("text", "1\n  indented\n")]:
        reader.read(block)
    with pytest.raises(AssertionError):
        reader.read(Block("text", "goodbye\n"))
    with pytest.raises(AssertionError):
        reader.read(Block("sh", "false\n"))
