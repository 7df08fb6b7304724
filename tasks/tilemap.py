"""The product as a map: every tile coloured by the seconds it took, or blocks of tiles by their mean where they are many."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from tasks.figures import INK, Canvas, Chart, Key, draw
from tasks.report import Report
from tasks.units import format_seconds
from tasks.wording import plural

MOST_CELLS = 32
"""Cells along one side."""
FAINTEST = 0.12
EVEN = 0.55


def tile_map(report: Report) -> Chart:
    """Seconds by place in C; cells tell their number when pointed at."""
    gm, gn, _ = report.run.plan.grid
    cells = mean_seconds(report)
    rows, cols = cells.shape
    low, high = float(np.nanmin(cells)), float(np.nanmax(cells))
    opacity = np.nan_to_num(_opacity(cells, low, high), nan=0.0)
    single, symmetric = (gm, gn) == (rows, cols), report.run.plan.symmetry != "none"
    hints = {
        f"cell-{i}-{j}": "mirror image" if symmetric and i < j else _hint(i, j, float(cells[i, j]), single)
        for i in range(rows)
        for j in range(cols)
    }

    def paint(axes: Axes) -> None:
        for i in range(rows):
            for j in range(cols):
                cell = Rectangle((j, i), 1, 1, facecolor=INK["accent"], alpha=float(opacity[i, j]), edgecolor="none", gid=f"cell-{i}-{j}")
                axes.add_patch(cell)
        for place in range(1, rows):
            axes.axhline(place, color=INK["card"], linewidth=1)
        for place in range(1, cols):
            axes.axvline(place, color=INK["card"], linewidth=1)
        axes.set_xlim(0, cols)
        axes.set_ylim(rows, 0)
        axes.set_xticks([0, cols], ["0", str(report.run.problem.n)])
        axes.set_yticks([0, rows], ["0", str(report.run.problem.m)])
        for side in axes.spines.values():
            side.set_visible(True)

    svg = draw("tilemap", _canvas(report), paint, f"Seconds of {plural(report.run.plan.tiles, 'tile')} by place", hints)
    fastest, slowest = Key("fastest", "accent", format_seconds(low), FAINTEST), Key("slowest", "accent", format_seconds(high))
    legend = (fastest, slowest) if high > low else (Key("every tile", "accent", format_seconds(high), EVEN),)
    return Chart("tilemap", "Seconds by place in C", _note(report, cells), svg, legend=legend)


def mean_seconds(report: Report) -> NDArray[np.float64]:
    """Mean seconds of the tiles in each cell; NaN where a cell has none of this run."""
    gm, gn, _ = report.run.plan.grid
    rows, cols = min(gm, MOST_CELLS), min(gn, MOST_CELLS)
    total, count = np.zeros((rows, cols)), np.zeros((rows, cols))
    for tile in report.tiles:
        place = tile.row * rows // gm, tile.col * cols // gn
        total[place] += tile.finished - tile.started
        count[place] += 1
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _opacity(cells: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return FAINTEST + (1 - FAINTEST) * (cells - low) / (high - low) if high > low else np.full_like(cells, EVEN)


def _canvas(report: Report) -> Canvas:
    m, _, n = report.run.plan.shape
    across = 400 - 56 - 14
    return Canvas(400, min(300.0, max(70.0, across * m / n)) + 34, left=56, right=14, top=6, bottom=28)


def _hint(i: int, j: int, seconds: float, single: bool) -> str:
    if np.isnan(seconds):
        return "resumed"
    return f"{'tile' if single else 'tiles around'} {i}, {j}: {format_seconds(seconds)}"


def _note(report: Report, cells: NDArray[np.float64]) -> str:
    gm, gn, _ = report.run.plan.grid
    shown = "" if cells.shape == (gm, gn) else f" A cell is the mean of about {gm * gn / cells.size:.0f} tiles."
    half = " One triangle was computed." if report.run.plan.symmetry != "none" else ""
    return f"{gm} x {gn} tiles.{half}{shown} An even map means an even run; stripes are tiles that had to read more."
