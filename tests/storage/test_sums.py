"""Partial sums that are kept: whole or absent, and never what was not written."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from storage import (
    CODECS,
    DiskFull,
    OutputSpec,
    Staging,
    Start,
    TakenOver,
    create_seal,
    create_staging,
    pack_numbers,
    resolve_codec,
    unpack_numbers,
)
from storage.sums import FOLDER, keep_sum, read_sum

CONTENT = bytes(range(256)) * 40


def staged(folder: Path, sealed: bool = False) -> Staging:
    spec = OutputSpec((4, 4), "float32", (4, 4), "none", sealed=sealed)
    return create_staging(folder / "C", spec, "power", "r1", Start((), create_seal("team") if sealed else None))


@pytest.fixture(params=[False, True], ids=["plain", "sealed"])
def staging(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Staging:
    (tmp_path / "keys").mkdir(mode=0o700)
    key = tmp_path / "keys" / "team.key"
    key.write_text("11" * 32)
    key.chmod(0o600)
    monkeypatch.setenv("GEMMFLOW_KEYS", str(tmp_path / "keys"))
    return staged(tmp_path, request.param)


def test_what_was_kept_is_read(staging: Staging) -> None:
    assert read_sum(staging, "0-0-1") is None
    keep_sum(staging, "0-0-1", b"older")
    keep_sum(staging, "0-0-1", CONTENT)
    assert read_sum(staging, "0-0-1") == CONTENT
    assert read_sum(staging, "0-0-2") is None
    assert [path.name for path in Path(staging.folder, FOLDER).iterdir()] == ["0-0-1"]


def test_a_sealed_run_keeps_nothing_in_the_clear(staging: Staging) -> None:
    keep_sum(staging, "x", CONTENT)
    stored = Path(staging.folder, FOLDER, "x").read_bytes()
    assert (CONTENT in stored) == (staging.seal is None)


@pytest.mark.parametrize("cut", [0, 1, 31, 32, 33, 500, -1])
def test_a_torn_file_is_none(staging: Staging, cut: int) -> None:
    keep_sum(staging, "x", CONTENT)
    path = Path(staging.folder, FOLDER, "x")
    path.write_bytes(path.read_bytes()[:cut])
    assert read_sum(staging, "x") is None


@pytest.mark.parametrize("place", [0, 20, 32, 40, 5000, -1])
def test_a_flipped_bit_is_found(staging: Staging, place: int) -> None:
    keep_sum(staging, "x", CONTENT)
    path = Path(staging.folder, FOLDER, "x")
    stored = bytearray(path.read_bytes())
    stored[place] ^= 4
    path.write_bytes(stored)
    assert read_sum(staging, "x") is None


def test_one_part_is_not_taken_for_another_in_a_sealed_run(tmp_path: Path, staging: Staging) -> None:
    keep_sum(staging, "x", CONTENT)
    shutil.copy(Path(staging.folder, FOLDER, "x"), Path(staging.folder, FOLDER, "y"))
    assert (read_sum(staging, "y") is None) == (staging.seal is not None)


def test_who_lost_the_folder_keeps_nothing(staging: Staging) -> None:
    shutil.rmtree(staging.folder)
    with pytest.raises(TakenOver):
        keep_sum(staging, "x", CONTENT)


def test_a_full_disk_is_said_and_leaves_nothing(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, *_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite" if staging.durability == "power" else "writev", full)
    with pytest.raises(DiskFull):
        keep_sum(staging, "x", CONTENT)
    assert list(Path(staging.folder, FOLDER).iterdir()) == []


INSTALLED = [name for name, codec in CODECS.items() if codec.installed]


@pytest.mark.parametrize("name", INSTALLED)
@settings(deadline=None, max_examples=15)
@given(values=arrays(st.sampled_from([np.float32, np.float64]), st.tuples(st.integers(1, 9), st.integers(1, 70))))
def test_numbers_come_back_bit_for_bit_in_every_codec(name: str, values: np.ndarray) -> None:
    """NaN with any payload, infinities and both zeros among them."""
    target = np.empty_like(values)
    content = pack_numbers(values, name)
    assert unpack_numbers(content, target)
    assert target.tobytes() == values.tobytes()
    assert name.encode() in content[:64]
    assert not unpack_numbers(content, np.empty((*values.shape, 2), values.dtype))


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("cut", [0, 3, 4, 5, 6, 12, -1])
def test_numbers_that_are_torn_are_none(name: str, cut: int) -> None:
    values = np.random.default_rng(0).standard_normal((40, 50))
    assert not unpack_numbers(pack_numbers(values, name)[:cut], np.empty_like(values))


def test_numbers_of_an_earlier_state_or_of_an_unknown_codec_are_none() -> None:
    values = np.random.default_rng(0).standard_normal((40, 50))
    assert not unpack_numbers(values.tobytes(), np.empty_like(values))
    assert not unpack_numbers(pack_numbers(values, "zstd").replace(b"zstd", b"none", 1), np.empty_like(values))
    assert not unpack_numbers(pack_numbers(values, "zstd").replace(b"zstd", b"zzzz", 1), np.empty_like(values))


def test_numbers_in_a_codec_that_is_not_here_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.ones((4, 5), np.float32)
    content = pack_numbers(values, "none").replace(b"\x04none", b"\x07missing", 1)
    monkeypatch.setitem(CODECS, "missing", replace(resolve_codec("none"), name="missing", package="a_package_that_is_not_here"))
    assert not unpack_numbers(content, np.empty_like(values))
