import json
import secrets
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from flows.chores import DAYS
from flows.cli import run
from flows.cli_results import foreseen, lines
from flows.samples import Sample
from storage import Start, certify, create_seal, create_staging, publish, write_block
from storage import seal as seal_module
from tests.storage.test_stale import staging
from tests.tasks.builders import Scene, report


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A stored array with a certificate, as publish leaves it: 3 x 3 chunks in tiles of one chunk row."""
    spec = Sample((6, 6), 1, chunk=2).spec
    staging = create_staging(tmp_path / "C.zarr", spec, "process", "test")
    records = write_block(staging, 0, 0, np.ones((6, 6), np.float32)).records
    plan = {"shape": [6, 5, 6], "arithmetic": "float32", "tile": {"rows": 2, "cols": 6, "depth": 5}, "choices": [asdict(CHOICE)]}
    certify(staging, {"schema": 1, "run_id": "test", "plan": plan, "storage": {"codec": spec.codec}}, records)
    publish(staging, overwrite=False)
    return tmp_path / "C.zarr"


CHOICE = report(Scene(grid=(2, 2))).run.plan.choices[0]


def test_info_shows_the_certificate_and_the_manifest(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", str(result)]) == 0
    shown = capsys.readouterr().out
    assert "arithmetic" in shown and "root" in shown and "choices" not in shown
    assert run(["info", str(result), "--json", "-"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["plan"]["shape"] == [6, 5, 6] and said["manifest"]["root"] == said["root"]
    assert [chunk["key"] for chunk in said["manifest"]["chunks"]][:2] == ["c/0/0", "c/0/1"]


def test_info_sets_predicted_beside_measured() -> None:
    predicted = {"seconds": 10.0, "lanes": {"read": 1.0}, "memory_items": {"slabs": 1}}
    measured = {"seconds": 12.0, "lanes": {"read": 2.0}, "tiles_resumed": 0}
    assert foreseen(predicted, measured) == {
        "predicted": {"seconds": 10.0, "lanes": {"read": 1.0}},
        "measured": measured,
    }
    assert foreseen(predicted, None) == foreseen(None, measured) == {}, "results of before say one or none"


@pytest.mark.parametrize("full", [[], ["--full"]])
def test_verify_finds_a_flipped_bit_and_a_lost_chunk(result: Path, full: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(result), *full]) == 0
    assert "9 chunks" in capsys.readouterr().out
    chunk = result / "c/1/2"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    (result / "c/0/0").unlink()
    assert run(["verify", str(result), "--json", "-", *full]) == 4
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert (said["whole"], said["damaged"], said["tiles"]) == (False, ["c/0/0", "c/1/2"], [[0, 0], [1, 0]])
    assert captured.err.startswith("gemmflow: 2 files of ") and "c/1/2" in captured.err and "gemmflow repair" in captured.err


def test_many_damaged_chunks_are_counted(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for chunk in (result / "c").rglob("*"):
        if chunk.is_file():
            chunk.unlink()
    assert run(["verify", str(result), "--quiet"]) == 4
    assert "9 files" in (error := capsys.readouterr().err) and "and 4 more" in error


def test_a_root_that_was_kept_tells_another_result(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", str(result), "--json", "-"]) == 0
    root = json.loads(capsys.readouterr().out)["root"]
    assert run(["verify", str(result), "--expect-root", root]) == 0
    assert run(["verify", str(result), "--expect-root", "0" * 64]) == 4
    assert "an older one was put back" in capsys.readouterr().err
    assert run(["verify", str(result), "--expect-root", "abc"]) == 2


def test_a_result_that_does_not_say_how_it_was_made_cannot_be_repaired(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["repair", str(result)]) == 0
    assert "nothing to repair" in capsys.readouterr().out
    (result / "c/0/0").unlink()
    assert run(["repair", str(result)]) == 2
    assert "does not say how it was made" in capsys.readouterr().err


@pytest.mark.usefixtures("impatient")
def test_clean_of_a_folder_spares_what_is_young(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, young = (tmp_path / name for name in ("old.zarr", "young.zarr"))
    staging(old, age=8 * DAYS)
    staging(young, age=1 * DAYS)
    assert run(["clean", str(tmp_path), "--days", "7", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "removed": [f"{old}.gemmflow"], "kept": [str(young)]}
    assert run(["clean", str(young), "--days", "7"]) == 0
    assert capsys.readouterr().out.strip() == f"kept {young}"
    assert run(["clean", str(tmp_path), "--days", "-1"]) == 2


def test_clean_removes_what_an_unfinished_run_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    staging = create_staging(tmp_path / "C.zarr", Sample((6, 6), 1, chunk=2).spec, "process", "test")
    assert run(["clean", str(tmp_path / "C.zarr"), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == [staging.home]
    assert list(tmp_path.iterdir()) == []
    assert run(["clean", str(tmp_path / "C.zarr")]) == 0
    assert "nothing of an unfinished run" in capsys.readouterr().out


def test_lines_are_aligned_and_leave_out_what_is_empty() -> None:
    value = {"schema": 1, "plan": {"shape": [4, 5, 6], "seconds": 1.23456789}, "nonfinite": [], "root": ""}
    assert lines(value) == [f"{'schema':<20} 1", "plan", f"  {'shape':<18} 4 x 5 x 6", f"  {'seconds':<18} 1.23457"]


def test_a_list_of_mappings_is_shown_as_a_table() -> None:
    codecs = [{"name": "none", "ratio": 1.0}, {"name": "zstd-3", "ratio": 1.8333333333}]
    shown = lines({"storage": {"codecs": codecs}})
    assert shown == ["storage", "  codecs", "    name      ratio", "    none          1", "    zstd-3  1.83333"]


@pytest.fixture
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("cryptography")
    for name in ("K1", "K2"):
        monkeypatch.setenv(f"GEMMFLOW_KEY_{name}", secrets.token_hex(32))
    spec = replace(Sample((6, 6), 1, chunk=2).spec, sealed=True)
    staging = create_staging(tmp_path / "S.zarr", spec, "process", "test", Start(seal=create_seal("k1")))
    records = write_block(staging, 0, 0, np.ones((6, 6), np.float32)).records
    plan = {"tile": {"rows": 2, "cols": 6, "depth": 5}}
    certify(staging, {"schema": 1, "run_id": "test", "plan": plan, "storage": {"codec": spec.codec}}, records)
    publish(staging, overwrite=False)
    return tmp_path / "S.zarr"


@pytest.mark.parametrize("line", [["export", "s3://lab/C", "P"], ["rewrap", "s3://lab/C", "--key", "k2"], ["repair", "s3://lab/C"]])
def test_what_is_for_folders_only_is_refused_in_one_line(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "s3://lab/C" in error, error


def test_a_sealed_result_is_shown_checked_and_exported(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = sealed.with_name("P.zarr")
    assert run(["info", str(sealed), "--quiet"]) == run(["verify", str(sealed), "--full", "--quiet"]) == 0
    assert run(["export", str(sealed), str(plain), "--json", "-"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["chunks"] == 9 and said["plain"] == str(plain) and (plain / "zarr.json").is_file()
    assert run(["verify", str(plain), "--expect-root", said["root"], "--quiet"]) == 0
    assert run(["export", str(sealed), str(plain)]) == 2
    assert "P.zarr exists" in capsys.readouterr().err
    assert run(["export", str(sealed), str(plain), "--overwrite"]) == 0
    assert f"P.zarr is {sealed} without its seal: 9 chunks" in capsys.readouterr().out


def test_a_sealed_result_changes_its_key(sealed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in sealed.rglob("*") if path.is_file()}
    assert run(["rewrap", str(sealed), "--key", "k2"]) == 0
    assert capsys.readouterr().out == f"{sealed} is sealed under k2 now, and no longer under k1\n"
    after = {path: path.read_bytes() for path in sealed.rglob("*") if path.is_file()}
    assert {path.name for path in after if after[path] != before[path]} == {"gemmflow-seal.json", "seal.json"}
    monkeypatch.delenv("GEMMFLOW_KEY_K1")
    assert run(["verify", str(sealed)]) == 0
    monkeypatch.delenv("GEMMFLOW_KEY_K2")
    seal_module._opened.cache_clear()
    assert run(["verify", str(sealed)]) == run(["info", str(sealed)]) == run(["export", str(sealed), str(sealed.with_name("P"))]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(f"{sealed} is sealed: key 'k2' is not known" in line for line in lines)
    assert not sealed.with_name("P").exists()
