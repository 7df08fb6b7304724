import json
from pathlib import Path

import pytest

from flows.cli import run
from flows.cli_results import lines
from flows.samples import Sample
from storage import create_staging, publish, set_attributes, write_block


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A stored array with a certificate, as publish leaves it."""
    import numpy as np

    spec = Sample((6, 6), 1, chunk=2).spec
    staging = create_staging(tmp_path / "C.zarr", spec, "process", "test")
    write_block(staging, 0, 0, np.ones((6, 6), np.float32))
    set_attributes(staging, {"gemmflow": {"schema": 1, "plan": {"shape": [6, 5, 6], "arithmetic": "float32"}}})
    publish(staging, overwrite=False)
    return tmp_path / "C.zarr"


def test_info_shows_the_certificate(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", str(result)]) == 0
    assert "arithmetic" in capsys.readouterr().out
    assert run(["info", str(result), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["shape"] == [6, 5, 6]


def test_verify_finds_a_flipped_bit_and_a_lost_chunk(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(result)]) == 0
    assert "every chunk" in capsys.readouterr().out
    chunk = result / "c/1/2"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    (result / "c/0/0").unlink()
    assert run(["verify", str(result), "--json", "-"]) == 4
    captured = capsys.readouterr()
    assert sorted(json.loads(captured.out)["damaged"]) == ["c/0/0", "c/1/2"]
    assert captured.err.startswith("gemmflow: 2 chunks of ") and "c/1/2" in captured.err


def test_many_damaged_chunks_are_counted(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for chunk in (result / "c").rglob("*"):
        if chunk.is_file():
            chunk.unlink()
    assert run(["verify", str(result), "--quiet"]) == 4
    assert "9 chunks" in (error := capsys.readouterr().err) and "and 4 more" in error


def test_lines_are_aligned_and_leave_out_what_is_empty() -> None:
    value = {"schema": 1, "plan": {"shape": [4, 5, 6], "seconds": 1.23456789}, "nonfinite": [], "root": ""}
    assert lines(value) == [f"{'schema':<20} 1", "plan", f"  {'shape':<18} 4 x 5 x 6", f"  {'seconds':<18} 1.23457"]


def test_a_list_of_mappings_is_shown_as_a_table() -> None:
    codecs = [{"name": "none", "ratio": 1.0}, {"name": "zstd-3", "ratio": 1.8333333333}]
    shown = lines({"storage": {"codecs": codecs}})
    assert shown == ["storage", "  codecs", "    name      ratio", "    none          1", "    zstd-3  1.83333"]
