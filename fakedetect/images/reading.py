"""Opening and decoding a picture safely; what is wrong with one that cannot be used."""

import os
import stat
import warnings
from pathlib import Path
from typing import cast

from PIL import Image, ImageFile, ImageOps

MAX_PIXELS = 500_000_000
"""Pictures that claim more are refused unread: decoding one could take all memory."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF")
"""What a file may really hold: Pillow's other readers are never started on it."""

# State of the whole process, so set once, not at every open: pictures are opened in threads too.
# Our own limit stands in for Pillow's, which real photographs exceed.
Image.MAX_IMAGE_PIXELS = None
# What Pillow thinks of a file's tags says nothing to a user that its picture does not.
warnings.filterwarnings("ignore", module=r"PIL\.")


def open_image(path: Path) -> Image.Image:
    """Open a picture without decoding it.

    Raises:
        ValueError: it claims too many pixels.
        Exception: whatever its decoder raises.
    """
    state = os.stat(path)
    if not stat.S_ISREG(state.st_mode):
        # Opening a pipe would wait for a writer, for ever.
        raise ValueError("not a regular file")
    if state.st_size == 0:
        raise ValueError("empty file")
    image = Image.open(path, formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise ValueError(f"claims {width} x {height} pixels, more than {MAX_PIXELS:,}")
    return image


def format_of(image: Image.Image) -> str:
    """The format of an opened picture's file, '' for none.

    A JPEG with more pictures behind it, which Pillow calls MPO and many cameras write, is a JPEG.
    """
    return "JPEG" if image.format == "MPO" else image.format or ""


def _load_small(image: Image.Image) -> None:
    # A JPEG decoded at an eighth of its size is still read and checked to its end.
    image.draft(None, (1, 1))
    image.load()


def find_fault(path: Path) -> str | None:
    """Why a picture cannot be used, or None for a good one. Never raises for a file's content."""
    try:
        # verify() sees a flipped byte in a PNG, a full decode a cut JPEG; neither sees both.
        with open_image(path) as image:
            verifies = type(image).verify is not ImageFile.ImageFile.verify
            if verifies:
                image.verify()
            else:
                _load_small(image)
        if verifies:
            with open_image(path) as image:
                image.load()
    except Exception as error:
        return explain_fault(error, path)
    return None


def explain_fault(error: Exception, path: Path) -> str:
    """A decoder's error as one line without the path."""
    if isinstance(error, MemoryError):
        return "needs too much memory"
    text = " ".join(str(error).replace(repr(str(path)), "").replace(str(path), "").split())
    if text.startswith("cannot identify image file"):
        return "not a picture (no known format)"
    return text or type(error).__name__


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:
        return image
    return ImageOps.exif_transpose(image) if orientation in range(2, 9) else image


def _eight_bits(image: Image.Image) -> Image.Image:
    """A deeper grey picture scaled to 8 bits: from 16, or from its own range where none is said."""
    if image.mode.startswith("I;16"):
        image, top = image.convert("I"), 65535.0
    else:
        # Pictures of one band have one pair of extremes.
        high = float(cast(tuple[float, float], image.getextrema())[1])
        limits = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        top = next((limit for limit in limits if high <= limit), high)
    return image.convert("F").point(lambda value: value * (255 / top) + 0.5).convert("L")


def to_rgb_or_grey(image: Image.Image) -> Image.Image:
    """An opened picture upright and in mode RGB or L.

    Transparent pictures are laid over white and deeper ones scaled to 8 bits; everything else
    is Pillow's own conversion.
    """
    image.load()
    image = _upright(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        if layer.getchannel("A").getextrema() != (255, 255):
            white = Image.new("RGBA", layer.size, "white")
            return Image.alpha_composite(white, layer).convert("RGB")
    return image if image.mode in ("RGB", "L") else image.convert("RGB")
