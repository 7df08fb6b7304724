"""Sealed arrays give the bits that were sealed, through open_matrix, and anything else is damage with the chunk's name."""

import pickle
import random
import secrets
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import CODECS, BadInput, CorruptData, OutputSpec, create_staging, held_bytes, open_matrix, write_block
from storage.folder import LocalFolder
from storage.object_files import write_object
from storage.seal import SEAL_FILES, Seal, create_seal, read_seal, rewrap, write_seal
from storage.sealed import SealedZarr

from .conftest import CHUNKS, SHAPE, THIN

SealFolder = Callable[[Path, Seal], Path]


def read(path: Path) -> np.ndarray:
    matrix = open_matrix(path)
    out = np.empty(matrix.shape, matrix.dtype)
    matrix.read_into(out, slice(None), slice(None))
    return out


def plain(path: Path, values: np.ndarray, codec: str = "blosc-lz4") -> Path:
    staging = create_staging(path, OutputSpec(values.shape, str(values.dtype), CHUNKS, codec), "process", "r")
    write_block(staging, 0, 0, values)
    return Path(staging.array)


@pytest.fixture(params=["none", "blosc-zstd"])
def sealed(request: pytest.FixtureRequest, tmp_path: Path, values: np.ndarray, seal: Seal, seal_folder: SealFolder) -> Path:
    return seal_folder(plain(tmp_path / "out", values, request.param), seal)


@pytest.mark.parametrize("codec", CODECS)
def test_the_bits_that_were_sealed(tmp_path: Path, values: np.ndarray, codec: str, seal: Seal, seal_folder: SealFolder) -> None:
    folder = plain(tmp_path / "out", values, codec)
    before = open_matrix(folder)
    after = open_matrix(seal_folder(folder, seal))
    assert isinstance(after.source, SealedZarr) and after.format == "sealed"
    assert (after.shape, after.dtype, after.chunks, after.codec) == (before.shape, before.dtype, before.chunks, before.codec)
    assert read(folder).tobytes() == values.tobytes()


@pytest.mark.parametrize("name", sorted(name for name in THIN if name.startswith("v3") and "sharded" not in name))
def test_every_thin_chain_can_be_sealed(tmp_path: Path, values: np.ndarray, name: str, seal: Seal, seal_folder: SealFolder) -> None:
    THIN[name](tmp_path / "a", values)
    assert read(seal_folder(tmp_path / "a", seal)).tobytes() == values.tobytes()


def test_any_slice_into_any_view(sealed: Path, values: np.ndarray) -> None:
    matrix, rng = pickle.loads(pickle.dumps(open_matrix(sealed))), random.Random(1)
    for _ in range(40):
        rows, cols = (slice(*sorted(rng.sample(range(length + 1), 2))) for length in SHAPE)
        for order in "CF":
            out = np.empty((rows.stop - rows.start, cols.stop - cols.start), np.float32, order)
            assert matrix.read_into(out, rows, cols) == matrix.decoded_bytes(rows, cols)
            assert out.tobytes() == values[rows, cols].tobytes()


def test_scratch_is_what_was_announced(sealed: Path) -> None:
    matrix = open_matrix(sealed)

    def held() -> int:
        matrix.read_into(np.empty(SHAPE, np.float32), slice(None), slice(None))
        return held_bytes()

    with ThreadPoolExecutor(1) as pool:
        assert 0 < pool.submit(held).result() <= matrix.scratch_bytes


def test_random_flipped_bits_are_named_and_give_no_numbers(sealed: Path) -> None:
    matrix, rng = open_matrix(sealed), random.Random(2)
    keys = sorted(str(file.relative_to(sealed)) for file in (sealed / "c").rglob("*") if file.is_file())
    for key in rng.choices(keys, k=500):
        file, (_, i, j) = sealed / key, key.split("/")
        content = bytearray(file.read_bytes())
        bit = rng.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        kept, _ = file.read_bytes(), file.write_bytes(content)
        rows, cols = slice(8 * int(i), min(8 * int(i) + 8, 23)), slice(5 * int(j), min(5 * int(j) + 5, 17))
        out = np.full((rows.stop - rows.start, cols.stop - cols.start), 77, np.float32)
        with pytest.raises(CorruptData, match=rf"chunk {key} (does not unseal: it was tampered|is no sealed object)"):
            matrix.read_into(out, rows, cols)
        assert (out == 77).all()
        file.write_bytes(kept)


def test_swapped_renamed_replayed_and_removed_chunks_are_damage(sealed: Path, values: np.ndarray, seal_folder: SealFolder) -> None:
    chunks = [sealed / f"c/0/{j}" for j in range(4)]
    kept = [file.read_bytes() for file in chunks]

    def refused(name: str, why: str) -> None:
        with pytest.raises(CorruptData, match=rf"chunk {name} {why}"):
            read(sealed)
        for file, content in zip(chunks, kept, strict=True):
            file.write_bytes(content)
        assert read(sealed).tobytes() == values.tobytes()

    for (one, first), (two, second) in pairwise(zip(chunks, kept, strict=True)):
        one.write_bytes(second)
        two.write_bytes(first)
        refused(str(one.relative_to(sealed)), "does not unseal: it was tampered with, swapped, renamed")
    chunks[1].rename(chunks[2])
    refused("c/0/1", "is missing, and a sealed array has every chunk")
    twin = seal_folder(plain(sealed.parents[1] / "twin", values, open_matrix(sealed).codec), create_seal("k1"))
    chunks[3].write_bytes((twin / "c/0/3").read_bytes())
    refused("c/0/3", "does not unseal")
    chunks[3].write_bytes(kept[3] + bytes(100_000))
    refused("c/0/3", "has .* bytes, more than any sealed encoding")
    for cut in (0, 35, len(kept[3]) - 1):
        chunks[3].write_bytes(kept[3][:cut])
        refused("c/0/3", "(does not unseal|is no sealed object)")
    chunks[3].unlink()
    chunks[3].mkdir()
    with pytest.raises(CorruptData, match=r"chunk c/0/3 (cannot be read|has 4096 bytes)"):
        read(sealed)


def test_metadata_that_are_damaged_or_of_another_array_are_refused(sealed: Path, values: np.ndarray, seal_folder: SealFolder) -> None:
    file = sealed / "zarr.json.sealed"
    kept = file.read_bytes()
    for bit in random.Random(4).sample(range(8 * len(kept)), 50):
        content = bytearray(kept)
        content[bit // 8] ^= 1 << bit % 8
        file.write_bytes(content)
        with pytest.raises(CorruptData, match=r"zarr\.json\.sealed (does not unseal|is no sealed object)"):
            open_matrix(sealed)
    twin = seal_folder(plain(sealed.parents[1] / "twin", values), create_seal("k1"))
    shutil.copy(twin / file.name, file)
    with pytest.raises(CorruptData, match=r"zarr\.json\.sealed does not unseal"):
        open_matrix(sealed)
    file.unlink()
    with pytest.raises(BadInput, match=r"lost its zarr\.json\.sealed"):
        open_matrix(sealed)


def test_wrong_and_missing_keys_name_the_array(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = open_matrix(sealed)
    forget(monkeypatch)
    monkeypatch.setenv("GEMMFLOW_KEY_K1", secrets.token_hex(32))
    for call in (lambda: open_matrix(sealed), lambda: matrix.read_into(np.empty(SHAPE, np.float32), slice(None), slice(None))):
        with pytest.raises(BadInput, match="key 'k1' is not the one that sealed the array"):
            call()
    with pytest.raises(BadInput, match=f"{sealed} is sealed: "):
        open_matrix(sealed)
    monkeypatch.delenv("GEMMFLOW_KEY_K1")
    with pytest.raises(BadInput, match="is sealed: key 'k1' is not known on"):
        open_matrix(sealed)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a fresh process: nothing is opened yet."""
    from storage import seal

    seal._opened.cache_clear()


def test_what_other_readers_say_is_no_array(sealed: Path) -> None:
    with pytest.raises(FileNotFoundError):
        zarr.open_array(sealed, mode="r")
    with pytest.raises(FileNotFoundError):
        zarr.open(sealed, mode="r")


def test_chunks_read_as_plain_ones_are_errors_and_never_numbers(sealed: Path, seal: Seal) -> None:
    """Even who puts the metadata beside them gets nothing."""
    from storage.object_files import read_object

    (sealed / "zarr.json").write_bytes(read_object(LocalFolder(str(sealed)), "zarr.json", seal))
    with pytest.raises((ValueError, RuntimeError)):
        zarr.open_array(sealed, mode="r")[...]
    assert open_matrix(sealed).format == "sealed"
    for name in SEAL_FILES:
        (sealed / name).unlink()
    with pytest.raises(BadInput, match="is no sealed array: its gemmflow-seal"):
        read(sealed)
    (sealed / "zarr.json.sealed").unlink()
    with pytest.raises(CorruptData):
        read(sealed)


def test_nothing_readable_is_left_in_the_folder(sealed: Path, values: np.ndarray) -> None:
    for file in sealed.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert b"shape" not in content and b"float32" not in content and b"zarr" not in content
        assert values[1, :5].tobytes() not in content


def test_another_key_takes_over(sealed: Path, values: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    write_seal(sealed, rewrap(read_seal(sealed), "k2"))
    forget(monkeypatch)
    monkeypatch.delenv("GEMMFLOW_KEY_K1")
    assert read(sealed).tobytes() == values.tobytes()


def test_an_array_that_the_thin_path_does_not_read_says_what_to_do(tmp_path: Path, values: np.ndarray, seal: Seal) -> None:
    zarr.create_array(tmp_path / "a", shape=SHAPE, shards=(16, 10), chunks=CHUNKS, dtype="f4")
    raw = (tmp_path / "a/zarr.json").read_bytes()
    (tmp_path / "a/zarr.json").unlink()
    write_seal(tmp_path / "a", seal)
    write_object(tmp_path / "a", "zarr.json", raw, seal)
    with pytest.raises(BadInput, match="is sealed and has shards or codecs"):
        open_matrix(tmp_path / "a")
