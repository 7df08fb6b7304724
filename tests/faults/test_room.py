"""The disk fills in the middle: a clean stop, one line, exit code 1; the same command goes on once there is room."""

import os
import resource
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zarr

from tasks.cluster import Cluster
from tests.faults.lab import Lab
from tests.faults.world import World
from tests.flows.processes import wait_until

LIMIT = 32 << 10
"""Bytes of a file: room for a chunk of zeros, not for one of numbers."""


def limit(nbytes: int) -> None:
    """No file of this process may be larger from now on; 0: any may (run on workers)."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes or hard, hard))


def give_key(key: str) -> None:
    os.environ["GEMMFLOW_KEY_ROOM"] = key


@contextmanager
def limited(nbytes: int) -> Iterator[None]:
    limit(nbytes)
    try:
        yield
    finally:
        limit(0)


MORE = [("--durability", "power"), ("--durability", "process"), ("--seal", "room")]


@pytest.mark.parametrize("more", [MORE[0], *(pytest.param(more, marks=pytest.mark.slow) for more in MORE[1:])], ids=" ".join)
def test_no_room_for_a_chunk(lab: Lab, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, more: tuple[str, str]) -> None:
    key = secrets.token_hex(32)
    monkeypatch.setenv("GEMMFLOW_KEY_ROOM", key)
    cluster.run_on_workers(give_key, key)
    zarr.open_array(lab.world.a)[:768] = 0
    cluster.run_on_workers(limit, LIMIT)
    try:
        full = lab.run(*more)
    finally:
        cluster.run_on_workers(limit, 0)
    assert full.code == 1 and not lab.out.exists()
    assert "no room to write" in full.line and "free space" in full.line and "the same command goes on from there" in full.line
    done_before = len(lab.world.recorded())
    done = lab.run(*more)
    assert (done.code, done.report["measured"]["tiles_resumed"]) == (0, done_before)
    assert done_before > 0
    assert not list(lab.out.rglob("*.partial"))
    assert lab.command("verify", str(lab.out), "--full").code == 0
    assert lab.world.beside() == []


def test_no_room_for_a_record(lab: Lab) -> None:
    with limited(12 << 10):
        full = lab.run("--quiet")
    assert full.code == 1 and not lab.out.exists()
    assert "no room to write" in full.line and "journal" in full.line and "the same command goes on from there" in full.line
    done_before = len(lab.world.recorded())
    assert 0 < done_before < 16
    done = lab.run()
    assert (done.code, done.report["measured"]["tiles_resumed"]) == (0, done_before)
    assert lab.world.beside() == []


def test_no_room_for_the_manifest_keeps_every_tile(lab: Lab) -> None:
    from storage import manifest

    with lab.at(manifest, "digest", lambda: limit(4 << 10)):
        full = lab.run("--quiet")
    limit(0)
    assert full.code == 1 and "no room to write" in full.line, full
    assert not lab.out.exists()
    done = lab.run()
    assert (done.code, done.report["measured"]["tiles_resumed"]) == (0, 16)
    assert lab.world.beside() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[World]:
    """A file system of 48 MiB for the data alone."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(place)], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system may be mounted here ({mounted.stderr.strip()})")
    world = World(tmp_path / "world", data=place)
    try:
        yield world
    finally:
        world.close()
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_a_small_disk_that_somebody_else_fills(small_disk: World) -> None:
    command = small_disk.start(seconds=0.1)
    wait_until(lambda: len(small_disk.recorded()) > 5, 60)
    ballast = small_disk.data / "ballast"
    with pytest.raises(OSError, match="No space left"), ballast.open("wb") as file:
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    full = small_disk.end(command)
    assert full.code == 1 and "no room to write" in full.line and "Traceback" not in full.errors
    done_before = len(small_disk.recorded())
    again = small_disk.run()
    assert again.code == 3 and "free space" in again.line  # refused before anything is computed
    ballast.unlink()
    done = small_disk.run()
    assert (done.code, done.report["measured"]["tiles_resumed"]) == (0, done_before)
    assert small_disk.beside() == []
