"""The small pictures of a sheet, without matplotlib, which the processes that read them need not import."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from fakedetect.core.processes.pool import map_images
from fakedetect.images.faults import explain_fault
from fakedetect.images.reading import load_reduced, open_image, to_rgb_or_grey

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
