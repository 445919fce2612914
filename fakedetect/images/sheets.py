"""Sheets of small pictures, and how every figure is laid out, coloured and saved."""

import io
import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from fakedetect.core.files import atomic_write
from fakedetect.core.processes.pool import map_images
from fakedetect.core.terminal.console import printable
from fakedetect.images.views import read_thumbnail

CAPTION = 30
"""Characters in a line of a caption."""

TITLE = 45
"""Characters of a title in the width of a panel."""

LEAST_COLUMNS = 3
"""A sheet's width in pictures, so that its title has room."""

DPI = 120
FORMATS = {".png": "PNG", ".jpg": "JPEG"}
PNG_EFFORT = 3
"""Of 9: half the time of Pillow's usual one, for files hardly larger."""

TITLE_HEIGHT = 1.0
"""Of a title above its axes, in their heights: not given one, matplotlib looks for room among all ticks."""

KEPT_END = 12
"""Characters at the end of a shortened name, its ending among them."""

CLASS_COLOURS = {"fake": "tab:red", "real": "tab:blue"}
"""Nothing but the two classes is drawn in these."""

SERIES_COLOURS = ("tab:purple", "tab:orange", "tab:green", "tab:pink", "tab:olive", "tab:cyan")
"""Colours of whatever else is told apart."""

AUC_COLOUR, ACCURACY_COLOUR = SERIES_COLOURS[0], SERIES_COLOURS[1]
TRAINING_COLOUR, VALIDATION_COLOUR = SERIES_COLOURS[2], SERIES_COLOURS[1]

TEXT_COLOUR = "#111111"
"""Of text on a coloured ground."""

LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//", "..", "xx")


def series_colour(number: int) -> str:
    """The colour of a series by its number from 0; they begin anew after the last."""
    return SERIES_COLOURS[number % len(SERIES_COLOURS)]


def series_line(number: int) -> str:
    """The line style of a series by its number from 0, for who cannot tell the colours."""
    return LINES[number % len(LINES)]


def series_marker(number: int) -> str:
    """The marker of a series, which tells it from others of its line style."""
    return MARKERS[number % len(MARKERS)]


def series_hatch(number: int) -> str:
    """The hatching that tells a bar from the earlier ones of its colour."""
    return HATCHES[number // len(SERIES_COLOURS) % len(HATCHES)]


@contextmanager
def missing_glyphs_ignored() -> Iterator[None]:
    """While a figure is drawn: a name in a script that the font lacks becomes boxes, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def literal(text: str) -> str:
    """A text as matplotlib has to be given it to show it as it is: a dollar sign begins no formula, and
    a name's bytes that are not UTF-8, which it cannot draw, are told by their numbers."""
    return printable(text, "\n").replace("$", r"\$")


def set_round_ticks(axis: Axis, most: int = 8, integer: bool = False) -> None:
    """Ticks at multiples of 1, 2 or 5 times a power of ten, at most `most` and one.

    Args:
        integer: whole numbers only, for what is counted.
    """
    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10], integer=integer, min_n_ticks=1))


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all, in the format that the path's ending names."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    # savefig() draws everything twice, once for the layout alone, and keeps a channel of opacity.
    with missing_glyphs_ignored():
        canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture = io.BytesIO()
    drawn.save(picture, FORMATS[path.suffix], dpi=(DPI, DPI), compress_level=PNG_EFFORT)
    with atomic_write(path) as file:
        file.write(picture.getbuffer())


def panels(count: int, title: str) -> tuple[Figure, list[Any]]:
    """A figure with `count` square panels under one title, at most three in a row."""
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(4.5 * columns, 4 * rows + 0.3), layout="constrained")
    figure.suptitle(literal(textwrap.fill(title, TITLE * columns)))
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure, axes[:count]


def shorten(name: str, most: int = CAPTION) -> str:
    """A name of at most so many characters: the rest is left out of its midst, it keeps its ending."""
    return name if len(name) <= most else f"{name[: most - KEPT_END - 1]}…{name[-KEPT_END:]}"


def wrap_caption(caption: str) -> str:
    """A caption in lines of at most CAPTION characters, broken between words only."""
    lines = []
    for line in caption.splitlines():
        words = " ".join(map(shorten, line.split()))
        lines += textwrap.wrap(words, CAPTION, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)


@dataclass(frozen=True)
class Tile:
    """A picture (H, W, 3) uint8 on a sheet, None for one that cannot be shown, and its caption."""

    image: np.ndarray | None
    caption: str
    wrong: bool = False


def read_tiles(paths: Sequence[Path], captions: Sequence[str], workers: int) -> list[Tile]:
    """A tile for each picture, with its caption; one that cannot be read says so in its place."""
    images = dict(map_images(read_thumbnail, dict.fromkeys(paths), workers))
    tiles = [Tile(images[path], caption) for path, caption in zip(paths, captions, strict=True)]
    return [
        replace(tile, image=None, caption=f"{tile.caption}\n(cannot be read)")
        if isinstance(tile.image, str)
        else tile
        for tile in tiles
    ]


def draw_sheet(tiles: Sequence[Tile], columns: int, title: str, path: Path) -> None:
    """Pictures in rows of up to `columns`, each under its caption; those of wrong ones are bold."""
    columns = min(columns, max(len(tiles), LEAST_COLUMNS))
    rows = math.ceil(len(tiles) / columns)
    figure = Figure(figsize=(2.3 * columns, 2.75 * rows + 0.5), layout="constrained")
    figure.suptitle(literal(textwrap.fill(title, TITLE * columns // 2)))
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, tile in zip(figure.axes, tiles, strict=False):
        if tile.image is not None:
            axes.imshow(tile.image)
        weight = "bold" if tile.wrong else "normal"
        text = literal(wrap_caption(tile.caption))
        axes.set_title(text, y=TITLE_HEIGHT, fontsize=8, fontweight=weight)
    save_figure(figure, path)
