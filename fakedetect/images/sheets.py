"""Sheets of small pictures, and how every figure is laid out and saved."""

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

from fakedetect.core.console import printable
from fakedetect.core.files import atomic_write
from fakedetect.core.pool import map_images
from fakedetect.images.faults import explain_fault
from fakedetect.images.reading import load_reduced, open_image, to_rgb_or_grey

SIDE = 320
CAPTION = 30
"""Characters in a line of a caption."""

TITLE = 45
"""Characters of a title in the width of a panel."""

LEAST_COLUMNS = 3
"""A sheet's width in pictures, so that its title has room."""

KEPT_END = 12
"""Characters at the end of a shortened name, its ending among them."""


def read_thumbnail(path: Path) -> np.ndarray | str:
    """A picture (H, W, 3) uint8 of at most 320 pixels a side, or why it cannot be used."""
    try:
        with open_image(path) as opened:
            image = to_rgb_or_grey(load_reduced(opened, (SIDE, SIDE)), srgb=True).convert("RGB")
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    except Exception as error:
        return explain_fault(error, path)
    return np.asarray(image)


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
    FigureCanvasAgg(figure)
    picture = io.BytesIO()
    with missing_glyphs_ignored():
        figure.savefig(picture, format=path.suffix[1:], dpi=120)
    with atomic_write(path) as file:
        file.write(picture.getvalue())


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
        axes.set_title(literal(wrap_caption(tile.caption)), fontsize=8, fontweight=weight)
    save_figure(figure, path)
