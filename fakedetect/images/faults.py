"""What is wrong with a file that cannot be used as a picture, in words for people."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from fakedetect.core.errors import is_bug
from fakedetect.core.processes.memory import TOO_LARGE


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
    (0, b"\xd0\xcf\x11\xe0", "an Office document: save its pictures as files"),
    (4, b"ftyphei", "a HEIC picture: pip install pillow-heif to read it"),
    (4, b"ftyphev", "a HEIC picture: pip install pillow-heif to read it"),
    (4, b"ftypmif1", "a HEIF picture: pip install pillow-heif to read it"),
    (4, b"ftypmsf1", "a HEIF picture: pip install pillow-heif to read it"),
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
        if name := signed_as(path, PICTURES):
            return f"the file is damaged: it starts as {name} but cannot be decoded"
        return signed_as(path) or "not a picture (no known format)"
    for start, said in WORDED:
        if text.lower().startswith(start):
            return said
    return text or "the file is damaged"
