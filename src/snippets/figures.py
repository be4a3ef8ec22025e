"""The book's figures: one calm style, and colors that mean something.

A color stands for the same thing in every lesson, and only here is it said
which. Matplotlib draws with the colors for white paper; `show` turns that one
drawing into an SVG whose colors follow the page from light to dark, and into
a PDF for print. A lesson writes::

    fig, ax = figures.axes()
    ax.plot(x, y, color=figures.ATTENTION)
    figures.label(ax, x[-1], y[-1], "attention", color=figures.ATTENTION)
    figures.show(fig)

and ends the cell with `show`. Sizes are in inches and points as in
matplotlib. The colors are QUERY, KEY, VALUE; ATTENTION, RECURRENCE,
DIFFUSION; METHOD, BASELINE, CHANCE; HUMAN, AI; POSITIVE, NEGATIVE; and INK,
MUTED, GRID and PAPER for all that has no meaning of its own.

At its natural size a figure's text is as large as the page's; one of at most
the default width stays legible on a phone without scrolling.

A figure that the reader plays with is drawn once for every value that the
slider can take. It ends its cell with `slider` in place of `show`::

    figures.slider({shots: drawn(shots) for shots in (0, 1, 2, 4)}, "shots")
"""

from __future__ import annotations  # "ArrayLike" in the reference

import base64
import functools
import io
import itertools
import logging
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_pdf import Op, PdfFile, RendererPdf
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.textpath import TextPath
from matplotlib.ticker import LogFormatter
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike

__all__ = [
    "Box",
    "Diagram",
    "Picture",
    "axes",
    "heatmap",
    "label",
    "show",
    "slider",
]

# What a color means. Each has 4.5:1 against its ground, so it may color text.
QUERY = "#0961bb"
KEY = "#ad5300"
VALUE = "#045d33"
ATTENTION = "#a2135a"
RECURRENCE = "#027c7c"
DIFFUSION = "#755900"
METHOD = "#5138b7"
BASELINE = "#475768"
CHANCE = "#6a6f74"
HUMAN = "#932e14"
AI = "#027493"
POSITIVE = "#1f53b8"
NEGATIVE = "#a83902"
INK = "#222832"
MUTED = "#5c6570"
GRID = "#d5dae0"
PAPER = "#ffffff"

# The same colors on a dark ground. Ink is whatever the text around it is.
DARK = {
    QUERY: "#67a7f8",
    KEY: "#fea56e",
    VALUE: "#9fe4b6",
    ATTENTION: "#e8719e",
    RECURRENCE: "#6dd1d0",
    DIFFUSION: "#f4d487",
    METHOD: "#9c95ff",
    BASELINE: "#aab9ca",
    CHANCE: "#979ca1",
    HUMAN: "#f69880",
    AI: "#8cd7f4",
    POSITIVE: "#6c9cf8",
    NEGATIVE: "#eb8560",
    INK: "currentColor",
    MUTED: "#a3abb5",
    GRID: "#353a41",
    PAPER: "#121212",
}

# What tells lines apart where color can't: in grey, or to a color-blind eye.
DASHES: dict[str, Any] = {
    KEY: (0, (6, 2)),
    VALUE: (0, (7, 2, 1.5, 2)),
    RECURRENCE: (0, (6, 2)),
    DIFFUSION: (0, (7, 2, 1.5, 2)),
    BASELINE: (0, (6, 2)),
    CHANCE: (0, (1.2, 2)),
    AI: (0, (6, 2)),
}

WIDTH, HEIGHT = 6.0, 3.0  # inches
TEXT = 12.0  # points: the size of the page's own text on a screen
PRINTED_TEXT = 10.0  # and on paper, where the figure shrinks to match

STYLE: dict[Any, Any] = {
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=[INK]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": TEXT,
    "axes.unicode_minus": True,
    "errorbar.capsize": 0,
    "figure.edgecolor": "none",
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": TEXT,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 2.2,
    "lines.markersize": 6,
    "mathtext.fontset": "cm",
    "patch.edgecolor": "none",
    "patch.facecolor": INK,
    "patch.linewidth": 0,
    "pdf.fonttype": 42,
    "savefig.edgecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "recent-llm-advances",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": TEXT,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": TEXT,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


mpl.rcParams.update(STYLE)


class HouseAxes(Axes):
    """Axes whose lines look like what their colors stand for."""

    def plot(self, *args: Any, **options: Any) -> Any:
        """Plot; a color that stands for something brings its dashes."""
        described = any(isinstance(argument, str) for argument in args)
        if not described and not {"ls", "linestyle"} & set(options):
            options["linestyle"] = DASHES.get(str(options.get("color")), "-")
        return super().plot(*args, **options)


def axes(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = WIDTH,
    height: float = HEIGHT,
    **options: Any,
) -> tuple[Figure, Any]:
    """A figure and its axes: one, or an array where there are several.

    Sizes are in inches. `options` go to `matplotlib.figure.Figure.subplots`.
    """
    figure = Figure(figsize=(width, height), dpi=72, layout="constrained")
    panels = figure.subplots(
        rows, columns, subplot_kw={"axes_class": HouseAxes}, **options
    )
    return figure, panels


SIDES: dict[str, tuple[tuple[float, float], str, str]] = {
    "right": ((7, 0), "left", "center_baseline"),
    "left": ((-7, 0), "right", "center_baseline"),
    "above": ((0, 7), "center", "baseline"),
    "below": ((0, -7), "center", "top"),
}


def label(
    ax: Axes,
    x: float,
    y: float,
    text: str,
    *,
    color: str = INK,
    side: str = "right",
) -> None:
    """Write `text` beside the point (x, y) of the data, not in a legend."""
    if side not in SIDES:
        raise ValueError(f"side is one of {', '.join(SIDES)}, not {side!r}")
    offset, ha, va = SIDES[side]
    ax.annotate(
        text,
        (x, y),
        xytext=offset,
        textcoords="offset points",
        annotation_clip=False,
        color=color,
        ha=ha,
        va=va,
    )


def tints(
    matrix: ArrayLike, color: str, limit: float, strength: float
) -> tuple[Any, Any]:
    """The two layers of a heat map, RGBA: what is above zero, and below.

    A cell is its color laid over the page, more of it for a larger value, so
    that zero is the page itself, light or dark.
    """
    values = np.nan_to_num(np.asarray(matrix, dtype=float)) / limit
    layers = []
    for tint, part in (color, values), (NEGATIVE, -values):
        layer = np.empty((*values.shape, 4))
        layer[..., :3] = to_rgb(tint)
        layer[..., 3] = strength * np.clip(part, 0, 1)
        layers.append(layer)
    return layers[0], layers[1]


CRISP = 40  # most rows and columns of a matrix that is drawn in vector


def cells(ax: Axes, layers: tuple[Any, Any]) -> None:
    """Draw a heat map's layers on the axes, row 0 at the top."""
    rows, columns = layers[0].shape[:2]
    y, x = np.divmod(np.arange(rows * columns), columns)
    half = 0.5 - 0.0012 * max(rows, columns)  # leaves a hairline of the page
    corners = half * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    squares = np.stack([x, y], -1)[:, None] + corners
    for layer in layers:
        colors = layer.reshape(-1, 4)
        shown = colors[:, 3] > 0
        if max(rows, columns) <= CRISP:
            paint = {"facecolors": colors[shown], "linewidths": 0}
            ax.add_collection(PolyCollection(squares[shown], **paint))
        elif shown.any():
            image = ax.imshow(layer, interpolation="none")
            number = len(ax.figure.findobj(AxesImage))
            image.set_gid(f"tint-{to_hex(colors[0, :3])[1:]}-{number}")
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    ax.grid(False)
    ax.spines[:].set(visible=True, color=GRID)
    ax.tick_params(length=0)


def name_cells(axis: Axis, names: Sequence[str], count: int) -> None:
    """Write a name at each row or column; none leaves the axis empty."""
    if len(names) not in (0, count):
        raise ValueError(f"{len(names)} names for {count} rows or columns")
    axis.set_ticks(range(len(names)), labels=list(names))
    if axis is axis.axes.xaxis and max(map(len, names), default=0) > 2:
        for text in axis.get_ticklabels():
            text.set(rotation=45, ha="right", va="top")
            text.set_rotation_mode("anchor")


WRITABLE = 0.37  # ink on this much of any color has 4.5:1, day and night


def minus(number: str) -> str:
    """A number with a minus sign instead of a hyphen."""
    return number.replace("-", "−")


def heatmap(
    ax: Axes,
    matrix: ArrayLike,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    color: str = POSITIVE,
    limit: float | None = None,
    values: str = "",
    scale: str = "",
) -> None:
    """Draw a matrix as tinted cells; zero, NaN and infinity stay page.

    Values above zero take `color`, values below zero NEGATIVE, in full at
    `limit` (the largest magnitude unless given). `rows` and `columns` name
    the cells, `values` is a format that writes each number into its cell
    (".2f"), `scale` names what is shown and adds a key to the colors.
    """
    matrix = np.asarray(matrix, dtype=float)
    matrix = np.where(np.isfinite(matrix), matrix, np.nan)
    if matrix.ndim != 2 or np.isnan(matrix).all():
        raise ValueError(f"expected a matrix, got shape {matrix.shape}")
    limit = limit or float(np.nanmax(np.abs(matrix))) or 1.0
    strength = WRITABLE if values else 1.0
    cells(ax, tints(matrix, color, limit, strength))
    ax.set_aspect("equal")
    name_cells(ax.yaxis, rows, len(matrix))
    name_cells(ax.xaxis, columns, len(matrix.T))
    if values:
        for (i, j), value in np.ndenumerate(matrix):
            number = "" if np.isnan(value) else minus(format(value, values))
            ax.text(j, i, number, ha="center", va="center_baseline")
    if scale:
        low = -limit if np.nanmin(matrix) < 0 else 0.0
        key = ax.inset_axes((1.04, 0, 0.05, 1))
        steps = np.linspace(limit, low, 9)[:, None]
        cells(key, tints(steps, color, limit, strength))
        key.set_aspect("auto")
        key.set_xticks([])
        ends = [minus(f"{end:.2g}") for end in (limit, low)]
        key.set_yticks([0, 8], labels=ends)
        key.yaxis.tick_right()
        key.yaxis.set_label_position("right")
        key.set_ylabel(scale)


class Diagram:
    """Boxes and arrows; x and y are in inches from the lower left corner."""

    def __init__(self, width: float = WIDTH, height: float = HEIGHT) -> None:
        """Start an empty drawing of this size in inches."""
        self.figure = Figure(figsize=(width, height), dpi=72)
        self.ax = self.figure.add_axes((0, 0, 1, 1))
        self.ax.set(xlim=(0, width), ylim=(0, height))
        self.ax.set_axis_off()

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        color: str = INK,
        ha: str = "center",
    ) -> None:
        """Write lines of text, the middle of them at (x, y)."""
        lines = text.split("\n")
        top = y + LINE * (len(lines) - 1) / 2
        for number, line in enumerate(lines):
            place = x, top - LINE * number
            self.ax.text(
                *place, line, color=color, ha=ha, va="center_baseline"
            )

    def box(
        self,
        x: float,
        y: float,
        text: str,
        *,
        color: str = INK,
        width: float | None = None,
        height: float | None = None,
    ) -> Box:
        """Draw a box around `text`, centered at (x, y); fits unless told."""
        lines = text.split("\n")
        width = width or max(map(text_width, lines)) + 0.32
        height = height or LINE * len(lines) + 0.2
        patch = FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.07",
            facecolor=(color, 0.12),
            edgecolor=color,
            linewidth=1.4,
        )
        self.ax.add_patch(patch)
        self.text(x, y, text)
        return Box(x, y, width, height)

    def arrow(
        self,
        a: Box | tuple[float, float],
        b: Box | tuple[float, float],
        text: str = "",
        *,
        color: str = INK,
        bend: float = 0.0,
        dashed: bool = False,
    ) -> None:
        """Draw an arrow from a to b, boxes or points, with words beside it.

        `bend` is how far it swerves, as a part of its length, to the right
        of its direction when positive.
        """
        a, b = (end if isinstance(end, Box) else Box(*end) for end in (a, b))
        middle = np.array([(a.x + b.x) / 2, (a.y + b.y) / 2])
        swerve = bend * np.array([b.y - a.y, a.x - b.x])
        start, end = (box.border(*(middle + swerve)) for box in (a, b))
        arrow = FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>,head_length=5,head_width=2.8",
            connectionstyle=f"arc3,rad={bend}",
            shrinkA=2,
            shrinkB=2,
            color=color,
            linewidth=1.4,
            linestyle=(0, (4, 2)) if dashed else "-",
            mutation_scale=1,
        )
        self.ax.add_patch(arrow)
        (x0, y0), (x1, y1) = start, end
        x = (x0 + x1 + bend * (y1 - y0)) / 2
        y = (y0 + y1 + bend * (x0 - x1)) / 2
        level = abs(b.x - a.x) > abs(b.y - a.y)
        if text and level:
            side = -1 if swerve[1] < 0 else 1
            self.text(x, y + side * 0.15, text, color=color)
        elif text:
            self.text(x + 0.12, y, text, color=color, ha="left")


LINE = 1.25 * TEXT / 72  # inches from one line of text to the next


def text_width(line: str) -> float:
    """Inches that a line of text takes."""
    if not line.strip():
        return 0.0
    font = FontProperties(family=STYLE["font.family"])
    path = TextPath((0, 0), line, size=TEXT, prop=font)
    return float(path.get_extents().width) / 72


@dataclass(frozen=True)
class Box:
    """A box of a diagram, for arrows to start from and point to."""

    x: float
    y: float
    width: float = 0.0
    height: float = 0.0

    def border(self, x: float, y: float) -> tuple[float, float]:
        """Where the way from the middle to (x, y) leaves the box."""
        dx, dy = x - self.x, y - self.y
        across = abs(dx) * self.height > abs(dy) * self.width
        side, way = (self.width, dx) if across else (self.height, dy)
        part = side / 2 / abs(way) if way else 0.0
        return self.x + part * dx, self.y + part * dy


@dataclass(frozen=True)
class Picture:
    """A drawn figure, as each output wants it."""

    svg: str
    pdf: bytes
    width: float  # inches

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], ...]:
        data = {
            "image/svg+xml": self.svg,
            "application/pdf": base64.b64encode(self.pdf).decode(),
            "text/plain": "Picture",
        }
        printed = {"width": f"{self.width * PRINTED_TEXT / TEXT:.3f}in"}
        return data, {"application/pdf": printed}


def show(drawing: Figure | Diagram) -> Picture:
    """The last line of a cell: the figure, ready for page and paper."""
    figure = figure_of(drawing)
    plain_numbers(figure)
    svg = recolored(drawn_svg(figure))
    refuse_collisions(figure)
    pdf = io.BytesIO()
    figure.savefig(pdf, format="pdf", dpi=RASTER, metadata=NOBODY)
    return Picture(svg, pdf.getvalue(), figure.get_figwidth())


def figure_of(drawing: Figure | Diagram) -> Figure:
    """What matplotlib draws."""
    return drawing.figure if isinstance(drawing, Diagram) else drawing


NOBODY = dict.fromkeys(["Creator", "Producer", "CreationDate"])


HEADING = 0.35  # inches above a still, for its value
HIGHEST = 2.5  # inches of a state, for three of them on a printed page


def slider(states: Mapping[Any, Figure | Diagram], label: str) -> Picture:
    """The last line of a cell: a figure whose states a slider goes through.

    `states` has the figure for each value of what `label` names, in order;
    they agree in size and limits. The page shows one at a time, from the
    first on. Paper, and a reader without scripts, get the first, the middle
    and the last: side by side if they are at most 2.2 inches wide, else one
    above the other, and then at most 2.5 inches high.
    """
    if len(states) < 3:
        raise ValueError(f"a slider needs 3 states, got {len(states)}")
    figures = [figure_of(state) for state in states.values()]
    align(dict(zip(states, figures, strict=True)))
    width, height = map(float, figures[0].get_size_inches())
    places, sheet = stills(len(figures), width, height)
    groups = []
    for number, (value, figure) in enumerate(
        zip(states, figures, strict=True)
    ):
        name = value if isinstance(value, str) else minus(str(value))
        group = {"data-state": name, "display": "none"}
        if number in places:
            x, y = (72 * inches for inches in places[number])
            group = {
                "data-state": name,
                "transform": f"translate({x:g} {y:g})",
            }
            words = f"{label}: {name}"
            heading = figure.text(0, 1 + 0.07 / height, words, weight="bold")
            if heading.get_window_extent().width > 72 * width:
                raise ValueError(f"{words!r} is wider than the state below")
        groups.append(group)
    svg = recolored(
        drawn_svg(*figures, groups=groups),
        {
            "viewBox": f"0 0 {72 * sheet[0]:g} {72 * sheet[1]:g}",
            "width": f"{72 * sheet[0]:g}pt",
            "height": f"{72 * sheet[1]:g}pt",
            "preserveAspectRatio": "xMinYMin slice",  # cut off, not shrunk
            "data-slider": label,
            "data-size": f"{72 * width:g} {72 * height:g}",
        },
    )
    for figure in figures:
        refuse_collisions(figure)
    pdf = drawn_pdf({figures[n]: places[n] for n in places}, sheet)
    return Picture(svg, pdf, sheet[0])


def stills(
    count: int, width: float, height: float
) -> tuple[dict[int, tuple[float, float]], tuple[float, float]]:
    """Where the first, the middle and the last state go on what sheet.

    Places are inches from the top left, under the heading of each state.
    """
    shown = 0, count // 2, count - 1
    if 3 * width <= 1.1 * WIDTH:
        places = {n: (i * width, HEADING) for i, n in enumerate(shown)}
        return places, (3 * width, HEADING + height)
    if height > HIGHEST:
        raise ValueError(
            f"a state is {height:g} inches high: three of them share a page "
            f"in print, so draw it at most {HIGHEST} inches high"
        )
    row = HEADING + height
    places = {n: (0.0, HEADING + i * row) for i, n in enumerate(shown)}
    return places, (width, 3 * row)


def align(figures: Mapping[Any, Figure]) -> None:
    """Give all states the same axes, so that only what they show moves."""
    frames = {}
    for value, figure in figures.items():
        plain_numbers(figure)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        limits = [[*ax.get_xlim(), *ax.get_ylim()] for ax in figure.axes]
        size = figure.get_size_inches().tolist()
        frames[value] = f"size {size}, limits {np.array(limits).tolist()}"
    first = next(iter(figures))
    for value, frame in frames.items():
        if frame != frames[first]:
            raise ValueError(
                "the states of a slider need one size and the same limits, "
                f"set with ax.set(xlim=..., ylim=...): {first!r} has "
                f"{frames[first]}, {value!r} has {frame}"
            )
    for panels in zip(*(fig.axes for fig in figures.values()), strict=True):
        rooms = [ax.get_position(original=True) for ax in panels]
        for ax in panels:
            ax.set_position(functools.reduce(Bbox.intersection, rooms))


def drawn_pdf(
    places: Mapping[Figure, tuple[float, float]], sheet: tuple[float, float]
) -> bytes:
    """Figures on one sheet, each at its place, inches from the top left."""
    out = io.BytesIO()
    pdf_file, pdf_renderer, mixed_renderer = cast(
        Any, (PdfFile, RendererPdf, MixedModeRenderer)
    )
    file = pdf_file(out, metadata=NOBODY)
    file.newPage(*sheet)
    for figure, (x, y) in places.items():
        width, height = figure.get_size_inches()
        corner = 72 * x, 72 * (sheet[1] - y - height)
        file.output(Op.gsave, 1, 0, 0, 1, *corner, Op.concat_matrix)
        pdf = pdf_renderer(file, RASTER, height, width)
        figure.draw(mixed_renderer(figure, width, height, RASTER, pdf))
        pdf.finalize()
        file.output(Op.grestore)
    file.finalize()
    file.close()
    return out.getvalue()


# Says on every subset of a font that the font is old.
logging.getLogger("fontTools").setLevel(logging.ERROR)

RASTER = 200  # dots per inch of what is rasterized


def refuse_collisions(figure: Figure) -> None:
    """Labels that cover each other are an error, not a detail."""
    texts = [text for ax in figure.axes for text in ax.texts]
    labels = [(t.get_text(), t.get_window_extent()) for t in texts]
    for (one, here), (other, there) in itertools.combinations(labels, 2):
        if one and other and here.overlaps(there):
            raise ValueError(
                f"the labels {one!r} and {other!r} cover each other: "
                "move one, or change its side"
            )


class PlainLog(LogFormatter):
    """1, 100, 10⁴ in the page's own font, on a logarithmic axis."""

    def _num_to_string(self, x: float, vmin: float, vmax: float) -> str:
        power = round(np.log10(x))
        wide = vmax > 2e4 or vmin < 1e-3
        if wide and power not in (0, 1) and np.isclose(x, 10.0**power):
            return f"10{str(power).translate(SUPERSCRIPT)}"
        return f"{x:,g}"


SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def plain_numbers(figure: Figure) -> None:
    """Let logarithmic axes speak in text where matplotlib sets formulas."""
    for ax in figure.axes:
        for axis in ax.xaxis, ax.yaxis:
            if axis.get_scale() == "log" and axis.isDefault_majfmt:
                axis.set_major_formatter(PlainLog())
                axis.set_minor_formatter(PlainLog())


class TextRenderer(RendererSVG):
    """Writes words as text, for the page's own font, and math as outlines."""

    def draw_text(  # type: ignore[no-untyped-def]
        self, gc, x, y, s, prop, angle, ismath=False, mtext=None
    ) -> None:
        """Write one line, as matplotlib calls it."""
        with mpl.rc_context({"svg.fonttype": "path" if ismath else "none"}):
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)  # type: ignore[no-untyped-call]


def drawn_svg(*figures: Figure, groups: Sequence[dict[str, str]] = ()) -> str:
    """The figures, which share one size, in matplotlib's SVG.

    `groups` has attributes for the group that each of them becomes.
    """
    out = io.StringIO()
    width, height = figures[0].get_size_inches()
    text_renderer, mixed_renderer = cast(
        Any, (TextRenderer, MixedModeRenderer)
    )
    svg = text_renderer(72 * width, 72 * height, out, image_dpi=RASTER)
    for figure, group in itertools.zip_longest(figures, groups):
        if group:
            svg.writer.start("g", group)
        figure.draw(mixed_renderer(figure, width, height, RASTER, svg))
        if group:
            svg.writer.end("g")
    svg.finalize()
    return out.getvalue()


SVG = "{http://www.w3.org/2000/svg}"
ET.register_namespace("", SVG[1:-1])
ET.register_namespace("xlink", "http://www.w3.org/1999/xlink")
PAINT = re.compile(r"(fill|stroke|flood-color): (#[0-9a-f]{6})")
ROOT = {
    "class": "book-figure",
    "fill": "currentColor",
    "font-family": "system-ui, sans-serif",
    "stroke-linejoin": "round",
}


def switching(paint: re.Match[str]) -> str:
    """One declaration of a color, turned into one that follows the page."""
    kind, color = paint.groups()
    if color not in DARK:
        raise ValueError(
            f"the color {color} means nothing in this book: use one that "
            "snippets.figures names, like figures.METHOD or figures.INK"
        )
    if color == INK:
        return f"{kind}: currentColor"
    both = f"light-dark({color}, {DARK[color]})"
    return f"{kind}: {color}; {kind}: {both}"


def recolored(svg: str, attributes: Mapping[str, str] | None = None) -> str:
    """Matplotlib's SVG without what nobody reads, in switching colors.

    `attributes` are set at its root.
    """
    root = ET.fromstring(svg)
    tint_rasters(root)
    references = ET.tostring(root, encoding="unicode")
    used = re.findall(r"(?:url\(|href=\")#([\w.-]+)", references)
    for parent in list(root.iter()):
        for node in list(parent):
            if node.tag in (f"{SVG}metadata", f"{SVG}style"):
                parent.remove(node)
    for node in root.iter():
        if node.get("id") not in used:
            node.attrib.pop("id", None)
        style = re.sub(r" ?font-family: [^;]*;?", "", node.get("style", ""))
        if style:
            node.set("style", PAINT.sub(switching, style))
    root.attrib.update(ROOT | dict(attributes or {}))
    return ET.tostring(root, encoding="unicode")


def tint_rasters(root: ET.Element) -> None:
    """Take of a heat map's raster its opacity, and paint that anew."""
    for image in list(root.iter(f"{SVG}image")):
        tint = re.match("tint-([0-9a-f]{6})", image.get("id", ""))
        if tint:
            image.set("filter", f"url(#{tint[0]})")
            if root.find(f"{SVG}filter[@id='{tint[0]}']") is None:
                root.insert(0, tint_filter(tint[0], f"#{tint[1]}"))


def tint_filter(name: str, color: str) -> ET.Element:
    """A filter that paints an image's opacity in a color that switches."""
    rules = {"id": name, "color-interpolation-filters": "sRGB"}
    tint = ET.Element(f"{SVG}filter", rules)
    ET.SubElement(tint, f"{SVG}feFlood", style=f"flood-color: {color}")
    ET.SubElement(tint, f"{SVG}feComposite", in2="SourceAlpha", operator="in")
    return tint
