"""What analyze answers: a plan, and with a sample the compressed bytes of the product."""

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from flows import analyze
from flows.cli import run
from flows.stages import direct_stages
from storage.matrix import ACCEPTED
from tests.tasks.choice.devices import processor
from tests.tasks.machines import hardware


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A and B, on a machine that need not be measured."""
    rng = np.random.default_rng(0)
    for name in "AB":
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((300, 300), dtype=np.float32))
    module = import_module("flows.analyze")
    monkeypatch.setattr(module, "direct_stages", lambda: replace(direct_stages(), measure=lambda *_: hardware()))
    monkeypatch.setattr(module, "is_measured", lambda _: True)
    return str(tmp_path / "A.npy"), str(tmp_path / "B.npy")


def test_a_sample_is_taken_only_where_it_is_asked(inputs: tuple[str, str]) -> None:
    a, b = inputs
    plain = analyze(a=a, b=b)
    assert plain.sampled is None
    assert "stored" not in plain.to_json()["plan"]["predicted"]  # pyright: ignore[reportIndexIssue, reportCallIssue, reportArgumentType]
    found = analyze(a=a, b=b, codec="blosc-zstd", chunk=(100, 100), sample=True).sampled
    assert found is not None and found.compressed.ratio > 1
    assert found.excerpt.values.shape == (300, 300), "of three chunk rows and columns all are drawn"


def test_the_command_says_it_in_words_and_in_json(inputs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "answer.json"
    assert run(["analyze", *inputs, "--sample", "--codec", "blosc-zstd", "--chunk", "100,100", "--json", str(place)]) == 0
    assert "compressed  " in (text := capsys.readouterr().out) and "3 x 3 blocks of 100 x 100" in text
    stored = json.loads(place.read_text())["plan"]["predicted"]["stored"]
    assert stored["bytes_stored_interval"][0] <= stored["bytes_stored"] <= stored["bytes_stored_interval"][1]
    assert stored["bytes_sampled"] == 2 * 300 * 300 * 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A.npy", "B.npy", "answer.json"]


def test_a_sample_that_would_read_too_much_is_refused(
    inputs: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for limit in ("MOST_BYTES", "MOST_SHARE", "SHARE"):
        monkeypatch.setattr(f"tasks.stripes.{limit}", 0)
    assert run(["analyze", *inputs, "--sample"]) == 3
    assert capsys.readouterr().err.startswith(
        "gemmflow: nothing is sampled: one block of the product needs 703 KiB of A and B in whole chunks"
    )


def test_a_plan_beside_a_question_about_less_says_what_it_stores(
    inputs: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flows.analyze_about._here", lambda _: replace(processor(), name="this machine", kind="this machine"))
    assert run(["analyze", *inputs, "--keep", "top:5", "--devices", "h100", "--json", "-"]) == 0
    assert "plan stores all" not in capsys.readouterr().out, "this machine is not among the devices"
    for others in (["--by", "time"], []):
        assert run(["analyze", *inputs, "--keep", "top:5", *others]) == 0
        assert "this machine's plan stores all of the product, not the top 5 of each row" in capsys.readouterr().out
    for store, said in (("full", True), ("triangle", False)):
        line = [
            "analyze",
            inputs[0],
            inputs[0],
            "--transpose-b",
            "--store",
            store,
            "--keep",
            "triangle",
            "--devices",
            "here",
            "--json",
            "-",
        ]
        assert run(line) == 0
        assert ("plan stores all of the product, not one triangle" in capsys.readouterr().out) == said


def test_a_product_that_is_not_symmetric_has_no_triangle(inputs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", *inputs, "--keep", "triangle"]) == 2
    assert "A B is neither: leave it out" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--dtype float64", "--mode decode", "--batch 4", "--recompute full", "--tokens 3"])
def test_options_of_other_questions_are_refused(option: str, inputs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", *inputs, *option.split()]) == 2
    assert f"{option.split(maxsplit=1)[0]} says nothing about stored matrices" in capsys.readouterr().err


def test_the_steps_to_run_it_multiply_what_was_asked_about(inputs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    a, b = inputs
    other = ["--alpha", "2", "--chunk", "100,100", "--durability", "process"]
    assert run(["analyze", a, b, "OUT", "--transpose-b", *other, "--devices", "h100", "--json", "-"]) == 0
    command = json.loads(capsys.readouterr().out)["run"]["steps"][-1]
    assert command.startswith(
        f"gemmflow multiply {a} {b} OUT --transpose-b --alpha 2.0 --chunk 100,100 --durability process --precision float32 "
    )
    assert run(["analyze", a, a, "--transpose-a", "--devices", "h100", "--json", "-"]) == 0
    command = json.loads(capsys.readouterr().out)["run"]["steps"][-1]
    assert command.startswith(f"gemmflow multiply {a} {a} OUT --transpose-a ")


def test_exact_integers_are_compared_with_other_devices(
    tmp_path: Path, inputs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = str(tmp_path / "whole.npy")
    np.save(whole, np.ones((300, 300), dtype=np.int8))
    assert run(["analyze", whole, whole, "--devices", "h100", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["choice"]["chosen"]["arithmetic"] == "int8"
    assert found["needs"]["dtype_out"] == "int64"
    assert run(["analyze", *inputs, "--max-error", "1", "--devices", "h100", "--quiet"]) == 0


def test_what_is_added_is_read_and_makes_integers_inexact(
    tmp_path: Path, inputs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = inputs
    assert run(["analyze", a, b, "--add", a, "--beta", "1", "--devices", "h100", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["needs"]["bytes_in"] == 3 * 300 * 300 * 4
    whole = str(tmp_path / "whole.npy")
    np.save(whole, np.ones((300, 300), dtype=np.int8))
    assert run(["analyze", whole, whole, "--alpha", "0.5", "--devices", "h100", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["needs"]["dtype_out"] == "float64"


@pytest.mark.parametrize("dtype", [dtype.name for dtype in ACCEPTED])
def test_every_type_that_is_multiplied_is_compared_with_other_devices(
    tmp_path: Path, inputs: tuple[str, str], capsys: pytest.CaptureFixture[str], dtype: str
) -> None:
    """uint16, uint32 and uint64 were planned, and then refused as unknown."""
    path = str(tmp_path / "typed.npy")
    np.save(path, np.ones((300, 300), dtype))
    for other, width in ((path, np.dtype(dtype).itemsize), (inputs[1], 4)):
        assert run(["analyze", path, other, "--devices", "h100", "--json", "-"]) == 0
        found = json.loads(capsys.readouterr().out)
        needs, plan = found["needs"], found["plan"]
        assert needs["dtype_a"] == dtype and needs["dtype_out"] == found["problem"]["dtype_out"]
        assert needs["bytes_in"] == 300 * 300 * (np.dtype(dtype).itemsize + width)
        assert (needs["max_error"] or 0) == plan["max_error"] >= plan["predicted"]["error_bound"]
        assert found["choice"]["chosen"]["arithmetic"] in [row["arithmetic"] for row in plan["choices"]]
    assert run(["analyze", "--shape", "300,300,300", "--dtype", dtype, "--devices", "h100", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["needs"]["dtype_b"] == dtype
