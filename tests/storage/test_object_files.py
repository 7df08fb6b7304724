"""Small objects read as they were written, sealed or not, and a sealed one in its own place only."""

from pathlib import Path

import numpy as np
import pytest

from storage import CorruptData
from storage.folder import LocalFolder
from storage.object_files import object_file, overhead, read_object, seal_parts, unseal, write_object
from storage.seal import Seal, create_seal

KEYS = ("zarr.json", "gemmflow/manifest", "gemmflow/metadata")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gemmflow").mkdir()
    return tmp_path


@pytest.mark.parametrize("key", KEYS)
def test_objects_come_back(folder: Path, key: str, seal: Seal) -> None:
    for content in (b"", b"old", b'{"shape": [3, 4]}'):
        for one in (None, seal):
            write_object(folder, key, content, one)
            assert read_object(LocalFolder(str(folder)), key, one) == content
        assert (folder / key).is_file()
        assert object_file(folder, key, seal).stat().st_size == len(content) + overhead(seal)


def test_the_parts_of_a_plain_object_are_its_own(seal: Seal) -> None:
    parts = (b"body", np.frombuffer(b"rest", np.uint8))
    assert seal_parts(None, "c/0/0", parts) is parts and unseal(None, "c/0/0", parts[1]) is parts[1]
    stored = np.frombuffer(b"".join(map(bytes, seal_parts(seal, "c/0/0", parts))), np.uint8)
    assert unseal(seal, "c/0/0", stored).tobytes() == b"bodyrest"
    assert (stored.size, overhead(None)) == (8 + overhead(seal), 0)


def test_sealed_metadata_have_a_name_that_no_zarr_library_knows(folder: Path, seal: Seal) -> None:
    write_object(folder, "zarr.json", b"{}", seal)
    assert sorted(file.name for file in folder.iterdir() if file.is_file()) == ["zarr.json.sealed"]
    assert b"{}" not in (folder / "zarr.json.sealed").read_bytes()


def test_exchanged_renamed_and_foreign_objects_are_refused(folder: Path, seal: Seal) -> None:
    other = create_seal("k1")
    for key in KEYS:
        write_object(folder, key, key.encode(), seal)
    manifest, metadata = (object_file(folder, key, seal) for key in KEYS[1:])
    first, second = manifest.read_bytes(), metadata.read_bytes()
    manifest.write_bytes(second)
    metadata.write_bytes(first)
    for key in KEYS[1:]:
        with pytest.raises(CorruptData, match=rf"{key} does not unseal: it was tampered with, swapped, renamed"):
            read_object(LocalFolder(str(folder)), key, seal)
    write_object(folder, KEYS[1], b"of another array", other)
    with pytest.raises(CorruptData, match="manifest does not unseal"):
        read_object(LocalFolder(str(folder)), KEYS[1], seal)


def test_a_plain_object_in_a_sealed_array_is_refused_and_a_missing_one_is_an_os_error(folder: Path, seal: Seal) -> None:
    (folder / KEYS[1]).write_bytes(b"plain text")
    with pytest.raises(CorruptData, match="manifest is no sealed object"):
        read_object(LocalFolder(str(folder)), KEYS[1], seal)
    for one in (None, seal):
        with pytest.raises(FileNotFoundError):
            read_object(LocalFolder(str(folder)), "zarr.json", one)
