"""Explanations of why a file cannot be used as a picture."""

import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fakedetect.core.errors import is_bug
from fakedetect.core.processes.memory import TOO_LARGE
from fakedetect.images.containers import read_jpeg_parts
from fakedetect.images.listing import has_heif


class Unusable(ValueError):
    """A picture cannot be used; the message is written for users."""


DECODER_ERRORS = (
    (MemoryError, TOO_LARGE),
    (EOFError, "the file ends too early"),
    (
        (ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError, TypeError),
        "the file is damaged: its structure cannot be parsed",
    ),
    ((struct.error, zlib.error), "the file is damaged: its data cannot be decompressed"),
)
"""Decoder errors whose own messages do not help users, and what they mean."""

UNSUPPORTED = "an unsupported variant of its format: re-save it as PNG or JPEG"
UNDECODABLE = "the file is damaged: its data cannot be decoded"
ENDS_EARLY = "the file ends too early"

DECODER_MESSAGES = (
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
"""Starts of internal messages of Pillow and libheif, in lower case, and what they mean."""


DECODABLE_FRAMES = (b"\xc0", b"\xc1", b"\xc2", b"\xc3", b"\xc9", b"\xca", b"\xcb")
UNDECODABLE_FRAMES = (b"\xc5", b"\xc6", b"\xc7", b"\xcd", b"\xce", b"\xcf", b"\xde", b"\xf7")
"""Markers of JPEG frames, whose first byte is the bits per value and whose sixth is the number of
components; and of frames that no decoder here supports (ITU-T T.81, table B.1: hierarchical; JPEG-LS)."""

RAW_FILE = "a camera raw file: export it as JPEG or PNG"
RAW_ENDINGS = frozenset((".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw"))
"""Extensions of camera raw files: they start like TIFFs, and Pillow finds only their small preview."""

HEIF_BRANDS = (
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"mif1", b"msf1"),
)
"""Brands of HEIC and HEIF files, after 'ftyp' (ISO/IEC 23008-12, annex B and section 10.2)."""

OTHER_FILE_SIGNATURES = (
    (0, b"%PDF", "a PDF document: save its pictures as files"),
    (0, b"PK\x03\x04", "a ZIP archive: unpack it"),
    (0, b"Rar!", "a RAR archive: unpack it"),
    (0, b"7z\xbc\xaf", "a 7z archive: unpack it"),
    (0, b"\x1f\x8b", "a gzip archive: unpack it"),
    (0, b"\xd0\xcf\x11\xe0", "an Office document: save its pictures as files"),
    *((4, b"ftyp" + brand, "a HEIC picture: pip install pillow-heif to read it") for brand in HEIF_BRANDS),
    (4, b"ftypcrx", RAW_FILE),
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
"""Types of files that are not pictures, by the bytes at an offset; the first match counts. '' is for
pictures that start like one of the later entries."""

PICTURE_SIGNATURES = (
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
"""Supported formats by the bytes at an offset, for files that Pillow cannot identify."""


def find_signature(path: Path, signatures: Sequence[tuple[int, bytes, str]] = OTHER_FILE_SIGNATURES) -> str:
    """Return a table's entry for a file's first bytes; '' if none matches."""
    try:
        with path.open("rb") as file:
            start = file.read(300).lower()
    except OSError:
        return ""
    # A document may start with a byte-order mark and blank lines.
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    for offset, signature, meaning in signatures:
        if (start if offset else text)[offset:].startswith(signature.lower()):
            return meaning
    return ""


def _has_avif() -> bool:
    """Whether Pillow reads AVIF; its wheels for Windows on ARM do not."""
    from PIL import AvifImagePlugin

    return bool(AvifImagePlugin.SUPPORTED)


def explain_fault(error: Exception, path: Path) -> str:
    """Explain a decoder's error to the user in one line, without the path.

    Raises:
        Exception: the error itself, if it is a bug of this package.
    """
    if is_bug(error):
        raise error
    if isinstance(error, Unusable):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if (reason := _describe_error(error, path)) != TOO_LARGE and _is_unsupported(path):
        return UNSUPPORTED
    return reason


def _describe_error(error: Exception, path: Path) -> str:
    for kind, reason in DECODER_ERRORS:
        if isinstance(error, kind):
            return reason
    text = " ".join(str(error).lower().split())
    if text.startswith("cannot identify image file"):
        name = find_signature(path, PICTURE_SIGNATURES)
        if name == "AVIF" and not _has_avif():
            return "an AVIF picture, which Pillow cannot read on this computer: convert it to PNG or JPEG"
        if name and (name != "HEIC" or has_heif()):
            return f"the file is damaged: it starts as {name} but cannot be decoded"
        return find_signature(path) or "not a picture (no known format)"
    # All other messages of decoders are internal.
    return next((reason for start, reason in DECODER_MESSAGES if text.startswith(start)), UNDECODABLE)


def _is_unsupported(path: Path) -> bool:
    """Whether the header of a file that cannot be decoded shows a variant that no decoder here supports."""
    name = find_signature(path, PICTURE_SIGNATURES)
    with suppress(OSError):
        if name == "JPEG":
            with path.open("rb") as file:
                return any(map(_is_unsupported_frame, read_jpeg_parts(file)))
        if name == "TIFF":
            return _is_unsupported_tiff(path)
    return False


def _is_unsupported_frame(part: tuple[bytes, bytes]) -> bool:
    marker, content = part
    if marker in DECODABLE_FRAMES and len(content) > 5:
        return content[0] != 8 or content[5] not in (1, 3, 4)
    return marker in UNDECODABLE_FRAMES


def _is_unsupported_tiff(path: Path) -> bool:
    """Whether Pillow's TIFF reader alone refuses the file's directory."""
    from PIL import TiffImagePlugin

    try:
        TiffImagePlugin.TiffImageFile(path).close()
    except SyntaxError as error:
        # An unknown compression is a KeyError in Pillow.
        known = ("unknown pixel mode", "unknown data organization", "Invalid value for samples per pixel")
        return str(error).startswith(known) or isinstance(error.__cause__, KeyError)
    except Exception as error:
        if is_bug(error):
            raise
    return False
