"""Sheets of thumbnails, and the layout, colours and saving of all figures."""

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

CAPTION_WIDTH = 30
"""Characters per line of a caption."""

TITLE_WIDTH = 45
"""Characters of a title per panel width."""

LEAST_COLUMNS = 3
"""A sheet's least width in pictures, so that its title fits."""

FIGURE_DPI = 120
FIGURE_FORMATS = {".png": "PNG", ".jpg": "JPEG"}
PNG_COMPRESSION_LEVEL = 3
"""Out of 9: half the time of Pillow's default, for files that are hardly larger."""

TITLE_Y = 1.0
"""A title's position in axes heights. Without one, matplotlib measures all ticks to place the title."""

KEPT_ENDING_CHARACTERS = 12
"""Characters kept at the end of a shortened name, including its extension."""

CLASS_COLOURS = {"fake": "tab:red", "real": "tab:blue"}
"""Used for the two classes only."""

SERIES_COLOURS = ("tab:purple", "tab:orange", "tab:green", "tab:pink", "tab:olive", "tab:cyan")
"""Colours of all other series."""

AUC_COLOUR, ACCURACY_COLOUR = SERIES_COLOURS[0], SERIES_COLOURS[1]
TRAINING_COLOUR, VALIDATION_COLOUR = SERIES_COLOURS[2], SERIES_COLOURS[1]

TEXT_COLOUR = "#111111"
"""Text on a coloured background."""

LINE_STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//", "..", "xx")


def series_colour(number: int) -> str:
    """Return the colour of a series by its number from 0; the colours repeat."""
    return SERIES_COLOURS[number % len(SERIES_COLOURS)]


def series_line(number: int) -> str:
    """Return the line style of a series by its number from 0, for readers who cannot see the colours."""
    return LINE_STYLES[number % len(LINE_STYLES)]


def series_marker(number: int) -> str:
    """Return the marker of a series by its number from 0; it separates series of one line style."""
    return MARKERS[number % len(MARKERS)]


def series_hatch(number: int) -> str:
    """Return the hatching of a bar by its number from 0; it separates bars of one colour."""
    return HATCHES[number // len(SERIES_COLOURS) % len(HATCHES)]


@contextmanager
def missing_glyphs_ignored() -> Iterator[None]:
    """Suppress matplotlib's warning about characters that the font lacks; they are drawn as boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def escape_text(text: str) -> str:
    """Escape a text so that matplotlib shows it literally: dollar signs start no formula, and bytes that
    are not UTF-8 are written as numbers."""
    return printable(text, "\n").replace("$", r"\$")


def set_round_ticks(axis: Axis, most: int = 8, integer: bool = False) -> None:
    """Set at most `most` + 1 ticks, at multiples of 1, 2 or 5 times a power of ten.

    Args:
        integer: use whole numbers only, for counts.
    """
    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10], integer=integer, min_n_ticks=1))


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure atomically, in the format of the path's extension."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(FIGURE_DPI)
    # savefig() would draw everything twice, once only for the layout, and keep an alpha channel.
    with missing_glyphs_ignored():
        canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    picture = io.BytesIO()
    drawn.save(
        picture,
        FIGURE_FORMATS[path.suffix],
        dpi=(FIGURE_DPI, FIGURE_DPI),
        compress_level=PNG_COMPRESSION_LEVEL,
    )
    with atomic_write(path) as file:
        file.write(picture.getbuffer())


def make_panels(count: int, title: str) -> tuple[Figure, list[Any]]:
    """Make a figure with `count` square panels under one title, at most three in a row."""
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(4.5 * columns, 4 * rows + 0.3), layout="constrained")
    figure.suptitle(escape_text(textwrap.fill(title, TITLE_WIDTH * columns)))
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure, axes[:count]


def shorten_name(name: str, most: int = CAPTION_WIDTH) -> str:
    """Shorten a name in the middle to at most `most` characters; its extension is kept."""
    return (
        name
        if len(name) <= most
        else f"{name[: most - KEPT_ENDING_CHARACTERS - 1]}…{name[-KEPT_ENDING_CHARACTERS:]}"
    )


def wrap_caption(caption: str) -> str:
    """Wrap a caption into lines of at most CAPTION_WIDTH characters, between words only."""
    lines = []
    for line in caption.splitlines():
        words = " ".join(map(shorten_name, line.split()))
        lines += textwrap.wrap(words, CAPTION_WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)


@dataclass(frozen=True)
class SheetTile:
    """A picture on a sheet, (H, W, 3) uint8 or None if it cannot be read, and its caption."""

    image: np.ndarray | None
    caption: str
    wrong: bool = False


def read_tiles(paths: Sequence[Path], captions: Sequence[str], workers: int) -> list[SheetTile]:
    """Make a tile for each picture; the caption of one that cannot be read says so."""
    images = dict(map_images(read_thumbnail, dict.fromkeys(paths), workers))
    tiles = [SheetTile(images[path], caption) for path, caption in zip(paths, captions, strict=True)]
    return [
        replace(tile, image=None, caption=f"{tile.caption}\n(cannot be read)")
        if isinstance(tile.image, str)
        else tile
        for tile in tiles
    ]


def draw_sheet(tiles: Sequence[SheetTile], columns: int, title: str, path: Path) -> None:
    """Draw pictures in rows of up to `columns`, each under its caption, which is bold if it is wrong."""
    columns = min(columns, max(len(tiles), LEAST_COLUMNS))
    rows = math.ceil(len(tiles) / columns)
    figure = Figure(figsize=(2.3 * columns, 2.75 * rows + 0.5), layout="constrained")
    figure.suptitle(escape_text(textwrap.fill(title, TITLE_WIDTH * columns // 2)))
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, tile in zip(figure.axes, tiles, strict=False):
        if tile.image is not None:
            axes.imshow(tile.image)
        weight = "bold" if tile.wrong else "normal"
        text = escape_text(wrap_caption(tile.caption))
        axes.set_title(text, y=TITLE_Y, fontsize=8, fontweight=weight)
    save_figure(figure, path)
