"""Opening and decoding pictures safely, and finding out why one cannot be used."""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fakedetect.core.processes.memory import is_too_large
from fakedetect.images.colours import (
    DEEP_KEY,
    find_hdr,
    record_coding,
    refuse_empty_bits,
    to_eight_bits,
    to_srgb,
)
from fakedetect.images.containers import read_jpeg_parts
from fakedetect.images.faults import RAW_ENDINGS, RAW_FILE, Unusable, explain_fault, find_signature
from fakedetect.images.listing import suffix_of
from fakedetect.images.pillow import faults_ignored, prepare_pillow

if TYPE_CHECKING:
    from PIL import Image, ImageFile

MAX_PIXELS = 360_000_000
"""Pictures that claim more are refused unread. check could not process one in MOST_BYTES_PER_PICTURE, and
all commands accept the same pictures."""

BYTES_PER_PIXEL = {"JPEG": 10, "BMP": 10, "DIB": 10, "PPM": 10, "GIF": 12, "WEBP": 28}
MOST_BYTES_PER_PIXEL = 20
"""Peak memory of decoding and checking, as measured: bytes per pixel by format."""

PICTURE_FORMATS = (
    *("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM"),
)
"""Formats that a file may have; Pillow's other readers are never run on it."""

ORIENTATION_TRANSPOSES = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""The Image.Transpose number that undoes each EXIF orientation other than 1 (upright)."""

SIDEWAYS_ORIENTATIONS = range(5, 9)
"""EXIF orientations that exchange width and height."""

LOSSLESS_FRAMES = (b"\xc3", b"\xc7", b"\xcb", b"\xcf")
"""Markers of lossless JPEG frames (ITU-T T.81, table B.1)."""


def open_image(path: Path) -> "Image.Image":
    """Open a picture without decoding it.

    Raises:
        Unusable: it is not a regular file, is empty, or claims too many pixels.
        MemoryError: the process shares its memory with others and has too little for the picture.
        Exception: any error of its decoder.
    """
    state = os.stat(path)
    if not stat.S_ISREG(state.st_mode):
        # Opening a pipe would wait forever for a writer.
        raise Unusable("not a regular file")
    if state.st_size == 0:
        raise Unusable("empty file")
    from PIL import Image

    prepare_pillow()
    image = Image.open(path, formats=PICTURE_FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise Unusable(f"claims {width} x {height} pixels, more than {MAX_PIXELS:,}")
    if is_too_large(width * height * BYTES_PER_PIXEL.get(format_of(image), MOST_BYTES_PER_PIXEL)):
        image.close()
        raise MemoryError
    record_coding(image, path)
    return image


def format_of(image: "Image.Image") -> str:
    """Return the format of an opened picture's file, '' for none.

    An MPO, a JPEG with further pictures after it as many cameras write, counts as JPEG.
    """
    return "JPEG" if image.format == "MPO" else image.format or ""


def open_checked(path: Path) -> "Image.Image":
    """Open a picture without decoding it, after running its format's own checks, if any.

    The checks find a flipped byte in a PNG, which decoding does not. Decoding finds a truncated JPEG.

    Raises:
        Exception: as open_image(), or the check's error.
    """
    from PIL import ImageFile

    image = open_image(path)
    if type(image).verify is ImageFile.ImageFile.verify:
        return image
    with image:
        image.verify()
    return open_image(path)


def load_reduced(image: "Image.Image", size: tuple[int, int]) -> "Image.Image":
    """Load an opened picture; a JPEG at the smallest scale of its decoder that covers `size`.

    The file is read to its end at any scale. Lossless JPEGs have no scales and are loaded in full.
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
        return any(marker in LOSSLESS_FRAMES for marker, _ in read_jpeg_parts(file))


def find_fault(path: Path) -> str | None:
    """Return why a picture cannot be used; None for a good one. Never raises for a file's content."""
    try:
        with open_checked(path) as image:
            loaded = load_reduced(image, (1, 1))
            if loaded.mode not in ("RGB", "L") or DEEP_KEY in loaded.info:
                to_rgb_or_grey(loaded)
    except Exception as error:
        return explain_fault(error, path)
    return None


def find_other_file_type(path: Path) -> str | None:
    """Return the type of a file that is not a picture, by its first bytes, and what to do with it; None for
    others.

    Faster than find_fault(): nothing is decoded.
    """
    if not path.is_file():
        return None
    if suffix_of(path.name) in RAW_ENDINGS:
        return RAW_FILE
    if not (file_type := find_signature(path)):
        return None
    try:
        open_image(path).close()
    except Exception as error:
        # Some pictures start like these types (AVIF like a video); Pillow decides which it can read.
        return file_type if explain_fault(error, path) == file_type else None
    return None


def read_orientation(image: "Image.Image") -> int:
    """Return a picture's EXIF orientation; 1 (upright) if the file has none."""
    found = read_exif(image).get(0x0112)
    return next((number for number in ORIENTATION_TRANSPOSES if number == found), 1)


def read_exif(image: "Image.Image") -> "Image.Exif | dict[int, Any]":
    """Return an opened picture's EXIF fields; {} if they cannot be read."""
    with faults_ignored():
        return image.getexif()
    return {}


def turn_upright(image: "Image.Image") -> "Image.Image":
    """Turn a picture upright by its EXIF orientation.

    Only the pixels are turned. ImageOps.exif_transpose() also writes the EXIF back, which fails on fields
    of an unusual type, as some phones and scanners write them.
    """
    from PIL import Image

    turn = ORIENTATION_TRANSPOSES.get(read_orientation(image))
    if turn is None:
        return image
    turned = image.transpose(Image.Transpose(turn))
    # An encoder that also wrote the old EXIF would have the picture turned again.
    for key in ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"):
        turned.info.pop(key, None)
    return turned


def to_rgb_or_grey(image: "Image.Image", srgb: bool = False) -> "Image.Image":
    """Load an opened picture, turn it upright and convert it to mode RGB or L.

    Transparent pictures are composed over white, deep ones scaled to 8 bits, HDR ones converted to sRGB.
    All else is Pillow's own conversion.

    Args:
        srgb: convert colours from the picture's own profile to sRGB.

    Raises:
        Unusable: the range of its values is unknown.
    """
    image.load()
    image = turn_upright(image)
    if image.mode == "La":
        # Pillow converts grey with premultiplied alpha to LA only.
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
