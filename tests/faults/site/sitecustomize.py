"""What a fault test puts first on the path of every process of a run: faults at chosen steps, without a line in the code itself.

    GEMMFLOW_FAULTS  folder of the test
        fault        the command's token, new for each, then lines STEP:N:VICTIM:
                     kill VICTIM (self, driver, all) when a process reaches STEP for the N-th time
        struck       gets a line for each that has struck, behind the token; none strikes twice
        computed     gets a line for every tile that is begun
        driver       process id of the latest command, behind the token
    GEMMFLOW_TRICKS  JSON, see CHANGES: a plan of small tiles, another version, a kernel of other bits, ...

A module is changed right after it was loaded, so that whoever imports from it gets the change.
"""

import contextlib
import functools
import importlib.abc
import importlib.machinery
import json
import os
import re
import signal
import sys
from collections import Counter
from pathlib import Path

FOLDER = Path(os.environ.get("GEMMFLOW_FAULTS", os.devnull))
TRICKS = json.loads(os.environ.get("GEMMFLOW_TRICKS", "{}"))
TEMPORARY = re.compile(r"(\.\d+-[0-9a-f]+-\d+)?\.partial$")
SEEN: Counter[str] = Counter()
ASKED = [""]
WORKER = "tasks.worker" in sys.orig_argv


def note(name, text):
    with (FOLDER / name).open("a") as file:
        file.write(f"{text}\n")


def token():
    """Of the command that is under way."""
    return (FOLDER / "fault").read_text().splitlines()[0]


def latest():
    """Token and process id of the last driver that started; none yet where nobody has."""
    path = FOLDER / "driver"
    return path.read_text().split() if path.exists() else ["", ""]


def reach(step):
    """Say that this process is at a step; strike where it is one that was asked for."""
    if not step:
        return
    asked = (FOLDER / "fault").read_text()
    if asked != ASKED[0]:
        ASKED[0] = asked
        SEEN.clear()
    SEEN[step] += 1
    command, *lines = asked.splitlines()
    for number, line in enumerate(lines):
        wanted, count, victim = line.split(":")
        if step == wanted and SEEN[step] >= int(count):
            strike(command, f"{number} {line}", victim)


def strike(command, fault, victim):
    """Once for each command; and not before its driver is there, since workers that outlive drivers end tiles of the one before."""
    started, driver = latest()
    if victim == "driver" and started != command:
        return
    with contextlib.suppress(FileExistsError):
        os.close(os.open(FOLDER / f"struck {command} {fault}".replace(":", "-"), os.O_CREAT | os.O_EXCL))
        note("struck", f"{command} {fault}")
        for process in {"self": list, "driver": lambda: [int(driver)], "all": marked}[victim]():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if victim != "driver":
            os.kill(os.getpid(), signal.SIGKILL)


def marked():
    """Every other process that carries the mark of this command."""
    mark = f"GEMMFLOW_MARK={os.environ['GEMMFLOW_MARK']}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(entry.name) != os.getpid() and mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def kind_of(path):
    """What a path of a staging folder is: chunk, manifest, header, journal, holder, home, epoch; empty for all others."""
    if ".gemmflow" not in str(path):
        return ""
    parts = str(path).split("/")
    if len(parts) > 3 and parts[-3] == "c":
        return "chunk"
    plain = {"manifest": "manifest", "metadata": "metadata", "zarr.json": "header", "journal": "journal", "holder": "holder"}
    inside = [part for part in parts if ".gemmflow" in part]
    return plain.get(parts[-1]) or ("home" if parts[-1] == inside[0] else "epoch" if parts[-2] == inside[0] else "")


def around(owner, name, kind, steps):
    """Wrap a function: two steps, before it and after it, for arguments that have a kind."""
    honest = getattr(owner, name)

    def wrapped(*args, **kwargs):
        before, after = (f"{kind(*args)} {step}" if kind(*args) else "" for step in steps)
        reach(before)
        answer = honest(*args, **kwargs)
        reach(after)
        return answer

    setattr(owner, name, wrapped)


def opened(descriptor, *_):
    """The kind of an open file; a chunk has its place under a temporary name still."""
    with contextlib.suppress(OSError):
        return kind_of(TEMPORARY.sub("", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
    return ""


def watch_files():
    around(os, "fsync", opened, ("written", "fsynced"))
    for name in ("replace", "rename"):
        around(os, name, lambda _, target: kind_of(target), ("renaming", "renamed"))


def watch_journal(module):
    around(module.Journal, "append", lambda _, record: record["kind"], ("recording", "recorded"))


def questions(name, step):
    """A function that workers are asked to run: two steps there, none in the driver, which calls some of them too."""

    def watch(module):
        honest = getattr(module, name)

        @functools.wraps(honest)  # workers find it by its name
        def wrapped(*args, **kwargs):
            reach(f"{step} asked" if WORKER else "")
            answer = honest(*args, **kwargs)
            reach(f"{step} answered" if WORKER else "")
            return answer

        setattr(module, name, wrapped)

    return watch


def watch_loading(module):
    del module
    reach("worker loading" if WORKER else "")


def watch_exchange(module):
    around(module, "rename_with", lambda *_: "exchange", ("before", "after"))


def watch_manifest(module):
    around(module, "write_manifest", lambda *_: "manifest", ("before", "after"))


def small_tiles(module):
    """Plans of tiles as `tile` says (rows, cols, depth), on two workers, by one kernel whatever was measured."""
    from dataclasses import replace

    honest = module.make_plan

    def make_plan(job, problem, hardware):
        plan, tile = honest(job, problem, hardware), TRICKS["tile"]
        grid = tuple(-(-extent // edge) for extent, edge in zip((problem.m, problem.n, problem.k), tile, strict=True))
        shape = plan.tile.__class__(*tile)
        return replace(plan, tile=shape, grid=grid, slots=(1, 1), residency="C", workers=2, threads_per_worker=1, kernel="torch", parts=1)

    module.make_plan = make_plan


def count_tiles(module):
    honest = module.compute_tile

    def compute_tile(recipe, tile, attempt=0):
        note("computed", tile.index)
        reach("tile computing")
        if "seconds" in TRICKS:
            import time

            time.sleep(TRICKS["seconds"])
        if "hog" in TRICKS:
            hog(tile.index)
        return honest(recipe, tile, attempt)

    module.compute_tile = compute_tile


def hog(tile):
    """Take too much memory, and wait for the end: for each tile that comes, or for one of them once."""
    import time

    if TRICKS["hog"] != "always":
        if tile != TRICKS["hog"] or (FOLDER / "hogged").exists():
            return
        (FOLDER / "hogged").touch()
    note("struck", f"{token()} hog {tile}")
    held = bytearray(2 << 30)
    held[::4096] = b"x" * len(held[::4096])
    time.sleep(60)


def other_kernel(module):
    """Kernels whose results differ: by a last bit here and there, or by far."""

    def spoiled(honest):
        def kernel(accumulator, a, b, beta):
            honest(accumulator, a, b, beta)
            accumulator[::7] *= 1 + TRICKS["kernel"]

        return kernel

    module.KERNELS.update({name: spoiled(honest) for name, honest in module.KERNELS.items()})


def other_version(module):
    honest = module.version
    module.version = lambda name: TRICKS["version"] if name == "gemmflow" else honest(name)


def impatience(module):
    module.STANDSTILL_SECONDS = TRICKS["standstill"]
    module.require_free.__defaults__ = (TRICKS["standstill"],)


def little_room(module):
    """A limit on the size of files, in this kind of process only."""
    del module
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (TRICKS["fsize"], TRICKS["fsize"]))


def often_renewed(module):
    """Prefect asks for a slot again after so many seconds, not after four minutes."""
    module._RENEWAL_FRACTION = TRICKS["renewed"] / 300


def deafness(module):
    """Prefect's own processes do not hear that a run is to be cancelled."""

    async def deaf(observer):
        del observer
        await module.asyncio.Event().wait()

    module.FlowRunCancellingObserver._consume_events = deaf


def jumping_clock():
    """The wall clock goes forth and back by so many seconds, in all processes at once, from one second to the next."""
    import time

    honest = time.time
    time.time = lambda: honest() + (0, TRICKS["clock"], 0, -TRICKS["clock"])[int(time.monotonic()) % 4]


CHANGES = {
    "storage.journal": [(watch_journal, None)],
    "storage.publish": [(watch_exchange, None)],
    "storage.manifest": [(watch_manifest, None)],
    "tasks.resume": [(small_tiles, "tile")],
    "tasks.tile": [(count_tiles, None), (little_room, "fsize"), (watch_loading, None)],
    "tasks.handshake": [(questions("describe_code", "code"), None), (questions("look_at_files", "files"), None)],
    "tasks.rates": [(questions("measure_worker", "rates"), None), (questions("measure_threads", "threads"), None)],
    "tasks.kernels": [(other_kernel, "kernel")],
    "storage.lease": [(impatience, "standstill")],
    "prefect.concurrency._leases": [(often_renewed, "renewed")],
    "prefect._internal.observers": [(deafness, "deaf")],
}


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of CHANGES as usual, and changes them once they are loaded."""

    def find_spec(self, name, path, target=None):
        if name not in CHANGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            for change, trick in CHANGES[name]:
                if trick is None or trick in TRICKS:
                    change(module)

        spec.loader.exec_module = exec_module
        return spec


if "GEMMFLOW_FAULTS" in os.environ:
    if "flows" in sys.orig_argv:
        whole = FOLDER / f"driver.{os.getpid()}"
        whole.write_text(f"{token()} {os.getpid()}")
        whole.replace(FOLDER / "driver")
    sys.meta_path.insert(0, Finder())
    reach("worker started" if WORKER else "")
    if "clock" in TRICKS:
        jumping_clock()
    watch_files()
    if "version" in TRICKS:
        from importlib import metadata

        other_version(metadata)
