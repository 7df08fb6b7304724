"""`gemmflow analyze` about shapes and models, as people give it; nothing heavy is loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import run
from tests.tasks.models.configs import LLAMA


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder as it is downloaded."""
    folder = tmp_path / "Llama-3.1-8B"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    return folder


def answer(line: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """As JSON; the exit code says whether something was chosen."""
    code = run([*line, "--json", "-"])
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (code, said.err.count("gemmflow: n")) == ((3, 1) if found["choice"]["chosen"] is None else (0, 0))
    return found


def test_a_shape_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(["analyze", "--shape", "1e6,1024,1e6", "--keep", "top:100", "--max-error", "2e-2", "--by", "time"], capsys)
    assert found["needs"]["flops"] == 2 * 10**12 * 1024  # pyright: ignore
    assert found["needs"]["bytes_out"] == 10**6 * 100 * 8  # pyright: ignore
    options = found["choice"]["options"]  # pyright: ignore
    seconds = [option["seconds"] for option in options if option["feasible"]]
    assert seconds == sorted(seconds)


def test_a_model_and_its_tokens(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(["analyze", "--model", str(model), "--tokens", "1e9", "--devices", "h100-sxm,a100-80gb"], capsys)
    assert found["needs"]["parameters"]["total"] == 8_030_261_248  # pyright: ignore
    assert found["title"].startswith("Llama-3.1-8B, prefill of 1.00 Gtokens")  # pyright: ignore
    assert len(found["choice"]["options"]) == 2  # pyright: ignore


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--devices L40S --precision float64", "none of 1 device can do it, at most 8 of each; L40S-48GB has no float64"),
        ("--devices L40S --deadline 1s", "nothing meets the deadline of 1.0 s: the fastest, "),
        (
            "--devices H100 --deadline 1h --budget 0.0001",
            "nothing meets the deadline of 1 h 00 min and the budget of 0.0001 $: the fastest, 1 x H100-SXM5-80GB, takes 40.0 s for 0.08 $"
            "; allow more money\n",
        ),
        ("--devices H100 --budget 0.0001", "nothing meets the budget of 0.0001 $: the cheapest, 1 x H100-SXM5-80GB, costs 0.08 $\n"),
        ("--devices rtx-4090 --budget 100", "nothing is known to meet the budget of 100.00 $: no price is known of any that can"),
    ],
)
def test_where_nothing_will_do_it_is_one_line_after_the_answer(options: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "--shape", "1e5,1e5,1e5", *options.split()]) == 3
    said = capsys.readouterr()
    assert said.err.startswith(f"gemmflow: {says}") and said.err.count("\n") == 1
    assert said.out.startswith("100,000 x 100,000 times ")


@pytest.mark.parametrize(
    ("options", "stored", "arithmetic"),
    [
        ("--dtype int8", "int64", "int8"),
        ("--dtype uint8", "int64", "float64"),
        ("--dtype int32", "float64", "float64"),
        ("--dtype float16 --max-error 2e-2", "float16", "float16"),
        ("--dtype bfloat16 --max-error 2e-2", "float32", "float16"),
        ("--max-error 1e-9", "float64", "float64"),
        ("--precision tf32 --max-error 1e-9", "float32", None),
        ("--max-error 1e-30", "float64", None),
        ("--precision tf32", "float32", "tf32"),
    ],
)
def test_a_product_of_a_shape_is_stored_and_computed_as_a_run_does_it(
    options: str, stored: str, arithmetic: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(["analyze", "--shape", "1e5,1e4,1e5", "--devices", "h100", *options.split()], capsys)
    assert found["needs"]["dtype_out"] == stored  # pyright: ignore
    assert found["choice"]["options"][0]["arithmetic"] == arithmetic  # pyright: ignore


def test_what_if_names_are_trimmed_and_amounts_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(["analyze", "--shape", "10,10,10", "--devices", "h100", "--vary", "budget=x; n = 5"], capsys)
    (budget,), (n,) = (axis["points"] for axis in found["what_if"])  # pyright: ignore
    assert "'x' is no amount of US dollars" in budget["why_not"]
    assert n["chosen"] is not None


@pytest.mark.parametrize(
    ("fixed", "axis", "values"),
    [
        ("--shape 1e5,1e4,1e5", "max_error", ("1e-2", "1e-9")),
        ("--shape 1e5,1e4,1e5 --dtype int8", "k", ("1e3", "1e6")),
        ("--shape 1e5,1e4,1e5 --dtype-out float32", "max_error", ("1e-2", "1e-9")),
    ],
)
def test_a_what_if_is_what_the_question_alone_would_be(
    fixed: str, axis: str, values: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["analyze", "--devices", "h100,a100-40gb", *fixed.split()]
    (found,) = answer([*line, "--vary", f"{axis}={','.join(values)}"], capsys)["what_if"]  # pyright: ignore
    for value, point in zip(values, found["points"], strict=True):
        alone = [f"1e5,{value},1e5" if axis == "k" and part == "1e5,1e4,1e5" else part for part in line]
        options = answer(alone if axis == "k" else [*alone, "--max-error", value], capsys)["choice"]["options"]  # pyright: ignore
        assert point["chosen"] == (options[0] if options[0]["feasible"] else None)


def test_values_that_a_model_cannot_have_spoil_no_other(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["analyze", "--model", str(model), "--tokens", "1e9", "--devices", "h100"]
    found = answer([*line, "--vary", "sequence=2048,1e13; precision=fp7,bfloat16"], capsys)["what_if"]
    (short, long), (odd, usual) = (axis["points"] for axis in found)  # pyright: ignore
    assert short["chosen"] is not None and usual["chosen"] is not None
    assert "at most 1000000000000 together" in long["why_not"]
    assert odd["why_not"].startswith("precision 'fp7' is not known: did you mean fp8")


def test_a_page_and_words(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    line = ["analyze", "--model", str(model), "--tokens", "1e9", "--vary", "batch=1,8; device=h100-sxm,b200", "--html", str(page)]
    assert run(line) == 0
    text = capsys.readouterr().out
    assert "with other values of batch" in text and "with other values of device" in text
    assert "<svg" in page.read_text()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--shape 1,2", "2 numbers: write M,K,N"),
        ("--shape 1,2,x", "'x' is not a whole number"),
        ("--shape 0,2,1", "edges are 1 to"),
        ("--shape 1,2,3 --model x", "two questions"),
        ("a b --shape 1,2,3", "A says nothing about a shape"),
        ("--shape 1,2,3 --memory 1GiB", "--memory says nothing about a shape"),
        ("--shape 1,2,3 --precision fp7", "precision fp7 is unknown"),
        ("--shape 1,2,3 --dtype complex64", "type complex64 is unknown"),
        ("--shape 1,2,3 --max-error 0", "above 0 and at most 1"),
        ("--shape 1,2,3 --max-error nan", "above 0 and at most 1"),
        ("--shape 1,2,3 --keep most", "say all, triangle, top:100"),
        ("--shape 1,2,3 --keep top:x", "'x' is no number"),
        ("--shape 1,2,3 --keep triangle", "add --symmetric"),
        ("--shape 2,2,2 --keep triangle", "add --symmetric"),
        ("--shape 1,2,3 --tokens 5", "--tokens says nothing about a shape"),
        ("--shape 1,2,3 --mode decode", "--mode says nothing about a shape"),
        ("--model MODEL --tokens 1 --dtype float16", "--dtype says nothing about a model"),
        ("--model MODEL --tokens 1 --keep top:5", "--keep says nothing about a model"),
        ("--model MODEL --tokens 1 --mode decode --recompute full", "--recompute full is for --mode train"),
        ("--shape 1,2,3 --dtype-out int8", "one of auto, float16"),
        ("--shape 1,2,3 --dtype-out int64", "not stored as int64"),
        ("--shape 1,2,3 --devices ,", "--devices names none"),
        ("--shape 1,2,3 --symmetric", "as many rows as columns"),
        ("--shape 1,2,3 --devices abacus", "abacus is not in the catalogue"),
        ("--shape 1,2,3 --deadline soon", "'soon' is not a duration"),
        ("--shape 1,2,3 --deadline 0s", "seconds above 0"),
        ("--shape 1,2,3 --budget -1", "name 0 or more"),
        ("--shape 1,2,3 --count 0", "count"),
        ("--shape 1,2,3 --vary depth=1", "cannot be varied here"),
        ("--shape 1,2,3 --storage none", "'none' is not a size"),
        ("--shape 1,2,3 --catalogue /no/such.csv", "/no/such.csv cannot be read"),
        ("--model /no/such --tokens 1", "/no/such cannot be read"),
        ("--model MODEL", "--model needs --tokens"),
        ("--model MODEL --tokens 1e31", "at most 1e+30"),
        ("--model MODEL --tokens 1e30", "more than any job has"),
        ("--model MODEL --tokens 1 --max-error 1", "--max-error says nothing about a model"),
        ("--model MODEL --tokens 1 --precision int4", "did you mean int8"),
        ("--model MODEL --tokens 1 --mode guess", "mode"),
    ],
)
def test_nonsense_is_one_line(line: str, says: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", *line.replace("MODEL", str(model)).split()]) in (2, 3)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gemmflow: ") and captured.err.count("\n") == 1
    assert says in captured.err


def test_a_model_is_analyzed_without_what_computes(model: Path) -> None:
    program = f"""
import sys
from flows.cli import run
assert run(["analyze", "--model", {str(model)!r}, "--tokens", "1e9", "--quiet"]) == 0
print([name for name in ("torch", "prefect", "dask", "distributed", "zarr", "scipy", "matplotlib") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
