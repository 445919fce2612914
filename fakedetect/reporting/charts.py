"""The project's own figures as inline SVG, in the colours of the page around them."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from fakedetect.images.sheets import CLASS_COLOURS, SERIES_COLOURS, TEXT_COLOUR, missing_glyphs_ignored

WIDTH, HEIGHT = 4.4, 3.3
"""Inches, which the page scales; they decide how large the text is beside the curves."""

PAGE_COLOURS = {
    CLASS_COLOURS["fake"]: "--fake",
    CLASS_COLOURS["real"]: "--real",
    **{colour: f"--c{number}" for number, colour in enumerate(SERIES_COLOURS)},
    TEXT_COLOUR: "--ink",
    "grey": "--grey",
    "black": "--ink",
    "white": "--card",
    "#b0b0b0": "--line",
    "#cccccc": "--line",
}
"""matplotlib's colours, and the page's for them in light and dark."""


@dataclass(frozen=True)
class Chart:
    """A figure of the page: its title, and an SVG element in which every text is escaped."""

    title: str
    svg: str


def draw_chart(title: str, plot: Callable[[Axes], None]) -> Chart:
    """What `plot` draws into axes."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots()
    plot(axes)
    axes.set_title("")
    file = io.StringIO()
    # The salt makes a chart's inner names its own among the others of the page.
    with (
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}),
        missing_glyphs_ignored(),
    ):
        FigureCanvasSVG(figure).print_svg(
            file, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return Chart(title, _restyle(file.getvalue(), title))


def _restyle(text: str, title: str) -> str:
    """matplotlib's SVG for a page: its colours and font, no size of its own, no name used twice."""
    svg = text[text.index("<svg") :]
    for left_out in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r' xmlns(:\w+)?="[^"]*"'):
        svg = re.sub(left_out, "", svg, flags=re.DOTALL)
    for size in ("width", "height"):
        svg = re.sub(rf'(<svg[^>]*?) {size}="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("xlink:href", "href")
    used = set(re.findall(r"#([\w-]+)[\")]", svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
    for colour, name in PAGE_COLOURS.items():
        svg = svg.replace(to_hex(colour), f"var({name})")
    svg = re.sub(r"(font: [\d.]+px) [^;\"]*", r"\1 system-ui, sans-serif", svg)
    return svg.replace(">", f' role="img"><title>{escape(title)}</title>', 1)
