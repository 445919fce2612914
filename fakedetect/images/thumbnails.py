"""Thumbnails as WebP files, to be embedded in a page."""

import io
from pathlib import Path

from PIL import Image

from fakedetect.images.reading import load_reduced, open_image, to_rgb_or_grey

CARD_THUMBNAIL_SIDE = 240
"""Pixels of a thumbnail's longer side: twice its size on the page on a small screen."""

THUMBNAIL_QUALITY = 72


def make_thumbnail(image: Image.Image, side: int = CARD_THUMBNAIL_SIDE) -> bytes:
    """Encode a decoded picture (mode RGB or L) as a WebP file of at most `side` pixels a side."""
    ratio = min(1.0, side / max(image.size))
    width, height = (max(1, round(length * ratio)) for length in image.size)
    small = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    # Without colour profile and metadata, which would be larger than the thumbnail.
    small.save(file, "WEBP", quality=THUMBNAIL_QUALITY, method=2, exif=b"", icc_profile=b"")
    return file.getvalue()


def load_thumbnail(path: Path, side: int = CARD_THUMBNAIL_SIDE) -> bytes:
    """Make a thumbnail of a picture in a file."""
    with open_image(path) as opened:
        return make_thumbnail(to_rgb_or_grey(load_reduced(opened, (side, side)), srgb=True), side)
