"""What the documents show is run: every Python block of the README, and every figure of docs/errors.md that is a formula."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks import hostile
from tasks.cluster_file import ClusterFile
from tasks.hardware import host_fingerprint, remember
from tasks.ladder import ARITHMETICS
from tasks.plan import TileShape
from tasks.precision import PROBES
from tasks.probes import inflation
from tasks.proof import HALF_OF_THE_DOUBT, MOST_TIMES
from tasks.tails import false_alarms, row_limit, single_limit
from tasks.walk import Walk
from tests.documents import blocks, commands, pages
from tests.tasks import machines
from tests.tasks.hostile import HOSTILE

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"


@pytest.mark.parametrize("known", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["on a known machine", "on a new one"])
def test_the_python_blocks_of_the_readme_run(tmp_path, monkeypatch, known):
    monkeypatch.setenv("GEMMFLOW_CACHE", str(tmp_path / "cache"))
    if known:  # else it is measured first
        remember(replace(machines.hardware(), fingerprint=host_fingerprint("cpu")))
    program = "\n".join(block.text for block in blocks(README) if block.language == "python")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "True"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_shell_lines_of_the_readme_run(tmp_path):
    import zarr

    rng = np.random.default_rng(0)
    for name in "ABX":
        zarr.create_array(tmp_path / f"{name}.zarr", shape=(300, 300), chunks=(100, 100), dtype="float32")[:] = rng.random((300, 300))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for line in (line for line in commands(README) if line.run):
        assert line.gemmflow, line
        arguments = ["gemmflow", *line.gemmflow]
        more = ["--direct", "--yes"] if arguments[1] in ("multiply", "gram") else []
        command = [sys.executable, "-m", "flows", *arguments[1:], *more]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, (line, done.stderr)
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_cluster_file_of_the_documents_is_one():
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/clusters.md").read_text(), re.DOTALL)
    assert ClusterFile.model_validate(yaml.safe_load(text)).wait.workers == 16


def anchors(document: Path) -> set[str]:
    """What GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_of_the_documents_leads_somewhere():
    for document in (*pages(), *(ROOT / "benchmarks").glob("*.md")):
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", document.read_text()):
            place = document.parent / target if target else document
            assert place.exists(), f"{document.name} links to {target}"
            assert not anchor or anchor in anchors(place), f"{document.name} links to {target}#{anchor}"


@pytest.mark.parametrize("page", ["promises", "limits"])
def test_every_test_that_a_page_names_exists(page):
    text, file = (ROOT / f"docs/{page}.md").read_text(), ""
    for named, name in re.findall(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`", text):
        file = named or file
        assert (ROOT / file).is_file(), file
        assert not name or f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"


def test_every_promise_has_its_test():
    rows = re.findall(r"^\| (?!--|promise|what).*\|$", (ROOT / "docs/promises.md").read_text(), re.MULTILINE)
    assert len(rows) > 30 and all("`tests/" in row for row in rows)


def test_the_walk_is_drawn_as_it_is():
    drawn = re.findall(r"^ +A[₀₁₂]  │(.*)│", (ROOT / "docs/how-it-works.md").read_text(), re.MULTILINE)
    walk = Walk((3, 4, 4), TileShape(1, 1, 1), (3, 4, 4), "A")
    places = {int(place): (row, col) for row, line in enumerate(drawn) for col, place in enumerate(re.findall(r"\d+", line))}
    assert places == {index: walk.place(index) for index in range(len(walk))}
    assert walk.runs(2) == [range(6), range(6, 12)]


@pytest.mark.parametrize(("name", "shown"), [("float64", "5.97e-8"), ("float32", "4.89e-4"), ("bfloat16", "1.23e-2")])
def test_the_bounds_in_the_table_are_the_formulas(name, shown):
    bound = ARITHMETICS[name].bound(8192, ("float32", "float32"), "float32")
    assert bound <= float(shown) * 1.0001
    assert bound == pytest.approx(float(shown), rel=0.01)
    assert shown in (ROOT / "docs" / "errors.md").read_text()


def test_the_ladder_in_the_text_is_the_one_in_the_code():
    text = (ROOT / "docs" / "arithmetic.md").read_text().splitlines()
    for line in (*hostile.ladder(), *hostile.exact_depths()):
        assert line in text, "python -m benchmarks.hostile --only ladder"


@pytest.mark.parametrize("names", hostile.parts(), ids="-".join)
def test_the_table_of_hostile_data_is_whole(names):
    """Every arithmetic and every kind of data, with today's bounds, and no true error above one."""
    text = (ROOT / "docs" / "arithmetic.md").read_text()
    table = text.partition("\n".join(hostile.head(names)) + "\n")[2].partition("\n\n")[0].splitlines()
    cells = {line.split(" | ")[0]: [cell.split(" / ") for cell in line.rstrip(" |").split(" | ")[1:]] for line in table}
    pairs = [HOSTILE[name].make(np.random.default_rng([len(name), *hostile.SHAPE]), hostile.SHAPE) for name in names]
    for unit in hostile.representatives():
        found = cells.pop(f"| {hostile.label(unit)}")
        assert [bound for bound, _, _ in found] == [hostile.shown(hostile.certified(unit, pair)) for pair in pairs]
        assert all(bound == "–" or float(error) <= float(bound) for bound, error, _ in found)
    assert not cells


def test_the_inflation_factor_is_the_one_in_the_text():
    factor = f"{inflation(PROBES):.2f}"
    assert f"‖E‖ ≤ {factor} s" in (ROOT / "docs" / "errors.md").read_text()
    tile, whole = (inflation(PROBES, doubt) for doubt in (HALF_OF_THE_DOUBT / (64 * 2 * MOST_TIMES), HALF_OF_THE_DOUBT))
    assert f"is at most {tile:.3g} s_ij ({whole:.3g} s for the whole" in (ROOT / "docs" / "errors.md").read_text()


@pytest.mark.parametrize("rows", [32, 64, 512, 8192])
def test_the_limits_in_the_table_are_the_formulas(rows):
    alarms = (f"{false_alarms(rows, PROBES, spread):.1e}" for spread in (1.0, 1.2, 1.7))
    line = f"| {rows} | {row_limit(rows, PROBES):.2f} | {single_limit(rows, PROBES):.2f} | {' | '.join(alarms)} |"
    assert line in (ROOT / "docs" / "verification.md").read_text()


def test_the_exact_ranges_in_the_text_on_results():
    row = ARITHMETICS["float64"]
    assert row.exact_for(5 * 10**11, ("int8", "int8"))
    assert row.exact_for(8 * 10**6, ("int16", "int16"))
    assert not row.exact_for(1, ("int32", "int32"))
    assert not row.exact_for(2**23 + 1, ("int16", "int16"))
