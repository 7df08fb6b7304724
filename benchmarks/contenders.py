"""The ways to multiply two stored matrices that are compared, each run in a process of its own.

    python -m benchmarks.contenders NAME FOLDER SETTING   ->  one JSON line, a `Taken`

Importing this module loads nothing heavy: each process, and each one that it starts, pays for its own libraries only.
All that write, write the same chunks with the same codec (the mapped file apart), durable only against a crash of the program (the last
row apart).
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from benchmarks import cubed_peer, in_memory, memmap_peer, ours, peers
from benchmarks.case import Setting
from benchmarks.taken import Taken

ROOT = Path(__file__).resolve().parents[1]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Contender:
    """A row of the table."""

    run: Callable[[Path, Setting], Taken]
    product: str = ""
    """What it leaves in the folder; empty: nothing."""
    blas: Literal["all", "one", "own"] = "all"
    """BLAS threads of its process: the cores, one (it has threads or processes of its own), or what it decides itself."""
    package: str = ""
    """Distribution that it needs and gemmflow does not."""
    instructions: tuple[str, ...] = ()
    """Of a processor; without any of them it would take hours."""


CONTENDERS: dict[str, Contender] = {
    "torch in memory": Contender(in_memory.torch_in_memory),
    "torch bfloat16 in memory": Contender(in_memory.torch_bfloat16_in_memory, instructions=("avx512_bf16", "amx_bf16", "bf16")),
    "scipy in memory": Contender(in_memory.scipy_in_memory),
    "read, torch, write": Contender(peers.read_torch_write, peers.PRODUCT),
    "dask.array": Contender(peers.dask_array, peers.PRODUCT, "one"),
    "cubed": Contender(cubed_peer.cubed, peers.PRODUCT, "one", "cubed"),
    "numpy memmap": Contender(memmap_peer.numpy_memmap, memmap_peer.PRODUCT),
    "gemmflow": Contender(ours.gemmflow, ours.PRODUCT, "own"),
    "gemmflow, durable": Contender(ours.gemmflow_durable, ours.PRODUCT, "own"),
}


def lacking(name: str) -> str:
    """Why this machine cannot run a contender; empty where it can."""
    from benchmarks import machine

    row = CONTENDERS[name]
    if row.package and not machine.installed(row.package):
        return f"the package {row.package} is not installed"
    if row.instructions and not set(row.instructions) & set(machine.processor_flags()):
        return f"the processor has none of the instructions {', '.join(row.instructions)}"
    return ""


class Failed(Exception):
    """A contender's process ended with an error; the message is its last line."""


@dataclass(frozen=True)
class Launched:
    """A run as seen from outside."""

    taken: Taken
    process_seconds: float
    """From before the start of its process to after its end: imports and workers included."""


def launch(name: str, folder: Path, setting: Setting) -> Launched:
    """Run a contender in a fresh process on A and B of `folder`. Raises Failed."""
    command = [sys.executable, "-m", "benchmarks.contenders", name, str(folder), json.dumps(asdict(setting))]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment(name, setting))
    seconds = time.perf_counter() - start
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return Launched(Taken(**json.loads(done.stdout.splitlines()[-1])), seconds)


def environment(name: str, setting: Setting) -> dict[str, str]:
    """Of the contender's process: as ours, with its number of BLAS threads."""
    from tasks.hardware import usable_cores

    base = {key: value for key, value in os.environ.items() if key not in THREADS}
    counts = {"all": setting.cores or usable_cores(), "one": 1}
    blas = CONTENDERS[name].blas
    return base | ({} if blas == "own" else dict.fromkeys(THREADS, str(counts[blas])))


def parse_setting(text: str) -> Setting:
    """What `asdict` and JSON made of one, as it was."""
    return Setting(**{key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(text).items()})


def main() -> None:
    """Run one and say what it took."""
    name, folder, text = sys.argv[1:]
    setting = parse_setting(text)
    if setting.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: setting.cores])
    print(json.dumps(asdict(CONTENDERS[name].run(Path(folder), setting))))


if __name__ == "__main__":
    main()
