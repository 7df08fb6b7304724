"""The pages as a reader types them: fenced blocks in order, and what the comment behind a command says about it.

```sh        commands, run one after another in one folder; behind a command may stand
                 # not run: WHY            it is not
                 # exit code N             it ends with N, else with 0
                 # press Ctrl-C ...        it is interrupted when some of its tiles are done
                 # runs until Ctrl-C ...   it goes on beside the next ones, and is ended after the last
```python    and ```yaml whose first line is `# NAME`: a file of that name
```text      what the commands before it print: the line heads are compared, figures are not
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# ([\w-]+\.(?:py|yaml))\n")
EXIT_CODE = re.compile(r"exit code (\d+)")
PROGRAMS = ("gemmflow", "make", "python", "prefect", "dask", "docker", "kubectl", "helm", "pip", "sbatch", "squeue", "nvidia-smi")


@dataclass(frozen=True)
class Line:
    """A command and the comment behind it."""

    command: str
    comment: str = ""

    @property
    def run(self) -> bool:
        return bool(self.command) and not self.comment.startswith("not run: ")

    @property
    def interrupted(self) -> bool:
        return self.comment.startswith("press Ctrl-C")

    @property
    def stays(self) -> bool:
        return self.comment.startswith("runs until Ctrl-C")

    @property
    def code(self) -> int:
        found = EXIT_CODE.search(self.comment)
        return int(found[1]) if found else 130 if self.interrupted else 0

    @property
    def gemmflow(self) -> list[str] | None:
        """Its arguments, where it is a command of ours."""
        words = shlex.split(self.command)
        return words[1:] if words[:1] == ["gemmflow"] else None


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The name under which a reader saves it."""
        found = FILE.match(self.text)
        return found[1] if found else None

    @property
    def lines(self) -> list[Line]:
        """Of a block of commands."""
        parts = (re.split(r"(?:^|\s+)# ", line, maxsplit=1) for line in self.text.splitlines())
        return [Line(command.strip(), *(part.strip() for part in comment)) for command, *comment in parts if command.strip()]


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    return [Block(*found) for found in FENCED.findall(page.read_text())]


def commands(page: Path) -> list[Line]:
    """All commands of a page, in order."""
    return [line for block in blocks(page) if block.language == "sh" for line in block.lines]


def pages() -> list[Path]:
    """Every page that a user reads."""
    named = (ROOT / name for name in ("README.md", "deployments/README.md", "examples/README.md"))
    return [*named, *sorted((ROOT / "docs").rglob("*.md"))]


def outside(page: Path) -> str:
    """The text of a page without its fenced blocks."""
    return FENCED.sub("", page.read_text())
