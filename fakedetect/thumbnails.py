"""Small pictures for the figures, read within the limits of time and memory."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from fakedetect.images import explain_fault, open_image, to_rgb_or_grey
from fakedetect.plots import Tile
from fakedetect.workers import map_images

SIDE = 320


def read_thumbnail(path: Path) -> np.ndarray | str:
    """A picture (H, W, 3) uint8 of at most 320 pixels a side, or why it cannot be used."""
    try:
        with open_image(path) as opened:
            opened.draft("RGB", (SIDE, SIDE))
            image = to_rgb_or_grey(opened).convert("RGB")
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        return np.asarray(image)
    except Exception as error:
        return explain_fault(error, path)


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
