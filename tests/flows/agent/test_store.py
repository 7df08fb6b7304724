import json
import os
import threading
from pathlib import Path

import pytest

from flows.agent.store import open_store, read, sweep, write, write_once
from tasks.errors import BadInput


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "deep" / "state")
    assert all(folder.stat().st_mode & 0o777 == 0o700 for folder in (store.folder, store.plans, store.runs, store.slots))
    store.folder.chmod(0o777)
    with pytest.raises(BadInput, match="can be written by others"):
        open_store(tmp_path / "deep" / "state")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be made"):
        open_store(tmp_path / "file" / "state")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "x.json", {"a": [1, "b"]})
    assert read(tmp_path / "x.json") == {"a": [1, "b"]}
    assert read(tmp_path / "missing.json") is None
    (tmp_path / "x.json").write_text('{"a": [1')
    assert read(tmp_path / "x.json") is None
    (tmp_path / "x.json").write_text("[1]")
    assert read(tmp_path / "x.json") is None


def test_of_many_writers_at_once_one_is_first(tmp_path: Path) -> None:
    said: list[bool] = []
    threads = [threading.Thread(target=lambda n=n: said.append(write_once(tmp_path / "x.json", {"n": n}))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said.count(True) == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "x.json"]
    assert json.loads((tmp_path / "x.json").read_text())["n"] in range(8)


def test_what_is_old_is_swept(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).write_text("")
    os.utime(tmp_path / "old", (1, 1))
    sweep(tmp_path, 60)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
