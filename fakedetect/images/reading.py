"""Opening and decoding a picture safely; what is wrong with one that cannot be used."""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fakedetect.core.processes.memory import is_too_large
from fakedetect.images.colours import (
    DEEP,
    find_hdr,
    note_coding,
    refuse_empty_bits,
    to_eight_bits,
    to_srgb,
)
from fakedetect.images.containers import jpeg_parts
from fakedetect.images.faults import RAW, RAW_ENDINGS, Unusable, explain_fault, signed_as
from fakedetect.images.listing import suffix_of
from fakedetect.images.pillow import faults_ignored, prepare_pillow

if TYPE_CHECKING:
    from PIL import Image, ImageFile

MAX_PIXELS = 360_000_000
"""Pictures that claim more are refused unread: check could not work on one in MOST_BYTES_PER_PICTURE, and
what it refuses, no other command takes."""

BYTES_A_PIXEL = {"JPEG": 10, "BMP": 10, "DIB": 10, "PPM": 10, "GIF": 12, "WEBP": 28}
MOST_BYTES_A_PIXEL = 20
"""What decoding and checking take at most, as measured, by format."""

FORMATS = (*("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM"),)
"""What a file may really hold: Pillow's other readers are never started on it."""

TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""EXIF's orientations but the upright one, and the number in Image.Transpose of what undoes each."""

TURNED = range(5, 9)
"""Orientations of pictures that are shown with their sides exchanged."""

LOSSLESS_FRAMES = (b"\xc3", b"\xc7", b"\xcb", b"\xcf")
"""Markers of a JPEG's frame without loss (ITU-T T.81, table B.1)."""


def open_image(path: Path) -> "Image.Image":
    """Open a picture without decoding it.

    Raises:
        Unusable: it is no file, or claims too many pixels.
        MemoryError: its process shares the memory, and has too little for it.
        Exception: whatever its decoder raises.
    """
    state = os.stat(path)
    if not stat.S_ISREG(state.st_mode):
        # Opening a pipe would wait for a writer, for ever.
        raise Unusable("not a regular file")
    if state.st_size == 0:
        raise Unusable("empty file")
    from PIL import Image

    prepare_pillow()
    image = Image.open(path, formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise Unusable(f"claims {width} x {height} pixels, more than {MAX_PIXELS:,}")
    if is_too_large(width * height * BYTES_A_PIXEL.get(format_of(image), MOST_BYTES_A_PIXEL)):
        image.close()
        raise MemoryError
    note_coding(image, path)
    return image


def format_of(image: "Image.Image") -> str:
    """The format of an opened picture's file, '' for none.

    A JPEG with more pictures behind it, which Pillow calls MPO and many cameras write, is a JPEG.
    """
    return "JPEG" if image.format == "MPO" else image.format or ""


def open_checked(path: Path) -> "Image.Image":
    """open_image, of a file whose format has checks of its own and passes them.

    They see a flipped byte in a PNG, which decoding does not; decoding sees a cut JPEG.
    """
    from PIL import ImageFile

    image = open_image(path)
    if type(image).verify is ImageFile.ImageFile.verify:
        return image
    with image:
        image.verify()
    return open_image(path)


def load_reduced(image: "Image.Image", size: tuple[int, int]) -> "Image.Image":
    """An opened picture, loaded; a JPEG at the smallest of its own scales that covers `size`.

    It is read and checked to its end at any scale. A lossless JPEG has none and is loaded in full.
    """
    if image.draft(None, size) is None:
        image.load()
        return image
    try:
        image.load()
    except (OSError, ValueError, SyntaxError):
        path = Path(os.fsdecode(cast("ImageFile.ImageFile", image).filename))
        if not _is_lossless_jpeg(path):
            raise
        image = open_image(path)
        image.load()
    return image


def _is_lossless_jpeg(path: Path) -> bool:
    with path.open("rb") as file:
        return any(marker in LOSSLESS_FRAMES for marker, _ in jpeg_parts(file))


def find_fault(path: Path) -> str | None:
    """Why a picture cannot be used, or None for a good one. Never raises for a file's content."""
    try:
        with open_checked(path) as image:
            loaded = load_reduced(image, (1, 1))
            if loaded.mode not in ("RGB", "L") or DEEP in loaded.info:
                to_rgb_or_grey(loaded)
    except Exception as error:
        return explain_fault(error, path)
    return None


def find_other_kind(path: Path) -> str | None:
    """What a file is that is no picture by its first bytes, and what to do with it; None for others.

    Faster than find_fault: nothing is decoded.
    """
    if not path.is_file():
        return None
    if suffix_of(path.name) in RAW_ENDINGS:
        return RAW
    if not (said := signed_as(path)):
        return None
    try:
        open_image(path).close()
    except Exception as error:
        # Of the pictures that begin like these (AVIF like a video) Pillow knows which it can read.
        return said if explain_fault(error, path) == said else None
    return None


def orientation_of(image: "Image.Image") -> int:
    """How a picture is to be turned, as EXIF numbers it; 1, not at all, where the file does not say."""
    found = read_exif(image).get(0x0112)
    return next((number for number in TURNS if number == found), 1)


def read_exif(image: "Image.Image") -> "Image.Exif | dict[int, Any]":
    """An opened picture's EXIF fields; none where they cannot be read."""
    with faults_ignored():
        return image.getexif()
    return {}


def turn_upright(image: "Image.Image") -> "Image.Image":
    """A picture as its EXIF orientation says that it is to be shown.

    Only its pixels are turned: ImageOps.exif_transpose() writes the EXIF again, which fails on a field of
    another type than usual, as phones and scanners write them.
    """
    from PIL import Image

    turn = TURNS.get(orientation_of(image))
    if turn is None:
        return image
    turned = image.transpose(Image.Transpose(turn))
    # An encoder that writes the EXIF too would have it turned once more.
    for key in ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"):
        turned.info.pop(key, None)
    return turned


def to_rgb_or_grey(image: "Image.Image", srgb: bool = False) -> "Image.Image":
    """An opened picture upright and in mode RGB or L.

    Transparent pictures are laid over white, deeper ones scaled to 8 bits, HDR ones converted to sRGB;
    everything else is Pillow's own conversion.

    Args:
        srgb: convert colours from the picture's own profile to sRGB.

    Raises:
        Unusable: its values have no range that is known.
    """
    image.load()
    image = turn_upright(image)
    if image.mode == "La":
        # Pillow has no other way out of grey with premultiplied transparency.
        image = image.convert("LA")
    if image.mode.startswith("I") or image.mode == "F":
        image = to_eight_bits(image).convert("RGB")
    refuse_empty_bits(image)
    if (coding := find_hdr(image)) or srgb:
        image = to_srgb(image, coding)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        if layer.getchannel("A").getextrema() != (255, 255):
            from PIL import Image

            white = Image.new("RGBA", layer.size, "white")
            return Image.alpha_composite(white, layer).convert("RGB")
    return image if image.mode in ("RGB", "L") else image.convert("RGB")
