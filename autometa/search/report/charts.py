"""Charts as inline SVG that stretch to any width, with axis labels in HTML so that text never shrinks.

Everything is drawn in a unit square with y upwards; shapes keep their stroke width however the square is
stretched, and a dot is a line of no length with round ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from autometa.search.report import words

Point = tuple[float, float]
SIDE = 1000  # the unit square in SVG units


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        low, high: its range, in data units.
        ticks: (value, label) of each tick.
        title: what it shows.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    title: str = ""

    def place(self, value: float) -> float:
        """Where a value lies, clipped into [0, 1]."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def axis(
    low: float, high: float, *, title: str = "", label: Callable[[float], str] | None = None, most: int = 5
) -> Axis:
    """An axis with round ticks, labelled with as many decimals as they need."""
    if not high > low:
        pad = abs(low) * 0.05 or 0.5
        low, high = low - pad, high + pad
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    decimals = min(9, max(0, math.ceil(-math.log10(step) - 1e-9) + (step / power == 2.5)))
    label = label or (lambda value: words.fixed(value, decimals))
    return Axis(low, high, tuple((i * step, label(i * step)) for i in range(first, last + 1)), title)


def log_axis(low: float, high: float, *, title: str = "") -> Axis:
    """An axis in logarithms of the data, with ticks at 1, 2 and 5 times powers of ten, or powers alone."""
    tens = range(math.floor(low / math.log(10)) - 1, math.ceil(high / math.log(10)) + 1)
    steps = (1, 2, 5) if (high - low) / math.log(10) < 2.2 else (1,)
    values = [s * 10.0**t for t in tens for s in steps]
    ticks = [(math.log(v), words.number(v)) for v in values if low <= math.log(v) <= high]
    return Axis(low, high, tuple(ticks), title)


_TIMES = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)


def time_axis(seconds: float, *, title: str = "") -> Axis:
    """An axis from 0 on with ticks at whole seconds, minutes or hours."""
    end = max(seconds, 1.0)
    step = next((s for s in _TIMES if end / s <= 6), math.ceil(end / 6 / 86_400) * 86_400)
    return Axis(0.0, end, tuple((i * step, _clock(i * step)) for i in range(int(end / step) + 1)), title)


def _clock(seconds: float) -> str:
    if not seconds:
        return "0"
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % (unit / 2) == 0:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s" if seconds < 60 else f"{seconds / 60:g} min"


# Shapes


def line(points: Iterable[Point], css: str) -> Markup:
    """A line through places in the unit square."""
    path = "L".join(f"{_x(x)} {_y(y)}" for x, y in points)
    return Markup('<path class="{}" d="M{}"/>').format(css, path) if path else Markup()


def area(points: Sequence[Point], css: str, *, base: float = 0.0) -> Markup:
    """The area between a line and a height."""
    if not points:
        return Markup()
    outline = [(points[0][0], base), *points, (points[-1][0], base)]
    path = "L".join(f"{_x(x)} {_y(y)}" for x, y in outline)
    return Markup('<path class="{}" d="M{}Z"/>').format(css, path)


def steps(points: Sequence[Point], end: float) -> list[Point]:
    """The corners of a step line that holds each value until the next, and the last until `end`."""
    corners: list[Point] = []
    for i, (x, y) in enumerate(points):
        corners += [(x, y), (points[i + 1][0] if i + 1 < len(points) else max(end, x), y)]
    return corners


def dots(points: Iterable[Point], css: str) -> Markup:
    """Many equal dots as one shape."""
    path = "".join(f"M{_x(x)} {_y(y)}h.01" for x, y in points)
    return Markup('<path class="dot {}" d="{}"/>').format(css, path) if path else Markup()


def dot(x: float, y: float, css: str, about: str) -> Markup:
    """One dot that says what it is when pointed at."""
    return Markup('<path class="dot {}" d="M{} {}h.01"><title>{}</title></path>').format(css, _x(x), _y(y), about)


def bars(edges: Sequence[float], heights: Sequence[float], css: str, about: Sequence[str]) -> Markup:
    """Bars between edges, all in the unit square."""
    shape = Markup('<path class="{}" d="M{} {}H{}V{}H{}Z"><title>{}</title></path>')
    return Markup().join(
        shape.format(css, _x(edges[i]), _y(0), _x(edges[i + 1]), _y(h), _x(edges[i]), about[i])
        for i, h in enumerate(heights)
        if h > 0
    )


def density(grid: Sequence[Sequence[float]]) -> Markup:
    """Cells coloured by how many rows they hold; grid[i][j] is column i from the left, row j from below."""
    most = max((v for column in grid for v in column), default=0)
    if not most:
        return Markup()
    # Few shades rather than one shape per cell: a third of the size, and no seams between cells.
    shades: dict[int, list[str]] = {}
    for i, column in enumerate(grid):
        wide, tall = 1 / len(grid), 1 / len(column)
        for j, value in enumerate(column):
            if value > 0:
                shade = 1 + min(7, int(8 * math.log1p(value) / math.log1p(most) * 0.999))
                cell = f"M{_x(i * wide)} {_y(j * tall)}H{_x((i + 1) * wide)}V{_y((j + 1) * tall)}H{_x(i * wide)}Z"
                shades.setdefault(shade, []).append(cell)
    shape = Markup('<path class="cell" fill-opacity="{}" d="{}"/>')
    return Markup().join(shape.format(round(s / 8, 3), "".join(cells)) for s, cells in sorted(shades.items()))


def chart(
    shapes: Iterable[Markup], x: Axis, y: Axis, *, about: str, css: str = "", over: Markup | None = None
) -> Markup:
    """Shapes in their frame.

    Args:
        shapes: drawn in this order.
        x: the axis along the bottom.
        y: the axis along the left.
        about: what a person who does not see the chart is told.
        css: classes of the figure: "square", "low".
        over: HTML placed over the plot.
    """
    grid = Markup().join(
        Markup('<path class="grid" d="M0 {}H1000"/>').format(_y(y.place(value))) for value, _ in y.ticks
    )
    y_labels = Markup().join(
        Markup('<span style="bottom:{:.2f}%">{}</span>').format(100 * y.place(v), label) for v, label in y.ticks
    )
    x_labels = Markup().join(
        Markup('<span style="left:{:.2f}%">{}</span>').format(100 * x.place(v), label) for v, label in x.ticks
    )
    widest = max((label for _, label in y.ticks), key=len, default="")
    return Markup(
        '<div class="chart {css}"><div class="ytitle">{ytitle}</div>'
        '<div class="yticks" aria-hidden="true"><b>{widest}</b>{y_labels}</div>'
        '<div class="plot"><svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="{about}">'
        "{grid}{shapes}</svg>{over}</div>"
        '<div class="xticks" aria-hidden="true">{x_labels}</div><div class="xtitle">{xtitle}</div></div>'
    ).format(
        css=css,
        ytitle=y.title,
        widest=widest,
        y_labels=y_labels,
        about=about,
        grid=grid,
        shapes=Markup().join(shapes),
        over=over or "",
        x_labels=x_labels,
        xtitle=x.title,
    )


def spark_bars(counts: Sequence[float], about: str) -> Markup:
    """A tiny histogram."""
    most = max(counts, default=0)
    if not most or not len(counts):
        return Markup()
    wide = SIDE / len(counts)
    path = "".join(
        f"M{round(i * wide)} {SIDE}H{round((i + 1) * wide - wide * 0.12)}V{round(SIDE * (1 - max(0.04, c / most)))}"
        f"H{round(i * wide)}Z"
        for i, c in enumerate(counts)
        if c > 0
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="{}">'
        "<title>{}</title>"
        '<path d="{}"/></svg>'
    ).format(about, about, path)


def label_at(x: float, y: float, text: str, css: str = "") -> Markup:
    """HTML text at a place in the plot."""
    return Markup('<span class="at {}" style="left:{:.2f}%;bottom:{:.2f}%">{}</span>').format(
        css, 100 * x, 100 * y, escape(text)
    )


def _x(value: float) -> str:
    return f"{value * SIDE:.1f}".rstrip("0").rstrip(".")


def _y(value: float) -> str:
    return f"{(1 - value) * SIDE:.1f}".rstrip("0").rstrip(".")
