"""One decision for all: the first writer's, whole, durable, whatever the file system can do."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zarr

from storage import CODECS, DiskFull, GemmflowError, OutputSpec, TakenOver, create_staging, declare_codec, read_settled, settle, settled
from storage.sync import PARTIAL

SETTLER = """
import json, os, sys, time
from pathlib import Path
from storage import settle
for line in sys.stdin:
    path, start = json.loads(line)
    time.sleep(max(0.0, start - time.time()))
    print(json.dumps(settle(Path(path), lambda: {"codec": "none", "by": os.getpid()})), flush=True)
"""
"""What a worker does, at moments that all workers share."""


@pytest.fixture
def settlers() -> Iterator[list["subprocess.Popen[str]"]]:
    pipe = subprocess.PIPE
    line = [sys.executable, "-c", SETTLER]
    processes = [subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True) for _ in range(8)]
    yield processes
    for process in processes:
        process.communicate()


def ask(processes: list["subprocess.Popen[str]"], path: Path, start: float) -> list[str]:
    """Their answers, each a line of JSON."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(json.dumps([str(path), start]) + "\n")
        process.stdin.flush()
    return [process.stdout.readline() for process in processes if process.stdout is not None]


def test_what_was_settled_stays(tmp_path: Path) -> None:
    assert read_settled(tmp_path / "codec") is None
    first = settle(tmp_path / "codec", lambda: {"codec": "zstd"})
    again = settle(tmp_path / "codec", lambda: pytest.fail("decided twice"))
    assert first == again == read_settled(tmp_path / "codec") == {"codec": "zstd"}
    assert [path.name for path in tmp_path.iterdir()] == ["codec"]


@pytest.mark.slow
def test_processes_that_settle_at_one_moment_agree(settlers: list["subprocess.Popen[str]"], tmp_path: Path) -> None:
    ask(settlers, tmp_path / "codec", 0)  # every process is up
    for attempt in range(12):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        (decision,) = set(ask(settlers, folder / "codec", time.time() + 0.05))
        assert json.loads(decision)["by"] in {process.pid for process in settlers}
        assert [path.name for path in folder.iterdir()] == ["codec"]


@pytest.mark.parametrize("code", settled.NO_LINKS)
def test_without_links_the_first_to_create_the_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def no_link(self: Path, target: Path) -> None:
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "hardlink_to", no_link)
    barrier = threading.Barrier(8)

    def one(number: int) -> dict[str, object]:
        def decide() -> dict[str, object]:
            barrier.wait(10)
            return {"by": number}

        return settle(tmp_path / "codec", decide)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    assert len({answer["by"] for answer in answers}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["codec"]


def test_a_file_that_stays_torn_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settled, "TORN_SECONDS", 0.05)
    (tmp_path / "codec").write_bytes(b'{"cod')
    with pytest.raises(GemmflowError, match="codec is torn, so nothing was stored by it: remove it"):
        settle(tmp_path / "codec", dict)


def test_a_file_that_is_still_being_written_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "codec").write_bytes(b'{"cod')
    threading.Timer(0.2, (tmp_path / "codec").write_bytes, [b'{"codec": "none"}']).start()
    assert settle(tmp_path / "codec", dict) == {"codec": "none"}


def test_a_folder_that_is_gone_is_no_surprise(tmp_path: Path) -> None:
    with pytest.raises(TakenOver, match="is gone: the run ended or was taken over meanwhile"):
        settle(tmp_path / "none" / "codec", lambda: {"codec": "none"})


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, parts: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(settled, "write_all", full)
    with pytest.raises(DiskFull):
        settle(tmp_path / "codec", lambda: {"codec": "none"})
    assert list(tmp_path.iterdir()) == []


def test_the_decision_is_durable_before_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    link = Path.hardlink_to
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append(str(Path(f"/proc/self/fd/{descriptor}").readlink())))
    monkeypatch.setattr(Path, "hardlink_to", lambda self, target: (seen.append(self.name), link(self, target)))
    settle(tmp_path / "codec", lambda: {"codec": "none"})
    assert seen[0].endswith(PARTIAL)
    assert seen[1:] == ["codec", str(tmp_path)]
    settle(tmp_path / "codec", dict)
    assert seen[3:] == [str(tmp_path)], "a worker that only reads the decision relies on it, too"


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")
@pytest.mark.parametrize("name", CODECS)
def test_metadata_name_the_settled_codec(tmp_path: Path, name: str) -> None:
    staging = create_staging(tmp_path / "out", OutputSpec((8, 8), "float64", (4, 4), "auto"), "process", "r")
    before = json.loads(Path(staging.array, "zarr.json").read_bytes())
    declare_codec(staging.array, CODECS[name], 8)
    after = json.loads(Path(staging.array, "zarr.json").read_bytes())
    assert after.pop("codecs") == CODECS[name].metadata(8)
    assert before.pop("codecs") and after == before
    assert zarr.open_array(staging.array).shape == (8, 8)
