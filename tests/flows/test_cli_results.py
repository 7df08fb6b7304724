import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from flows.cli import run
from flows.cli_results import lines
from flows.samples import Sample
from storage import certify, create_staging, publish, write_block
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
