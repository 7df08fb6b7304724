"""Drawing for a page with a light and a dark theme: matplotlib makes the SVG, the page's style sheet the colours.

Painters draw with the stand-in colours of `INK`; in the finished SVG each stand-in becomes the CSS variable of its name
(``var(--ink-read)``), text takes the page's font, and identifiers get the chart's name so that many charts share one page.
One unit is one CSS pixel at the drawn width.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.typing import RcKeyType

_NAMES = ("text", "muted", "line", "card", "accent", "good", "bad", "read", "multiply", "verify", "encode", "write")
INK = {name: f"#1f2e{place:02x}" for place, name in enumerate(_NAMES)}
"""Stand-in colours; a name is a role on the page or a lane."""

_STYLE: dict[RcKeyType, str | float | bool] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gemmflow",
    "font.size": 11.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK["line"],
    "axes.labelcolor": INK["muted"],
    "axes.linewidth": 1.0,
    "axes.axisbelow": True,
    "xtick.color": INK["line"],
    "ytick.color": INK["line"],
    "xtick.labelcolor": INK["muted"],
    "ytick.labelcolor": INK["muted"],
    "xtick.minor.visible": False,
    "grid.color": INK["line"],
    "grid.linewidth": 0.8,
    "text.color": INK["text"],
}


@dataclass(frozen=True)
class Canvas:
    """Size of a drawing and the room around its axes, in units."""

    width: float
    height: float
    left: float = 44
    right: float = 12
    top: float = 10
    bottom: float = 36

    def box(self) -> tuple[float, float, float, float]:
        """The axes as fractions: left, bottom, width, height."""
        across, up = self.width - self.left - self.right, self.height - self.top - self.bottom
        return self.left / self.width, self.bottom / self.height, across / self.width, up / self.height


@dataclass(frozen=True)
class Key:
    """One entry of a legend."""

    label: str
    ink: str
    value: str = ""
    opacity: float = 1.0


@dataclass(frozen=True)
class Chart:
    """A figure of the page."""

    name: str
    """Identifier on the page."""
    title: str
    note: str
    """How to read it, and what it shows, in a sentence or two."""
    svg: str
    narrow: str = ""
    """The same for a phone, where shrinking is not enough."""
    legend: tuple[Key, ...] = field(default=())

    @property
    def wide(self) -> bool:
        """Whether it takes the page's full width."""
        return bool(self.narrow)


@dataclass(frozen=True)
class Box:
    """A filled rectangle in data coordinates."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Style:
    """How a label stands at its point."""

    align: Literal["left", "center", "right"] = "left"
    shift: tuple[float, float] = (0.0, 0.0)
    """Units to the right and up."""
    ink: str = "text"
    size: float = 11.5
    bold: bool = False


NAME = Style("right", (-8, 0))
"""Left of an axis: what a line is."""
VALUE = Style("left", (6, 0), "muted")
"""Right of a bar: its number."""


def draw(name: str, canvas: Canvas, paint: Callable[[Axes], None], label: str, hints: Mapping[str, str] | None = None) -> str:
    """The SVG of what `paint` does to the axes; `label` says it in words; `hints` are tooltips by the artist's gid."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(canvas.width / 72, canvas.height / 72), dpi=72)
        FigureCanvasSVG(figure)
        axes = figure.add_axes(canvas.box())
        axes.tick_params(length=0, pad=6)
        paint(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _themed(buffer.getvalue(), name, label, hints or {})


def fill_boxes(axes: Axes, boxes: Sequence[Box], ink: str, edge: float = 0.0, opacity: float = 1.0) -> None:
    """Fill many rectangles as one shape, which keeps ten thousand of them small.

    `edge` draws their outlines in the card's colour, which separates neighbours; with `opacity` 0 there are only outlines.
    """
    if not boxes:
        return
    vertices: list[tuple[float, float]] = []
    for box in boxes:
        right, top = box.x + box.width, box.y + box.height
        vertices += [(box.x, box.y), (right, box.y), (right, top), (box.x, top), (box.x, box.y)]
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(boxes)
    fill = INK[ink] if opacity else "none"
    patch = PathPatch(Path(vertices, codes), facecolor=fill, edgecolor=INK["card"] if edge else "none", linewidth=edge)
    patch.set_alpha(opacity or None)
    axes.add_patch(patch)


def say(axes: Axes, text: str, at: tuple[float, float], style: Style) -> None:
    """A label beside a point given in data coordinates, centred vertically."""
    axes.annotate(
        text,
        at,
        xytext=style.shift,
        textcoords="offset points",
        ha=style.align,
        va="center",
        color=INK[style.ink],
        size=style.size,
        weight="bold" if style.bold else "normal",
        annotation_clip=False,
    )


def bare(axes: Axes, *sides: str) -> None:
    """Remove spines."""
    for side in sides:
        axes.spines[side].set_visible(False)


def _themed(svg: str, name: str, label: str, hints: Mapping[str, str]) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{escape(label)}">', svg, count=1)
    for ink, colour in INK.items():
        svg = svg.replace(colour, f"var(--{ink})")
    svg = re.sub(r"font-family:[^;\"]*;?\s*", "", svg)
    svg = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", svg)
    svg = re.sub(r' d="[^"]*"', lambda path: _rounded(path[0], 1), svg)
    svg = re.sub(r"<[^>]*>", lambda tag: _rounded(tag[0], 2), svg)
    for gid, hint in hints.items():
        svg = svg.replace(f'<g id="{gid}">', f"<g><title>{escape(hint)}</title>")
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    return re.sub(r"\s*\n\s*", " ", re.sub(r">\s+<", "><", svg)).strip()


def _rounded(text: str, digits: int) -> str:
    return re.sub(rf"-?\d+\.\d{{{digits},}}", lambda number: f"{float(number[0]):.{digits}f}".rstrip("0").rstrip("."), text)
