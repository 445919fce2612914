"""Opening and decoding a picture safely; what is wrong with one that cannot be used."""

import io
import logging
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fakedetect.core.errors import is_bug
from fakedetect.images.listing import has_heif, suffix_of

if TYPE_CHECKING:
    from PIL import Image, ImageFile

MAX_PIXELS = 500_000_000
"""Pictures that claim more are refused unread: decoding one could take all memory."""

FORMATS = (
    *("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM"),
    *(("HEIF",) if has_heif() else ()),
)
"""What a file may really hold: Pillow's other readers are never started on it."""

LOSSLESS_FRAMES = (b"\xc3", b"\xc7", b"\xcb", b"\xcf")
"""Markers of a JPEG's frame without loss (ITU-T T.81, table B.1)."""


@cache
def prepare_pillow() -> None:
    """Import Pillow and set what it keeps for the whole process: once, for threads open pictures too.

    Not when this module is imported, which processes do that open no picture and must start fast; before
    processes are forked, each of which would do it again.
    """
    from PIL import Image

    # Our own limit stands in for Pillow's, which real photographs exceed.
    Image.MAX_IMAGE_PIXELS = None
    # What Pillow thinks of a file's tags says nothing to a user that its picture does not.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # It also writes errors to its log, which would appear on the screen beside our own line.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    if has_heif():
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.preinit()
    from fakedetect.images.png_chunks import ignore_faulty_chunks

    ignore_faulty_chunks()


def open_image(path: Path) -> "Image.Image":
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
    from PIL import Image

    prepare_pillow()
    image = Image.open(path, formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise ValueError(f"claims {width} x {height} pixels, more than {MAX_PIXELS:,}")
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
    from fakedetect.provenance.containers import jpeg_parts

    with path.open("rb") as file:
        return any(marker in LOSSLESS_FRAMES for marker, _ in jpeg_parts(file))


def find_fault(path: Path) -> str | None:
    """Why a picture cannot be used, or None for a good one. Never raises for a file's content."""
    try:
        with open_checked(path) as image:
            loaded = load_reduced(image, (1, 1))
            if loaded.mode not in ("RGB", "L"):
                to_rgb_or_grey(loaded)
    except Exception as error:
        return explain_fault(error, path)
    return None


TECHNICAL = (
    (MemoryError, "needs too much memory"),
    (EOFError, "the file ends too early"),
    (
        (ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError, TypeError),
        "the file is damaged: its structure cannot be parsed",
    ),
    ((struct.error, zlib.error), "the file is damaged: its data cannot be decompressed"),
)
"""Errors of decoders whose own words say nothing to a person, and what they come to."""

UNDECODABLE = "the file is damaged: its data cannot be decoded"
ENDS_EARLY = "the file ends too early"

WORDED = (
    ("unrecognized data stream contents", UNDECODABLE),
    ("broken data stream", UNDECODABLE),
    ("decoder error", UNDECODABLE),
    ("could not create decoder object", UNDECODABLE),
    ("failed to read next frame", UNDECODABLE),
    ("unpack requires", "the file is damaged: its data cannot be decompressed"),
    ("not enough image data", ENDS_EARLY),
    ("truncated file read", ENDS_EARLY),
    ("image file is truncated", ENDS_EARLY),
    ("truncated png file", ENDS_EARLY),
    ("failed to decode frame", ENDS_EARLY),
    ("broken png file", "the file is damaged: wrong checksum"),
    ("unsupported", "an unsupported variant of its format: re-save it as PNG or JPEG"),
)
"""How Pillow's messages begin that are about its inside, in lower case, and what they come to."""


RAW = "a camera raw file: export it as JPEG or PNG"
RAW_ENDINGS = frozenset((".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw"))
"""TIFFs by their first bytes, in which Pillow finds the small preview only."""

SIGNATURES = (
    (0, b"%PDF", "a PDF document: save its pictures as files"),
    (0, b"PK\x03\x04", "a ZIP archive: unpack it"),
    (0, b"Rar!", "a RAR archive: unpack it"),
    (0, b"7z\xbc\xaf", "a 7z archive: unpack it"),
    (0, b"\x1f\x8b", "a gzip archive: unpack it"),
    (0, b"BZh", "a bzip2 archive: unpack it"),
    (0, b"\xfd7zXZ", "an xz archive: unpack it"),
    (257, b"ustar", "a tar archive: unpack it"),
    (0, b"\xd0\xcf\x11\xe0", "an Office document: save its pictures as files"),
    (0, b"{\\rtf", "a text document: save its pictures as files"),
    (4, b"ftyphei", "a HEIC picture: pip install pillow-heif to read it"),
    (4, b"ftyphev", "a HEIC picture: pip install pillow-heif to read it"),
    (4, b"ftypmif1", "a HEIF picture: pip install pillow-heif to read it"),
    (4, b"ftypmsf1", "a HEIF picture: pip install pillow-heif to read it"),
    (4, b"ftypcrx", RAW),
    (4, b"ftypavi", ""),
    (4, b"ftyp", "a video: save single frames from it"),
    (0, b"\x1a\x45\xdf\xa3", "a video: save single frames from it"),
    (8, b"AVI ", "a video: save single frames from it"),
    (0, b"FLV\x01", "a video: save single frames from it"),
    (0, b"\0\0\x01\xba", "a video: save single frames from it"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a video: save single frames from it"),
    (4, b"moov", "a video: save single frames from it"),
    (0, b"8BPS", "a Photoshop document: export it as PNG or JPEG"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the picture: run 'git lfs pull'"),
    (0, b"<svg", "a vector drawing (SVG), not a photograph"),
    (0, b"<?xml", "an XML document (for example an SVG drawing), not a photograph"),
    (0, b"<!DOCTYPE", "a web page, not the picture: save the picture itself"),
    (0, b"<html", "a web page, not the picture: save the picture itself"),
    (0, b"\xff\x0a", "a JPEG XL picture: convert it to PNG or JPEG"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture: convert it to PNG or JPEG"),
    (0, b"II\xbc", "a JPEG XR picture: convert it to PNG or JPEG"),
    (0, b"\0\0\x01\0", "an icon (ICO): convert it to PNG"),
    (0, b"icns", "an icon (ICNS): convert it to PNG"),
    (0, b"DDS ", "a DDS texture: convert it to PNG"),
    (0, b"qoif", "a QOI picture: convert it to PNG"),
    (0, b"gimp xcf", "a GIMP document: export it as PNG or JPEG"),
    (0, b"%!PS", "a PostScript document: convert it to PNG"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript document: convert it to PNG"),
    (0, b"v/1\x01", "an OpenEXR picture: convert it to PNG"),
    (0, b"#?RADIANCE", "a Radiance picture: convert it to PNG"),
    (0, b"\x01\xda", "an SGI picture: convert it to PNG"),
    (0, b"SIMPLE  =", "a FITS picture: convert it to PNG"),
    (0, b"ID3", "a sound file, not a picture"),
    (0, b"fLaC", "a sound file, not a picture"),
    (0, b"OggS", "a sound or video file, not a picture"),
    (8, b"WAVE", "a sound file, not a picture"),
    (0, b"MZ", "a program, not a picture"),
    (0, b"\x7fELF", "a program, not a picture"),
    (0, b"#!", "a program, not a picture"),
    (0, b"SQLite format 3", "a database, not a picture"),
)
"""What files are that are no pictures, by the bytes at a place; the first that fits. '' for pictures that
begin like one of those after them."""

PICTURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (4, b"ftypavi", "AVIF"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"BM", "BMP"),
)
"""The formats that are read, by the bytes at a place, for files in which Pillow finds none of them."""


def _signed_as(path: Path, signatures: Sequence[tuple[int, bytes, str]] = SIGNATURES) -> str:
    """What a table says of a file by its first bytes; '' for nothing."""
    try:
        with path.open("rb") as file:
            start = file.read(300).lower()
    except OSError:
        return ""
    # A document may begin with a byte-order mark and blank lines.
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    for place, signature, said in signatures:
        if (start if place else text)[place:].startswith(signature.lower()):
            return said
    return ""


def find_other_kind(path: Path) -> str | None:
    """What a file is that is no picture by its first bytes, and what to do with it; None for others.

    Faster than find_fault: nothing is decoded.
    """
    if not path.is_file():
        return None
    if suffix_of(path.name) in RAW_ENDINGS:
        return RAW
    if not (said := _signed_as(path)):
        return None
    try:
        open_image(path).close()
    except Exception as error:
        # Of the pictures that begin like these (AVIF like a video) Pillow knows which it can read.
        return said if explain_fault(error, path) == said else None
    return None


def explain_fault(error: Exception, path: Path) -> str:
    """A decoder's error as one line for a person, without the path.

    Raises:
        Exception: the error itself, where it is a bug of this package.
    """
    if is_bug(error):
        raise error
    text = " ".join(str(error).replace(repr(str(path)), "").replace(str(path), "").split())
    for kind, said in TECHNICAL:
        if isinstance(error, kind):
            return said
    if text.lower().startswith("cannot identify image file"):
        if name := _signed_as(path, PICTURES):
            return f"the file is damaged: it starts as {name} but cannot be decoded"
        return _signed_as(path) or "not a picture (no known format)"
    for start, said in WORDED:
        if text.lower().startswith(start):
            return said
    return text or "the file is damaged"


def _upright(image: "Image.Image") -> "Image.Image":
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception as error:
        if is_bug(error):
            raise
        return image
    from PIL import ImageOps

    return ImageOps.exif_transpose(image) if orientation in range(2, 9) else image


def _eight_bits(image: "Image.Image") -> "Image.Image":
    """A deeper grey picture scaled to 8 bits: from 16, or from its own range where none is said."""
    if image.mode.startswith("I;16"):
        image, top = image.convert("I"), 65535.0
    else:
        # Pictures of one band have one pair of extremes.
        high = float(cast(tuple[float, float], image.getextrema())[1])
        limits = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        top = next((limit for limit in limits if high <= limit), high)
    return image.convert("F").point(lambda value: value * (255 / top) + 0.5).convert("L")


def _to_srgb(image: "Image.Image") -> "Image.Image":
    """A picture in colour with another profile than sRGB, in sRGB; the same one for any other.

    Phones and cameras write Display P3 and Adobe RGB, generators next to never: unconverted, their
    paler colours alone could tell a real picture.
    """
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK", "P", "PA"):
        return image
    # Few pictures have one, and every worker would wait for the library.
    from PIL import ImageCms

    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(own).lower():
            return image
        colours, alpha = _part_alpha(image)
        converted = ImageCms.profileToProfile(
            colours, own, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        # A profile that cannot be used, or of another colour space than its picture.
        return image
    if converted is None:
        return image
    converted.info.pop("icc_profile", None)
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def _part_alpha(image: "Image.Image") -> "tuple[Image.Image, Image.Image | None]":
    """A picture in colour without its transparency, in a mode that has profiles, and its alpha channel."""
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return layer.convert("RGB"), layer.getchannel("A")
    return (image if image.mode == "CMYK" else image.convert("RGB")), None


def to_rgb_or_grey(image: "Image.Image", srgb: bool = False) -> "Image.Image":
    """An opened picture upright and in mode RGB or L.

    Transparent pictures are laid over white and deeper ones scaled to 8 bits; everything else
    is Pillow's own conversion.

    Args:
        srgb: convert colours from the picture's own profile to sRGB.
    """
    image.load()
    image = _upright(image)
    if image.mode == "La":
        # Pillow has no other way out of grey with premultiplied transparency.
        image = image.convert("LA")
    if srgb:
        image = _to_srgb(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        if layer.getchannel("A").getextrema() != (255, 255):
            from PIL import Image

            white = Image.new("RGBA", layer.size, "white")
            return Image.alpha_composite(white, layer).convert("RGB")
    return image if image.mode in ("RGB", "L") else image.convert("RGB")
