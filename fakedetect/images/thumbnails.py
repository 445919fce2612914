"""Thumbnails as files, to be embedded in a page."""

import io
from pathlib import Path

from PIL import Image

from fakedetect.images.reading import load_reduced, open_image, to_rgb_or_grey

SIDE = 240
"""Pixels of a thumbnail's longer side: twice what a page shows of it on a small screen."""

QUALITY = 72


def make_thumbnail(image: Image.Image, side: int = SIDE) -> bytes:
    """A decoded picture (mode RGB or L) as a WebP file of at most `side` pixels a side."""
    ratio = min(1.0, side / max(image.size))
    width, height = (max(1, round(length * ratio)) for length in image.size)
    small = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    # Its colour profile and metadata stay behind: they would outweigh it.
    small.save(file, "WEBP", quality=QUALITY, method=2, exif=b"", icc_profile=b"")
    return file.getvalue()


def thumbnail_of(path: Path, side: int = SIDE) -> bytes:
    """The thumbnail of a picture in a file."""
    with open_image(path) as opened:
        return make_thumbnail(to_rgb_or_grey(load_reduced(opened, (side, side)), srgb=True), side)
