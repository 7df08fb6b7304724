"""A result that is sealed as it is written: nothing plain lies anywhere, every change is found, and what was plain stays the truth."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from storage import (
    BadInput,
    CorruptData,
    Journal,
    OutputSpec,
    Staging,
    Start,
    certify,
    check_out,
    chunk_buffer_bytes,
    create_seal,
    create_staging,
    declare_codec,
    discard,
    find_seal,
    find_staging,
    is_published,
    open_matrix,
    open_result,
    publish,
    read_journal,
    read_settled,
    resolve_codec,
    rewrap,
    salvage,
    scrub,
    settle,
    write_block,
    write_seal,
)
from storage.assess import assess
from storage.export import unseal_into
from storage.journal import frame
from storage.publish import RENAME_EXCHANGE, rename_with
from storage.seal import SEAL_COPY, SEAL_FILES, SEAL_HEADER, Seal

SPEC = OutputSpec((50, 70), "float64", (40, 40), "none", sealed=True)
STARTED = {"kind": "run", "input": "/secret/place"}
VALUES = np.random.default_rng(0).standard_normal((50, 70))

SealedStore = Callable[..., Path]


def write(out: Path, seal: Seal | None, values: np.ndarray = VALUES, run_id: str = "r") -> Staging:
    """A whole run but for its last step."""
    staging = create_staging(
        out, replace(SPEC, sealed=seal is not None), "process", run_id, Start(({"kind": "run", "input": "/secret/place"},), seal)
    )
    records = write_block(staging, 0, 0, values).records
    settle(Path(staging.folder, "codec"), lambda: {"codec": "none"}, staging.seal)
    with Journal.reopen(Path(staging.journal), staging.seal) as journal:
        journal.append({"kind": "tile", "norm": 12345.5})
    certify(staging, {"schema": 1, "storage": {"codec": "none"}, "job": {"a": "/secret/place"}}, records)
    return staging


@pytest.fixture
def out(tmp_path: Path, seal: Seal) -> Path:
    publish(write(tmp_path / "out", seal), overwrite=False)
    return tmp_path / "out"


def damages(out: Path, full: bool = True) -> list[str]:
    with open_result(out) as result:
        return [damage.key for damage in scrub(result, full)]


def read(out: Path) -> np.ndarray:
    matrix = open_matrix(out)
    values = np.empty(matrix.shape, matrix.dtype)
    matrix.read_into(values, slice(None), slice(None))
    return values


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_sealed_result_reads_as_what_was_written(out: Path, seal: Seal) -> None:
    assert damages(out) == [] and np.array_equal(read(out), VALUES) and find_seal(out) == seal
    with open_result(out) as result:
        assert result.certificate["run_id"] == "r" and result.seal == seal
        on_disk = sum(path.stat().st_size for path in files(out / "c"))
        assert assess(result).stored_bytes == on_disk == result.manifest.stored_bytes + 4 * 36


def test_nothing_plain_lies_anywhere_during_and_after_a_run(tmp_path: Path, seal: Seal) -> None:
    staging = write(tmp_path / "out", seal)
    secrets = [VALUES[0, :2].tobytes(), b"/secret/place", b"shape", b"float64", b"zarr_format", b"12345.5", b"kind", b"root"]
    secrets += [bytes.fromhex(os.environ["GEMMFLOW_KEY_K1"]), os.environ["GEMMFLOW_KEY_K1"].encode()]
    assert {path.name for path in files(tmp_path)} >= {"journal", "codec", "manifest", "metadata", "zarr.json.sealed", "0"}
    for when in ("during", "after"):
        for path in files(tmp_path):
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret in content], f"{path} {when}"
        if when == "during":
            publish(staging, overwrite=False)


def test_nothing_plain_is_written_for_a_moment(tmp_path: Path, seal: Seal, monkeypatch: pytest.MonkeyPatch) -> None:
    from storage import sync

    written: list[bytes] = []
    plain_write = sync.write_all

    def noted(descriptor: int, parts: list[bytes | np.ndarray]) -> None:
        written.extend(bytes(part) for part in parts)
        plain_write(descriptor, parts)

    for module in ("sync", "journal", "settled"):
        monkeypatch.setattr(f"storage.{module}.write_all", noted)
    publish(write(tmp_path / "out", seal), overwrite=False)
    together = b"".join(written)
    assert len(together) > VALUES.nbytes
    for secret in (VALUES[0, :2].tobytes(), b"/secret/place", b"shape", b"float64", b"12345.5"):
        assert secret not in together


def test_every_bit_of_metadata_and_a_chunk_counts(out: Path) -> None:
    """About 150 bits of each file, spread over its length; the two headers have each other."""
    for path in (
        out / "zarr.json.sealed",
        out / "gemmflow/manifest",
        out / "gemmflow/metadata",
        out / "c/1/1",
        *map(out.joinpath, SEAL_FILES),
    ):
        content = path.read_bytes()
        key = "zarr.json" if path.suffix == ".sealed" else str(path.relative_to(out))
        step = 8 * len(content) // 150 + 1
        for bit in range(0, 8 * len(content), step):
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            assert damages(out, full=False) == [key], f"bit {bit} of {path}"
        path.write_bytes(content[:-1])
        assert damages(out, full=False) == [key]
        path.write_bytes(content)
    assert damages(out) == []


def test_swapped_renamed_and_foreign_chunks_are_found(tmp_path: Path, out: Path) -> None:
    publish(write(tmp_path / "other", create_seal("k1")), overwrite=False)
    for one, other in (("c/0/0", "c/0/1"), ("c/0/0", "../other/c/0/0")):
        kept = (out / one).read_bytes()
        (out / one).write_bytes((out / other).read_bytes())
        assert damages(out) == ["c/0/0"]
        with pytest.raises(CorruptData, match="chunk c/0/0 does not unseal: it was tampered with, swapped"):
            read(out)
        (out / one).write_bytes(kept)


def test_an_old_version_of_a_chunk_unseals_and_is_found(tmp_path: Path, seal: Seal) -> None:
    staging = create_staging(tmp_path / "out", SPEC, "process", "r", Start(seal=seal))
    write_block(staging, 0, 0, VALUES + 1)
    old = Path(staging.array, "c/0/0").read_bytes()
    discard(staging)
    publish(write(tmp_path / "out", seal), overwrite=False)
    (tmp_path / "out/c/0/0").write_bytes(old)
    assert damages(tmp_path / "out", full=False) == damages(tmp_path / "out") == ["c/0/0"]


def test_an_old_manifest_put_back_is_found(tmp_path: Path, seal: Seal, out: Path) -> None:
    publish(write(tmp_path / "newer", seal, VALUES + 1, "r2"), overwrite=False)
    shutil.copy(out / "gemmflow/manifest", tmp_path / "newer/gemmflow/manifest")
    assert "gemmflow/manifest" in damages(tmp_path / "newer")
    shutil.copy(out / "gemmflow/metadata", tmp_path / "newer/gemmflow/metadata")
    assert damages(tmp_path / "newer"), "zarr.json says another root"


def test_either_header_is_enough_and_a_lost_one_is_damage(out: Path, seal: Seal) -> None:
    for name in SEAL_FILES:
        kept = (out / name).read_bytes()
        for content in (None, b"", kept[:-9], kept.replace(b"k1", b"k2")):
            (out / name).unlink() if content is None else (out / name).write_bytes(content)
            assert damages(out) == [name] and np.array_equal(read(out), VALUES)
            (out / name).write_bytes(kept)
    write_seal(out, rewrap(seal, "k2"))
    assert damages(out) == [] and find_seal(out) == rewrap_of(out)


def rewrap_of(out: Path) -> Seal:
    with open_result(out) as result:
        assert result.seal is not None and result.seal.key_id == "k2"
        return result.seal


def test_without_the_key_or_with_another_one_nothing_is_read(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from storage import seal as module

    module._opened.cache_clear()
    monkeypatch.setenv("GEMMFLOW_KEY_K1", os.environ["GEMMFLOW_KEY_K2"])
    with pytest.raises(BadInput, match=rf"^{out} is sealed: key 'k1' is not the one"), open_result(out) as result:
        assess(result)
    monkeypatch.delenv("GEMMFLOW_KEY_K1")
    for look in (lambda: damages(out), lambda: read(out)):
        with pytest.raises(BadInput, match=rf"^{out} is sealed: key 'k1' is not known on"):
            look()


def test_an_export_is_the_plain_result_byte_for_byte(tmp_path: Path, seal: Seal, out: Path) -> None:
    publish(write(tmp_path / "plain", None), overwrite=False)
    with open_result(out) as result:
        found = assess(result)
        staging = create_staging(tmp_path / "copy", replace(found.spec, sealed=False), "process", "x")
        root = unseal_into(staging, result, found)
        publish(staging, overwrite=False)
        assert root == result.root
    assert damages(tmp_path / "copy") == []
    assert np.array_equal(zarr.open_array(tmp_path / "copy")[:], VALUES)
    copied, plain = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in files(tmp_path / name)} for name in ("copy", "plain")
    )
    assert copied == plain, "the same run unsealed and never sealed"


def test_a_damaged_chunk_is_not_exported(tmp_path: Path, out: Path) -> None:
    (out / "c/0/1").write_bytes((out / "c/0/0").read_bytes())
    staging = create_staging(tmp_path / "copy", replace(SPEC, sealed=False), "process", "x")
    with open_result(out) as result, pytest.raises(CorruptData, match=rf"^{out} chunk c/0/1 does not unseal.*gemmflow repair"):
        unseal_into(staging, result, assess(result))


def test_a_journal_is_read_with_its_seal_only(tmp_path: Path, seal: Seal) -> None:
    records = [{"kind": "tile", "n": n} for n in range(4)]
    with Journal.create(tmp_path / "j", records[:2], seal) as journal:
        for record in records[2:]:
            journal.append(record)
    assert read_journal(tmp_path / "j", seal) == records
    assert read_journal(tmp_path / "j") == read_journal(tmp_path / "j", create_seal("k1")) == []
    with Journal.reopen(tmp_path / "j", seal) as journal:
        journal.append({"kind": "more"})
    assert read_journal(tmp_path / "j", seal) == [*records, {"kind": "more"}]
    content = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(content[:-3])
    assert read_journal(tmp_path / "j", seal) == records
    size = len(frame(records[0], 0, seal))
    first, second = (content[8 + n * size : 8 + (n + 1) * size] for n in (0, 1))
    (tmp_path / "j").write_bytes(content[:8] + first + first + second)
    assert read_journal(tmp_path / "j", seal) == records[:1], "a record counts in its own place only"


def test_a_sealed_decision_is_settled_once(tmp_path: Path, seal: Seal) -> None:
    place = tmp_path / "codec"
    first = settle(place, lambda: {"codec": "zstd"}, seal)
    assert settle(place, lambda: pytest.fail("decided twice"), seal) == first == read_settled(place, seal)
    assert b"zstd" not in place.read_bytes()
    staging = create_staging(tmp_path / "out", SPEC, "process", "r", Start(seal=seal))
    declare_codec(staging.array, resolve_codec("zstd"), 8, seal)
    assert open_matrix(Path(staging.array)).codec == "zstd"


def test_what_a_killed_run_left_is_trusted_by_its_records_alone(tmp_path: Path, seal: Seal) -> None:
    staging = create_staging(tmp_path / "out", SPEC, "process", "r", Start(seal=seal))
    records = write_block(staging, 0, 0, VALUES).records
    stale = create_staging(tmp_path / "other", SPEC, "process", "r", Start(seal=seal))
    write_block(stale, 0, 0, VALUES + 1)
    array = Path(staging.array)
    shutil.copy(Path(stale.array, "c/0/1"), array / "c/0/1")  # sound, as long, but not what the record says
    (array / "c/1/0").write_bytes((array / "c/1/0").read_bytes()[:-1])
    for name in ("c/9", "zarr.json", "zarr.json.partial", SEAL_HEADER, SEAL_COPY):
        (array / name).write_bytes(b"rubbish")
    found = find_staging(tmp_path / "out")
    assert found is not None and found.seal == seal and found.staging(SPEC, "process") == staging and not is_published(found)
    assert salvage(staging, records) == {"c/0/0", "c/1/1"}
    assert {str(path.relative_to(array)) for path in files(array)} == {"c/0/0", "c/1/1", "zarr.json.sealed", *SEAL_FILES}
    assert find_seal(array) == seal and open_matrix(array).shape == SPEC.shape


@pytest.mark.parametrize("new", ["sealed", "plain"])
@pytest.mark.parametrize("old", ["sealed", "plain"])
def test_one_replaces_the_other_whole(tmp_path: Path, seal: Seal, old: str, new: str) -> None:
    out = tmp_path / "out"
    publish(write(out, create_seal("k1") if old == "sealed" else None, VALUES + 1, "old"), overwrite=False)
    check_out(out, [], overwrite=True)
    staging = write(out, seal if new == "sealed" else None)
    found = find_staging(out)
    assert found is not None and not is_published(found)
    rename_with(RENAME_EXCHANGE, staging.array, staging.out)
    assert is_published(found), "killed before the old result was removed"
    rename_with(RENAME_EXCHANGE, staging.array, staging.out)
    publish(staging, overwrite=True)
    assert damages(out) == [] and np.array_equal(read(out), VALUES) and (find_seal(out) is None) == (new == "plain")
    assert list(tmp_path.iterdir()) == [out]


def test_a_run_killed_after_it_published_a_new_sealed_result_is_known(tmp_path: Path, seal: Seal) -> None:
    staging = write(tmp_path / "out", seal)
    found = find_staging(tmp_path / "out")
    Path(staging.array).rename(staging.out)
    assert found is not None and is_published(found)


def test_what_a_sealed_folder_may_hold_beside_is_still_asked(tmp_path: Path, out: Path) -> None:
    (out / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"holds notes\.txt beside a Zarr array"):
        check_out(out, [], overwrite=True)


def test_shards_are_not_sealed_and_seal_and_spec_agree(tmp_path: Path, seal: Seal) -> None:
    with pytest.raises(BadInput, match="sealed results have no shards"):
        OutputSpec((8, 8), "float32", (2, 2), "none", (4, 4), sealed=True)
    with pytest.raises(ValueError, match="does not go with"):
        Staging("/out", "r", 1, replace(SPEC, sealed=False), "process", seal)
    assert chunk_buffer_bytes(SPEC) >= chunk_buffer_bytes(replace(SPEC, sealed=False)) + SPEC.chunk_bytes
