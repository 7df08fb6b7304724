"""The charts show the numbers they claim to show, at any size of run."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from tasks.charts import charts, error, fades, lanes, memory, worker_bars
from tasks.figures import INK, Canvas, draw
from tasks.hardware import Rates
from tasks.measured import sum_up
from tasks.roofline import limits, roofline
from tasks.tilemap import MOST_CELLS, mean_seconds, tile_map
from tasks.timeline import MOST_LINES, segments, shares, timeline
from tests.tasks.builders import STARTED, Scene, certificate, measurements, report

SCENES = {
    "one tile": Scene(grid=(1, 1), workers=1),
    "a row": Scene(grid=(1, 12), workers=3),
    "usual": Scene(),
    "ten thousand": Scene(grid=(100, 100), workers=40),
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_every_chart_is_well_formed_svg_in_the_pages_colours(scene):
    made = charts(report(scene))
    assert len({chart.name for chart in made}) == len(made) == 6
    for svg in filter(None, (svg for chart in made for svg in (chart.svg, chart.narrow))):
        root = ElementTree.fromstring(svg)
        assert root.tag == "svg"
        assert root.get("aria-label")
        assert not any(colour in svg for colour in INK.values())
        assert "font-family" not in svg
        assert "nan" not in re.sub(r"<title>.*?</title>", "", svg).lower()


def test_identifiers_of_two_charts_never_meet():
    seen: set[str] = set()
    for chart in charts(report()):
        found = set(re.findall(r'id="([^"]+)"', chart.svg))
        assert not found & seen
        seen |= found


def test_references_inside_a_chart_are_to_itself():
    for chart in charts(report()):
        known = set(re.findall(r'id="([^"]+)"', chart.svg))
        used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', chart.svg))
        assert {a or b for a, b in used} <= known


def test_drawing_leaves_words_and_hints_as_they_are():
    def paint(axes):
        axes.plot([0, 1], [0, 1], gid="line")
        axes.text(0.5, 0.5, "0.123456 & <b>")

    svg = draw("x", Canvas(200, 100), paint, "a label", {"line": "0.98765 <s>"})
    texts = "".join(ElementTree.fromstring(svg).itertext())
    assert "0.123456 & <b>" in texts
    assert "0.98765 <s>" in texts


def test_drawing_is_the_same_twice():
    assert [chart.svg for chart in charts(report())] == [chart.svg for chart in charts(report())]


def test_segments_fill_a_tile_and_never_leave_it():
    (tile,) = measurements(Scene(grid=(1, 1), workers=1))
    overlapped = replace(tile, lanes={lane: 3 * seconds for lane, seconds in tile.lanes.items()})
    for case in (tile, overlapped):
        parts = segments(case)
        ends = [start + seconds for _, start, seconds in parts]
        assert ends[-1] <= case.finished - case.started + 1e-9
        assert [start for _, start, _ in parts[1:]] == pytest.approx(ends[:-1])


def test_shares_keep_every_second():
    tiles = measurements(Scene(grid=(3, 5), workers=1))
    edges = np.linspace(tiles[0].started, tiles[-1].finished, 8)
    busy = shares(tiles, edges)
    assert (busy * np.diff(edges)).sum(axis=1) == pytest.approx([sum(tile.lanes[lane] for tile in tiles) for lane in tiles[0].lanes])
    assert busy.sum(axis=0).max() <= 1 + 1e-9


def test_timeline_of_many_workers_shows_the_first_and_the_last_to_finish():
    made = report(Scene(grid=(10, 20), workers=60))
    chart = timeline(made)
    assert f"Shown are {MOST_LINES} of 60 workers" in chart.note
    assert chart.svg.count(">worker ") == MOST_LINES


def test_timeline_says_whether_it_shows_tiles_or_shares():
    assert "Within a tile" in timeline(report()).note
    assert "share of each lane" in timeline(report(Scene(grid=(40, 40)))).note


def test_roofline_uses_the_rates_of_the_plans_workers():
    made = report(Scene(workers=2))
    limit = limits(made)
    assert limit.flops == pytest.approx(2 * 88e9)
    assert limit.read == pytest.approx(2 * 2.1e9)
    assert limit.write == pytest.approx(2 / (1 / 1.3e9 + 1 / (4.2e8 * made.stored.ratio)))


def test_roofline_without_measured_rates_still_draws_the_run():
    made = report()
    (layout,) = made.run.hardware.layouts
    unknown = Rates(**(vars(layout.rates) | {"gemm": {}, "decode": {}, "encode": {}}))
    blind = replace(made, run=replace(made.run, hardware=replace(made.run.hardware, layouts=(replace(layout, rates=unknown),))))
    assert "this run" in roofline(blind).svg
    assert "GEMM of all workers" not in roofline(blind).svg


def test_memory_chart_names_every_item_and_the_budget():
    made = report()
    chart = memory(made)
    assert [key.label for key in chart.legend] == list(made.run.plan.predicted.memory_items)
    assert "budget 359 MiB" in chart.svg
    assert "var(--bad)" not in chart.svg
    assert "var(--bad)" in memory(report(memory_limit=100 * 2**20)).svg


def test_memory_of_many_workers_is_their_range():
    records = sum_up(measurements(Scene(grid=(5, 8), workers=20)), 20).workers
    bars = worker_bars(records)
    assert [name for name, _ in bars] == ["highest", "median", "lowest"]
    assert bars[0][1] == max(record.peak_bytes for record in records)
    assert len(worker_bars(records[:3])) == 3


def test_fades_fall_from_full_to_faint():
    assert fades(1) == [1.0]
    assert fades(4) == sorted(fades(4), reverse=True)
    assert min(fades(9)) > 0.2


def test_error_chart_says_exact_where_there_is_nothing_to_plot():
    assert "measured: exact" in error(report(proof=certificate(exact=True, promised=0.0))).svg
    assert ">promised" in error(report()).svg
    assert "measured 3.14\u202f×\u202f10⁻⁸" in error(report()).svg
    assert ">promised" not in error(report(proof=certificate(promised=float("inf")))).svg


def test_lane_chart_sets_the_change_beside_the_seconds():
    assert "54.0 s  +4 %" in lanes(report()).svg


def test_tile_map_means_blocks_of_many_tiles():
    made = report(Scene(grid=(100, 7), workers=4))
    cells = mean_seconds(made)
    assert cells.shape == (MOST_CELLS, 7)
    assert np.isfinite(cells).all()
    assert "mean of about 3 tiles" in tile_map(made).note


def test_tile_map_leaves_resumed_tiles_empty():
    whole = report()
    early = tuple(replace(tile, started=STARTED - 90, finished=STARTED - 80) for tile in whole.outcome.measurements[:16])
    outcome = replace(whole.outcome, measurements=early + whole.outcome.measurements[16:], resumed=16)
    made = replace(whole, run=replace(whole.run, resumed=early), outcome=outcome)
    assert int(np.isnan(mean_seconds(made)).sum()) == 16
    assert tile_map(made).svg.count("<title>resumed</title>") == 16
