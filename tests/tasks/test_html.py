"""The page is one file that needs nothing else, stays small, and shows what the report says."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest

from tasks.html import render_html
from tests.tasks.builders import Scene, certificate, report

VOID = {"meta", "br", "link", "img"}


class Outline(HTMLParser):
    """Balances tags and collects identifiers."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page() -> str:
    return render_html(report())


def test_tags_balance_and_identifiers_are_unique(page):
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))


def test_nothing_is_fetched_and_nothing_runs(page):
    assert not re.search(r"https?://|<script|<link|@import|src=|url\((?!#)", page)


def test_both_themes_define_every_colour_that_is_used(page):
    light, dark = re.findall(r":root \{(.*?)\}", page, flags=re.DOTALL)
    used = set(re.findall(r"var\(--([a-z]+)\)", page)) - {"sans", "mono"}
    for theme in (light, dark):
        assert used <= set(re.findall(r"--([a-z]+):", theme))


def test_the_whole_json_is_on_the_page(page):
    made = report()
    (data,) = re.findall(r"<pre>(.*?)</pre>", page, flags=re.DOTALL)
    assert json.loads(unescape(data)) == made.to_json()


def test_head_says_what_how_exact_and_how_long(page):
    head = page[page.index("<header>") : page.index("Asked, predicted, measured")]
    for words in ("certified for every input", "C = A Bᵀ", "3.14\u202f×\u202f10⁻⁸", "1 min 15 s", "99.9 % confidence", "624", "118"):
        assert words in head


def test_a_verdict_by_probes_and_a_missed_one_are_told_apart():
    assert "certified by probes" in render_html(report(proof=certificate(promised=2e-3)))
    missed = render_html(report(proof=certificate(promised=2e-3, measured=2e-3)))
    assert 'class="verdict bad">not as exact as asked' in missed


def test_warnings_and_paths_are_escaped():
    page = render_html(report(warnings=("<script>alert(1)</script>",)))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("scene", [Scene(grid=(1, 1), workers=1), Scene(grid=(100, 100), workers=64)], ids=["1 tile", "10,000 tiles"])
def test_page_stays_below_two_megabytes(scene):
    assert len(render_html(report(scene)).encode()) < 2_000_000


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 768, 1200])
def test_nothing_is_wider_than_the_window(page, tmp_path, width):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium")
    probe = "<script>document.title = [document.documentElement.scrollWidth, innerWidth].join(' ')</script>"
    frame = f'<iframe id="f" style="width:{width}px;height:900px;border:0" src="page.html"></iframe>'
    script = "<script>f.onload = () => { const d = f.contentDocument.documentElement; document.body.textContent = d.scrollWidth }</script>"
    (tmp_path / "page.html").write_text(page + probe)
    (tmp_path / "frame.html").write_text(f"<body>{frame}{script}</body>")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--virtual-time-budget=3000", "--dump-dom"]
    command = [browser, *options, f"--user-data-dir={tmp_path}/profile", f"file://{tmp_path}/frame.html"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    found = re.search(r"<body>(\d+)</body>", shown)
    assert found, shown[-400:]
    assert int(found[1]) <= width


def test_the_codecs_that_were_weighed_have_a_table_and_a_named_one_has_none():
    made = report()
    page = render_html(made)
    assert "Codecs weighed" in page
    assert all(f"<td>{row.name}</td><td>{row.verdict}</td>" in page for row in made.stored.codecs)
    assert "Codecs weighed" not in render_html(replace(made, stored=replace(made.stored, codecs=())))
