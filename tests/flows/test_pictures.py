import re
from base64 import b64decode
from dataclasses import replace
from xml.etree import ElementTree

from flows.artifacts import page_of
from flows.pictures import BARS, LEFT, WIDTH, lanes_svg, picture_of_lanes
from tasks.plan import LANES
from tests.tasks.builders import report

SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_is_an_image_inside_the_page() -> None:
    made = report()
    (data,) = re.findall(r"^!\[[^]]+\]\(data:image/svg\+xml;base64,(\S+)\)$", page_of(made), re.MULTILINE)
    drawing = ElementTree.fromstring(b64decode(data))
    assert drawing.tag == f"{SVG}svg"
    words = " ".join(text.text or "" for text in drawing.iter(f"{SVG}text"))
    assert all(lane in words for lane in LANES)
    assert page_of(made).startswith(made.to_markdown())


def test_bars_are_as_long_as_their_seconds_and_inside_the_picture() -> None:
    made = report()
    rects = [rect for rect in ElementTree.fromstring(lanes_svg(made, "")).iter(f"{SVG}rect") if rect.get("x")]
    widths = [float(rect.get("width")) for rect in rects]
    expected = [second for lane in LANES for second in (made.run.plan.predicted.lanes.get(lane, 0.0), made.measured.lanes[lane])]
    assert [round(width / max(widths), 2) for width in widths] == [round(seconds / max(expected), 2) for seconds in expected]
    assert max(widths) == BARS and LEFT + BARS < WIDTH


def test_a_run_that_took_no_time_still_has_a_picture() -> None:
    made = report()
    plan = replace(made.run.plan, predicted=replace(made.run.plan.predicted, lanes={}))
    assert "data:image" in picture_of_lanes(replace(made, run=replace(made.run, plan=plan), outcome=replace(made.outcome, measurements=())))
