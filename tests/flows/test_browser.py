"""Prefect's pages in a real browser: what a person sees of a run, and a run that a person starts from the form."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from storage import read_certificate
from tasks.job import Job
from tests.flows.prefect_api import free_port, request
from tests.flows.processes import Command, wait_until

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.server,
    pytest.mark.timeout(300),
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium"),
]

OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SECONDS = 60_000
"""Milliseconds that a page may take on a busy machine."""

ARTIFACTS = ("gemmflow-plan", "gemmflow-links", "gemmflow-progress", "gemmflow-report")
ENDS = ("COMPLETED", "FAILED", "CRASHED")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, warm_cache: Path) -> Iterator[str]:
    """`gemmflow ui --samples`, as `make ui` starts it."""
    port, folder = free_port(), tmp_path_factory.mktemp("ui")
    home = {"GEMMFLOW_CACHE": str(warm_cache), "PREFECT_HOME": str(folder / "home"), "TMPDIR": str(folder)}
    command = Command(["ui", "--port", str(port), "--samples"], folder, home)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: command.process.poll() is not None or (len(samples(url)) == 4 and all_ended(url)), 200)
        yield url
    finally:
        command.clean()


def samples(url: str) -> list[dict]:
    """The sample runs, in the order of their start."""
    try:
        return request(f"{url}/api/flow_runs/filter", {"flow_runs": {"tags": {"all_": ["sample"]}}, "sort": "START_TIME_ASC"})
    except OSError:
        return []


def all_ended(url: str) -> bool:
    return all(run["state_type"] in ENDS for run in samples(url))


@pytest.fixture
def page(tmp_path: Path) -> Iterator["playwright.Page"]:
    with playwright.sync_playwright() as started:
        options = {"executable_path": BROWSER, "headless": True, "args": OPTIONS, "viewport": {"width": 1300, "height": 1100}}
        with started.chromium.launch_persistent_context(str(tmp_path / "profile"), **options) as browser:
            browser.set_default_timeout(SECONDS)
            yield browser.new_page()


def artifact(url: str, run: dict, key: str) -> dict:
    (found,) = request(f"{url}/api/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}, "key": {"any_": [key]}}})
    return found


def test_the_samples_end_as_they_should(pages: str) -> None:
    assert [(run["name"].split(" ")[0], run["state_type"]) for run in samples(pages)] == [
        ("1024x1024x1024", "COMPLETED"),
        ("1024x1024x1024", "COMPLETED"),
        ("1024x1024x1024", "FAILED"),
        ("batch", "COMPLETED"),
    ]


def test_the_page_of_a_run_shows_its_steps_and_its_artifacts(pages: str, page) -> None:
    run = samples(pages)[0]
    page.goto(f"{pages}/runs/flow-run/{run['id']}")
    for step in ("planned", "begun", "published"):
        page.get_by_text(f"{step}: ").first.wait_for()
    page.get_by_text("Artifacts", exact=True).last.click()
    for key in ARTIFACTS:
        page.get_by_text(key, exact=True).last.wait_for()
    done = re.search(r"(\d+) of \1 tiles", artifact(pages, run, "gemmflow-progress")["description"])
    assert done is not None  # how many depends on the machine
    page.get_by_text(done[0]).wait_for()


def test_the_report_has_its_picture_and_the_links_lead_to_the_product(pages: str, page) -> None:
    run = samples(pages)[0]
    page.goto(f"{pages}/artifacts/artifact/{artifact(pages, run, 'gemmflow-report')['id']}")
    picture = page.locator("img[src^='data:image/svg+xml']")
    picture.wait_for()
    page.wait_for_function("document.querySelector('img[src^=\"data:image\"]').naturalWidth > 0")
    page.get_by_role("heading", name="1024x1024x1024 float32: certified").wait_for()
    page.goto(f"{pages}/artifacts/artifact/{artifact(pages, run, 'gemmflow-links')['id']}")
    page.locator(f"a[href='file://{run['parameters']['job']['out']}']").wait_for()


def test_the_table_of_the_plan_is_a_table(pages: str, page) -> None:
    page.goto(f"{pages}/artifacts/artifact/{artifact(pages, samples(pages)[0], 'gemmflow-plan')['id']}")
    page.locator("table").get_by_text("peak memory", exact=True).wait_for()


def form(pages: str, page) -> None:
    deployment = request(f"{pages}/api/deployments/name/multiply/multiply")
    page.goto(f"{pages}/deployments/deployment/{deployment['id']}/run")
    page.get_by_text("One product: OUT").wait_for()


def test_the_form_shows_every_field_of_a_job_with_its_description(pages: str, page) -> None:
    def missing() -> list[str]:
        shown = " ".join(page.inner_text("body").split())
        return [name for name, field in Job.model_fields.items() if " ".join(str(field.description).split()) not in shown]

    form(pages, page)
    with suppress(AssertionError):
        wait_until(lambda: not missing(), 30)  # the page draws one after the other
    assert missing() == []


def test_a_run_that_is_started_from_the_form_multiplies(pages: str, page, tmp_path: Path, small_inputs: tuple[Path, Path]) -> None:
    out = tmp_path / "C.zarr"
    form(pages, page)
    for place, value in enumerate((*small_inputs, out)):
        page.locator("textarea").nth(place).fill(json.dumps(str(value))[1:-1])
    page.get_by_role("button", name="Submit").click()
    wait_until(lambda: (out / "zarr.json").exists(), 90)
    assert read_certificate(out)["plan"]["shape"] == [4, 5, 6]
    page.get_by_role("link", name="4x5x6 float32").first.wait_for()


def test_a_run_that_goes_on_shows_how_far_it_is(pages: str, page, tmp_path: Path, large_inputs: tuple[Path, Path]) -> None:
    deployment = request(f"{pages}/api/deployments/name/multiply/multiply")
    job = {"a": str(large_inputs[0]), "b": str(large_inputs[1]), "out": str(tmp_path / "C.zarr"), "max_error": 1e-9, "workers": 1}
    run = request(
        f"{pages}/api/deployments/{deployment['id']}/create_flow_run", {"parameters": {"job": job}, "state": {"type": "SCHEDULED"}}
    )
    key = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}, "key": {"any_": ["gemmflow-progress"]}}}
    wait_until(lambda: request(f"{pages}/api/artifacts/filter", key), 120)
    page.goto(f"{pages}/runs/flow-run/{run['id']}")
    page.get_by_text("Running", exact=True).first.wait_for()
    page.get_by_text("Artifacts", exact=True).last.click()
    page.get_by_text("tiles, ").wait_for()
    wait_until(lambda: request(f"{pages}/api/flow_runs/{run['id']}")["state_type"] in ENDS, 200)
    assert request(f"{pages}/api/flow_runs/{run['id']}")["state_type"] == "COMPLETED"
