"""Line charts as inline SVG: sharp at every width, and in the colours of the page around them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 12, 44
TICKS = 5


@dataclass(frozen=True)
class Line:
    """A series: `points` (x, y) in the axes' units, drawn in the page's colour number `colour`.

    `band` is its interval: (x, low, high) for each point. `sizes` are areas of the marks, from 0 to 1.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: int
    marks: bool = True
    dashed: bool = False
    band: Sequence[tuple[float, float, float]] = ()
    sizes: Sequence[float] = ()


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`; `names` stand at 0, 1, 2, … instead of numbers."""

    label: str
    low: float
    high: float
    names: Sequence[str] = ()

    def place(self, value: float, start: float, end: float) -> float:
        """Where a value lies between two ends in the drawing."""
        span = (self.high - self.low) or 1
        return start + (value - self.low) / span * (end - start)

    def ticks(self) -> list[tuple[float, str]]:
        """The places of the ticks and what stands there."""
        if self.names:
            return [(float(number), name) for number, name in enumerate(self.names)]
        step = (self.high - self.low) / (TICKS - 1)
        return [(self.low + n * step, f"{self.low + n * step:.3g}") for n in range(TICKS)]


SHARES = Axis("", 0, 1)


def draw_chart(title: str, lines: Sequence[Line], x: Axis, y: Axis) -> str:
    """A chart as an SVG element, with a legend of HTML below it and a title for screen readers."""

    def across(value: float) -> float:
        return round(x.place(value, LEFT, WIDTH - RIGHT), 1)

    def up(value: float) -> float:
        return round(y.place(value, HEIGHT - BOTTOM, TOP), 1)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{escape(title)}</title>']
    for value, name in y.ticks():
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(value)}" y2="{up(value)}"/>'
            f'<text x="{LEFT - 5}" y="{up(value) + 4}" text-anchor="end">{escape(name)}</text>'
        )
    for value, name in x.ticks():
        parts.append(
            f'<text x="{across(value)}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">'
            f"{escape(name)}</text>"
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.label)}</text>')
    for line in lines:
        parts += _draw_line(line, across, up)
    parts.append("</svg>")
    legend = "".join(
        f'<span class="key"><i class="c{line.colour}{" dashed" if line.dashed else ""}"></i>'
        f"{escape(line.name)}</span>"
        for line in lines
    )
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>{"".join(parts)}'
        f'<div class="legend">{legend}</div></figure>'
    )


def _draw_line(line: Line, across: Callable[[float], float], up: Callable[[float], float]) -> list[str]:
    parts = []
    if line.band:
        edge = [f"{across(x)},{up(high)}" for x, _, high in line.band]
        edge += [f"{across(x)},{up(low)}" for x, low, _ in reversed(line.band)]
        parts.append(f'<polygon class="band f{line.colour}" points="{" ".join(edge)}"/>')
    path = " ".join(f"{across(px)},{up(py)}" for px, py in line.points)
    dashed = " dashed" if line.dashed else ""
    parts.append(f'<polyline class="line s{line.colour}{dashed}" points="{path}"/>')
    for number, (px, py) in enumerate(line.points if line.marks else ()):
        radius = 2.5 + 6 * line.sizes[number] ** 0.5 if line.sizes else 3
        parts.append(
            f'<circle class="f{line.colour}" cx="{across(px)}" cy="{up(py)}" r="{radius:.1f}">'
            f"<title>{escape(line.name)}: {px:.3g}, {py:.3f}</title></circle>"
        )
    return parts
