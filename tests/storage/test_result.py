"""A stored result tells how it was made, and damage in it is found and named."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import (
    CODECS,
    BadInput,
    CorruptData,
    OutputSpec,
    create_staging,
    publish,
    read_certificate,
    set_attributes,
    verify_storage,
    write_block,
)

KEYS = [f"c/{i}/{j}" for i in range(2) for j in range(2)]


def result(out: Path, codec: str = "none", spec: OutputSpec | None = None) -> Path:
    staging = create_staging(out, spec or OutputSpec((5, 7), "float64", (4, 4), codec), "process", "r")
    write_block(staging, 0, 0, np.random.default_rng(0).standard_normal((5, 7)))
    set_attributes(staging, {"gemmflow": {"schema": 1}})
    publish(staging, overwrite=True)
    return out


@pytest.mark.parametrize("codec", CODECS)
def test_a_sound_result_has_a_certificate_and_no_damage(tmp_path: Path, codec: str) -> None:
    out = result(tmp_path / "out", codec)
    assert read_certificate(out) == {"schema": 1}
    assert verify_storage(out) == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(CODECS)), st.sets(st.sampled_from(KEYS)), st.sampled_from(["flip", "cut", "grow", "empty", "remove"]), st.data()
)
def test_exactly_the_damaged_chunks_are_named(tmp_path: Path, codec: str, keys: set[str], kind: str, data: st.DataObject) -> None:
    out = result(tmp_path / "out", codec)
    for key in keys:
        raw = bytearray((out / key).read_bytes())
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= 1 << data.draw(st.integers(0, 7))
        changed = {"flip": bytes(raw), "cut": bytes(raw[:at]), "grow": bytes(raw) + b"\0", "empty": b""}
        (out / key).unlink()
        if kind != "remove":
            (out / key).write_bytes(changed[kind])
    assert verify_storage(out) == sorted(keys)


def test_a_damaged_shard_is_named_once(tmp_path: Path) -> None:
    out = result(tmp_path / "out", spec=OutputSpec((5, 7), "float64", (2, 2), "zstd", (4, 4)))
    assert verify_storage(out) == []
    (out / "c/0/1").write_bytes(b"")
    damaged = bytearray((out / "c/1/0").read_bytes())
    damaged[9] ^= 1
    (out / "c/1/0").write_bytes(damaged)
    assert verify_storage(out) == ["c/0/1", "c/1/0"]


def test_what_is_no_result_is_bad_input(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "plain", shape=(4, 4), chunks=(2, 2), dtype="f4")
    zarr.create_array(tmp_path / "odd", shape=(4, 4), chunks=(2, 2), dtype="f4", attributes={"gemmflow": 3})
    (tmp_path / "bare").mkdir()
    for name in ("bare", "plain", "odd"):
        for ask in (read_certificate, verify_storage):
            with pytest.raises(BadInput, match="is no result of gemmflow"):
                ask(tmp_path / name)
    for ask in (read_certificate, verify_storage):
        with pytest.raises(BadInput, match="does not exist: check the path"):
            ask(tmp_path / "gone")


def test_damaged_metadata_are_damage_and_not_a_foreign_array(tmp_path: Path) -> None:
    out = result(tmp_path / "out")
    (out / "zarr.json").write_bytes((out / "zarr.json").read_bytes()[:100])
    assert verify_storage(out) == ["zarr.json"]
    with pytest.raises(CorruptData, match=r"damaged zarr\.json .*compute it again"):
        read_certificate(out)
