"""A local folder and an object store behave alike."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from storage.folder import Folder, LocalFolder
from storage.objects import ObjectStore


@pytest.fixture(params=["local", "s3"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    content = {"zarr.json": b"{}", "c/0/0": b"0123456789", "c/0/1": b""}
    if request.param == "local":
        for key, value in content.items():
            (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / key).write_bytes(value)
        return LocalFolder(str(tmp_path))
    store: ObjectStore = request.getfixturevalue("s3")
    for key, value in content.items():
        store.put(key, value)
    return store


def test_what_is_in_it(filled: Folder) -> None:
    assert filled.entries() == (["c"], ["zarr.json"])
    assert filled.inside("c").inside("0").entries() == ([], ["0", "1"])
    assert filled.read("zarr.json").content == b"{}" and filled.read("zarr.json") == filled.read("zarr.json")
    assert (filled.size("c/0/0"), filled.size("c/0/1")) == (10, 0)
    assert filled.holds("c/0/0") and not filled.holds("c") and not filled.holds("c/0/2")
    assert pickle.loads(pickle.dumps(filled)) == filled


@pytest.mark.parametrize("whole", [True, False])
def test_reads_end_with_the_file(filled: Folder, whole: bool) -> None:
    with filled.opened("c/0/0", whole) as file:
        target = np.zeros(6, np.uint8)
        assert (file.size, file.read_at(target, 0), target.tobytes()) == (10, 6, b"012345")
        assert (file.read_at(target, 6), target[:4].tobytes()) == (4, b"6789")
        assert file.read_at(target, 10) == 0
    with filled.opened("c/0/1", whole) as file:
        assert (file.size, file.read_at(target, 0)) == (0, 0)


@pytest.mark.parametrize("use", [lambda f: f.opened("x").__enter__(), lambda f: f.read("x"), lambda f: f.size("x")])
def test_a_missing_file_is_said_to_be_missing(filled: Folder, use: Callable[[Folder], object]) -> None:
    with pytest.raises(FileNotFoundError):
        use(filled)
