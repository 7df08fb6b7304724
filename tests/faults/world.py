"""A folder with A and B, whole `gemmflow` commands on them in processes of their own, and what they leave.

The product is 1024 x 256 x 1024 in 64 tiles of one chunk each; `site/sitecustomize.py` makes the plan small and lets faults strike.
"""

import json
import os
import secrets
from collections import Counter
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from unittest import mock

import numpy as np
import zarr

from flows.samples import Sample, write_sample
from storage import ChunkRecord, find_seal, open_result, read_journal
from tasks.hardware import host_fingerprint, remember
from tests.flows.processes import Command, wait_until
from tests.tasks import machines

SITE = Path(__file__).parent / "site"
TILE, TILES, WORKERS = (128, 128, 256), 64, 2
OTHER_VERSION = "0.0.7"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    output: str
    errors: str

    @property
    def line(self) -> str:
        """The last line on standard error."""
        return self.errors.splitlines()[-1] if self.errors else ""

    @property
    def report(self) -> dict:
        """The JSON on standard output."""
        assert self.code == 0, self
        return json.loads(self.output)


@dataclass
class World:
    """One folder; every command that it starts is ended by `close`."""

    folder: Path
    tricks: dict[str, object] = field(default_factory=lambda: {"tile": TILE})
    commands: list[Command] = field(default_factory=list)
    token: str = field(default="", init=False)
    """Of the latest command: whose faults are counted."""
    data: Path = Path()
    """Where A, B and OUT lie; by default a folder of its own."""

    def __post_init__(self) -> None:
        self.faults, self.cache = self.folder / "faults", self.folder / "cache"
        self.data, self.scratch = self.folder / "data" if self.data == Path() else self.data, self.folder / "tmp"
        for folder in (self.faults, self.cache, self.data, self.scratch):
            folder.mkdir(parents=True, exist_ok=True)
        self.strike("")
        write_sample(self.a, Sample((1024, 256), 1, chunk=256))
        write_sample(self.b, Sample((256, 1024), 2, chunk=256))
        with mock.patch.dict(os.environ, GEMMFLOW_CACHE=str(self.cache)):
            remember(replace(machines.hardware(), fingerprint=host_fingerprint("cpu")))
            honest = metadata.version
            with mock.patch.object(metadata, "version", lambda name: OTHER_VERSION if name == "gemmflow" else honest(name)):
                remember(replace(machines.hardware(), fingerprint=host_fingerprint("cpu")))

    @property
    def a(self) -> Path:
        return self.data / "A.zarr"

    @property
    def b(self) -> Path:
        return self.data / "B.zarr"

    @property
    def out(self) -> Path:
        return self.data / "C.zarr"

    @property
    def staging(self) -> Path | None:
        """The folder of the run that is under way or unfinished."""
        return next((folder for folder in Path(f"{self.out}.gemmflow").glob("*.*")), None)

    def start(self, *more: str, fault: str = "", line: tuple[str, ...] | None = None, **tricks: object) -> Command:
        """The multiplication, or another command line, in a process group of its own."""
        self.strike(*filter(None, fault.split(",")))
        self.commands.append(Command([*(line or self.line), *more], self.folder, self.environment(**tricks)))
        return self.commands[-1]

    def environment(self, **tricks: object) -> dict[str, str]:
        """What a process of a run needs to know."""
        return {
            "PYTHONPATH": str(SITE),
            "GEMMFLOW_CACHE": str(self.cache),
            "GEMMFLOW_FAULTS": str(self.faults),
            "TMPDIR": str(self.scratch),
            "GEMMFLOW_TRICKS": json.dumps(self.tricks | tricks),
        }

    @property
    def line(self) -> tuple[str, ...]:
        fixed = ("--direct", "--chunk", "128,128", "--memory", "1GiB", "--durability", "process", "--codec", "blosc-zstd", "--json", "-")
        return ("multiply", str(self.a), str(self.b), str(self.out), *fixed)

    def run(self, *more: str, fault: str = "", line: tuple[str, ...] | None = None, **tricks: object) -> Done:
        """The same, to its end."""
        return self.end(self.start(*more, fault=fault, line=line, **tricks))

    def end(self, command: Command, timeout: float = 100) -> Done:
        """How it ended; none of its processes is left."""
        done = Done(*command.end(timeout))
        wait_until(lambda: command.family() == [], 20)
        return done

    def strike(self, *faults: str) -> None:
        """From now on these faults wait to strike, each once; what strikes late of the ones before does not count."""
        self.token, whole = secrets.token_hex(4), self.faults / "fault.new"
        whole.write_text("\n".join([self.token, *faults]))
        whole.replace(self.faults / "fault")

    def killed(self, *more: str, tiles: int = 20) -> int:
        """Kill everything after so many tiles were recorded; returns how many the journal holds."""
        assert self.run(*more, fault=f"tile recorded:{tiles}:all").code == -9
        assert len(self.struck) == 1
        return len(self.recorded())

    @property
    def struck(self) -> list[str]:
        """The faults that did."""
        path = self.faults / "struck"
        lines = path.read_text().splitlines() if path.exists() else []
        return [fault for command, _, fault in (line.partition(" ") for line in lines) if command == self.token]

    def computed(self) -> Counter[int]:
        """How often each tile was begun, over all runs since `forget`."""
        path = self.faults / "computed"
        return Counter(map(int, path.read_text().split())) if path.exists() else Counter()

    def forget(self) -> None:
        """Count from zero."""
        (self.faults / "computed").unlink(missing_ok=True)

    def recorded(self) -> list[dict]:
        """Tiles in the journal of the unfinished run."""
        folder = self.staging
        if folder is None or not (folder / "journal").exists():
            return []
        return [record["tile"] for record in read_journal(folder / "journal", find_seal(folder)) if record["kind"] == "tile"]

    def chunks(self) -> tuple[ChunkRecord, ...]:
        """What the manifest of OUT says: the product bit for bit."""
        with open_result(self.out) as result:
            return result.manifest.chunks

    def root(self) -> str:
        with open_result(self.out) as result:
            return result.root

    def values(self) -> np.ndarray:
        return zarr.open_array(self.out, mode="r")[:]

    def beside(self) -> list[str]:
        """What lies in the folder of OUT apart from A, B and OUT."""
        return sorted({path.name for path in self.data.iterdir()} - {self.a.name, self.b.name, self.out.name})

    def close(self) -> None:
        for command in self.commands:
            command.clean()
