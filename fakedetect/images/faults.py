"""What is wrong with a file that cannot be used as a picture, in words for people."""

import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fakedetect.core.errors import is_bug
from fakedetect.core.processes.memory import TOO_LARGE
from fakedetect.images.containers import jpeg_parts
from fakedetect.images.listing import has_heif


class Unusable(ValueError):
    """A picture that cannot be used, and why, in words for people."""


TECHNICAL = (
    (MemoryError, TOO_LARGE),
    (EOFError, "the file ends too early"),
    (
        (ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError, TypeError),
        "the file is damaged: its structure cannot be parsed",
    ),
    ((struct.error, zlib.error), "the file is damaged: its data cannot be decompressed"),
)
"""Errors of decoders whose own words say nothing to a person, and what they come to."""

UNSUPPORTED = "an unsupported variant of its format: re-save it as PNG or JPEG"
UNDECODABLE = "the file is damaged: its data cannot be decoded"
ENDS_EARLY = "the file ends too early"

WORDED = (
    ("unrecognized data stream contents", UNDECODABLE),
    ("broken data stream", UNDECODABLE),
    ("decoder error", UNDECODABLE),
    ("could not create decoder object", UNDECODABLE),
    ("failed to read next frame", UNDECODABLE),
    ("invalid input: unexpected end of file", ENDS_EARLY),
    ("invalid input", UNDECODABLE),
    ("decoder plugin generated an error", UNDECODABLE),
    ("unpack requires", "the file is damaged: its data cannot be decompressed"),
    ("not enough image data", ENDS_EARLY),
    ("truncated file read", ENDS_EARLY),
    ("image file is truncated", ENDS_EARLY),
    ("truncated png file", ENDS_EARLY),
    ("failed to decode frame", ENDS_EARLY),
    ("failed to decode image: not implemented", UNSUPPORTED),
    ("broken png file", "the file is damaged: wrong checksum"),
    ("unsupported", UNSUPPORTED),
    ("windows media photo", UNSUPPORTED),
    ("cannot handle", UNSUPPORTED),
    ("unknown pixel mode", UNSUPPORTED),
)
"""How messages of Pillow and libheif begin that are about their inside, in lower case; what they mean."""


FRAMES = (b"\xc0", b"\xc1", b"\xc2", b"\xc3", b"\xc9", b"\xca", b"\xcb")
UNKNOWN_FRAMES = (b"\xc5", b"\xc6", b"\xc7", b"\xcd", b"\xce", b"\xcf", b"\xde", b"\xf7")
"""Markers of a JPEG's frame, whose first byte says the bits of a value and the sixth how many components
there are; and of frames that no decoder here knows (ITU-T T.81, table B.1: hierarchical ones; JPEG-LS)."""

RAW = "a camera raw file: export it as JPEG or PNG"
RAW_ENDINGS = frozenset((".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw"))
"""TIFFs by their first bytes, in which Pillow finds the small preview only."""

HEIF_BRANDS = (
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"mif1", b"msf1"),
)
"""What HEIC and HEIF files say they are, after 'ftyp' (ISO/IEC 23008-12, annex B and section 10.2)."""

SIGNATURES = (
    (0, b"%PDF", "a PDF document: save its pictures as files"),
    (0, b"PK\x03\x04", "a ZIP archive: unpack it"),
    (0, b"Rar!", "a RAR archive: unpack it"),
    (0, b"7z\xbc\xaf", "a 7z archive: unpack it"),
    (0, b"\x1f\x8b", "a gzip archive: unpack it"),
    (0, b"\xd0\xcf\x11\xe0", "an Office document: save its pictures as files"),
    *((4, b"ftyp" + brand, "a HEIC picture: pip install pillow-heif to read it") for brand in HEIF_BRANDS),
    (4, b"ftypcrx", RAW),
    (4, b"ftypavi", ""),
    (4, b"ftyp", "a video: save single frames from it"),
    (0, b"\x1a\x45\xdf\xa3", "a video: save single frames from it"),
    (8, b"AVI ", "a video: save single frames from it"),
    (0, b"8BPS", "a Photoshop document: export it as PNG or JPEG"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the picture: run 'git lfs pull'"),
    (0, b"<svg", "a vector drawing (SVG), not a photograph"),
    (0, b"<?xml", "an XML document (for example an SVG drawing), not a photograph"),
    (0, b"<!DOCTYPE", "a web page, not the picture: save the picture itself"),
    (0, b"<html", "a web page, not the picture: save the picture itself"),
    (0, b"\xff\x0a", "a JPEG XL picture: convert it to PNG or JPEG"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture: convert it to PNG or JPEG"),
    (0, b"\0\0\x01\0", "an icon (ICO): convert it to PNG"),
    (0, b"qoif", "a QOI picture: convert it to PNG"),
    (0, b"gimp xcf", "a GIMP document: export it as PNG or JPEG"),
    (0, b"%!PS", "a PostScript document: convert it to PNG"),
    (0, b"ID3", "a sound file, not a picture"),
    (0, b"OggS", "a sound or video file, not a picture"),
    (8, b"WAVE", "a sound file, not a picture"),
    (0, b"MZ", "a program, not a picture"),
    (0, b"\x7fELF", "a program, not a picture"),
)
"""What files are that are no pictures, by the bytes at a place; the first that fits. '' for pictures that
begin like one of those after them."""

PICTURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (4, b"ftypavi", "AVIF"),
    *((4, b"ftyp" + brand, "HEIC") for brand in HEIF_BRANDS),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"BM", "BMP"),
)
"""The formats that are read, by the bytes at a place, for files in which Pillow finds none of them."""


def signed_as(path: Path, signatures: Sequence[tuple[int, bytes, str]] = SIGNATURES) -> str:
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


def _has_avif() -> bool:
    """Whether Pillow reads AVIF: its wheels for Windows on ARM do not."""
    from PIL import AvifImagePlugin

    return bool(AvifImagePlugin.SUPPORTED)


def explain_fault(error: Exception, path: Path) -> str:
    """A decoder's error as one line for a person, without the path.

    Raises:
        Exception: the error itself, where it is a bug of this package.
    """
    if is_bug(error):
        raise error
    if isinstance(error, Unusable):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if (said := _say(error, path)) != TOO_LARGE and _is_unsupported(path):
        return UNSUPPORTED
    return said


def _say(error: Exception, path: Path) -> str:
    for kind, said in TECHNICAL:
        if isinstance(error, kind):
            return said
    text = " ".join(str(error).lower().split())
    if text.startswith("cannot identify image file"):
        name = signed_as(path, PICTURES)
        if name == "AVIF" and not _has_avif():
            return "an AVIF picture, which Pillow cannot read on this computer: convert it to PNG or JPEG"
        if name and (name != "HEIC" or has_heif()):
            return f"the file is damaged: it starts as {name} but cannot be decoded"
        return signed_as(path) or "not a picture (no known format)"
    # Whatever else decoders say is about their inside.
    return next((said for start, said in WORDED if text.startswith(start)), UNDECODABLE)


def _is_unsupported(path: Path) -> bool:
    """Whether a file that cannot be decoded is of a variant that no decoder here knows, by its header."""
    name = signed_as(path, PICTURES)
    with suppress(OSError):
        if name == "JPEG":
            with path.open("rb") as file:
                return any(map(_is_unsupported_frame, jpeg_parts(file)))
        if name == "TIFF":
            return _is_unsupported_tiff(path)
    return False


def _is_unsupported_frame(part: tuple[bytes, bytes]) -> bool:
    marker, content = part
    if marker in FRAMES and len(content) > 5:
        return content[0] != 8 or content[5] not in (1, 3, 4)
    return marker in UNKNOWN_FRAMES


def _is_unsupported_tiff(path: Path) -> bool:
    """Whether Pillow's reader of TIFF, asked alone, refuses what the file's directory says."""
    from PIL import TiffImagePlugin

    try:
        TiffImagePlugin.TiffImageFile(path).close()
    except SyntaxError as error:
        # A compression that Pillow has no name for is a missing key.
        known = ("unknown pixel mode", "unknown data organization", "Invalid value for samples per pixel")
        return str(error).startswith(known) or isinstance(error.__cause__, KeyError)
    except Exception as error:
        if is_bug(error):
            raise
    return False
