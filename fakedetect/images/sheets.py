"""Sheets of small pictures, and how every figure is laid out and saved."""

import io
import math
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from fakedetect.core.files import atomic_write
from fakedetect.core.pool import map_images
from fakedetect.images.reading import explain_fault, load_reduced, open_image, to_rgb_or_grey

SIDE = 320


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


def save_figure(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    picture = io.BytesIO()
    with warnings.catch_warnings():
        # A file name in a script that the font lacks is drawn as boxes; the rest stays readable.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(picture, format=path.suffix[1:], dpi=120)
    with atomic_write(path) as file:
        file.write(picture.getvalue())


def panels(count: int) -> tuple[Figure, list[Any]]:
    """A figure with `count` square panels, at most three in a row."""
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(4.5 * columns, 4 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure, axes[:count]


def draw_sheet(tiles: Sequence[Tile], columns: int, title: str, path: Path) -> None:
    """Pictures in rows of `columns`, each under its caption; wrong ones in red."""
    rows = math.ceil(len(tiles) / columns)
    figure = Figure(figsize=(2.3 * columns, 2.75 * rows + 0.5), layout="constrained")
    figure.suptitle(title)
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for axes, tile in zip(figure.axes, tiles, strict=False):
        if tile.image is not None:
            axes.imshow(tile.image)
        lines = [part for line in tile.caption.splitlines() for part in textwrap.wrap(line, 30)]
        # A dollar sign in a file name is no formula.
        axes.set_title(
            "\n".join(lines).replace("$", r"\$"), fontsize=8, color="tab:red" if tile.wrong else "black"
        )
    save_figure(figure, path)
