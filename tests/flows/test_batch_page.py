import re
from dataclasses import replace

from flows.batch_page import render_page
from tests.flows.test_batch_summary import ALL, COMPLETE, DONE, MADE, summary


def test_the_page_needs_nothing_else() -> None:
    text = render_page(ALL)
    assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")
    assert not re.search(r"""(src|href)=|@import|url\(|<script""", text)
    assert "2 of 4 jobs done" in text and "2 jobs not done" in text and "31 January 2026, 03:00 UTC" in text


def test_every_job_has_bars_for_time_and_bytes() -> None:
    text = render_page(summary(DONE, replace(DONE, name="half", seconds=DONE.seconds / 2), COMPLETE))
    rows = re.findall(r"<tr><td>.*?</tr>", text)
    assert len(rows) == 3 and all(row.count('class="bar"') == 2 for row in rows)
    widths = [[float(width) for width in re.findall(r"width: ([\d.]+)%", row)] for row in rows]
    assert widths[0][0] == 100.0 and widths[1][0] == 50.0
    assert abs(sum(widths[0][1:]) - 100) < 0.2 and widths[2][1:] == [0.0, 0.0]
    assert "all done" in text and f'"bytes_read": {MADE.measured.bytes_read}' in text.replace("&#34;", '"')


def test_words_of_others_are_escaped() -> None:
    text = render_page(summary(replace(DONE, name="<b>", message="a & b")))
    assert "<b>" not in text and "&lt;b&gt;" in text and "a &amp; b" in text


def test_the_page_stays_small() -> None:
    assert len(render_page(summary(*[DONE] * 1000))) < 2_000_000
