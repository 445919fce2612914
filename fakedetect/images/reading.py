"""Opening and decoding a picture safely; what is wrong with one that cannot be used."""

import io
import logging
import os
import stat
import struct
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from fakedetect.core.errors import is_bug
from fakedetect.images.containers import TEXT_CHUNKS, jpeg_parts
from fakedetect.images.faults import HEIF_BRANDS, RAW, RAW_ENDINGS, explain_fault, signed_as
from fakedetect.images.listing import HEIF_EXTENSIONS, has_heif, suffix_of

if TYPE_CHECKING:
    from PIL import Image, ImageFile

MAX_PIXELS = 500_000_000
"""Pictures that claim more are refused unread: decoding one could take all memory."""

FORMATS = (*("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM"),)
"""What a file may really hold: Pillow's other readers are never started on it."""

TURNED = range(5, 9)
"""Orientations of pictures that are shown with their sides exchanged."""

CHUNKS_OF_THE_PICTURE = frozenset((b"tRNS", b"acTL", b"fcTL", b"fdAT"))
"""Chunks of a PNG that a decoder may ignore, but without which the picture would be another."""

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
    Image.register_open("HEIF", _open_heif, _is_heif)
    if has_heif():
        Image.register_save("HEIF", _save_heif)
        Image.register_extensions("HEIF", list(HEIF_EXTENSIONS))
    Image.preinit()
    _ignore_faulty_chunks()


def _is_heif(start: bytes) -> bool:
    return has_heif() and start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS


@cache
def _import_heif() -> Any:
    """The library for HEIC and HEIF, registered with Pillow: imported with the first such file."""
    import pillow_heif

    # Every core has a picture of its own to decode. A reduced picture would come from the small one beside
    # it, which was compressed on its own.
    pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False)
    return pillow_heif


def _open_heif(file: IO[bytes], name: str | bytes) -> "ImageFile.ImageFile":
    return cast("ImageFile.ImageFile", _import_heif().HeifImageFile(file, name))


def _save_heif(image: "Image.Image", file: IO[bytes], name: str | bytes) -> None:
    from PIL import Image

    _import_heif()
    Image.SAVE["HEIF"](image, file, name)


def _ignore_faulty_chunks() -> None:
    """Have Pillow read PNG files whose picture is good, whatever is wrong with what is said beside it."""
    from PIL import PngImagePlugin

    class PngStream(PngImagePlugin.PngStream):
        """Pillow's reader of chunks, which refuses the whole picture for a text or profile that is too
        large, or for a faulty one; here such a chunk is ignored. Its checksum still counts."""

        def call(self, cid: bytes, pos: int, length: int) -> bytes:
            if cid[:1].isupper() or cid in CHUNKS_OF_THE_PICTURE:
                return super().call(cid, pos, length)
            # Each text is limited, but not how many there are.
            if cid not in TEXT_CHUNKS or self.text_memory <= PngImagePlugin.MAX_TEXT_MEMORY:
                with suppress(LookupError, SyntaxError, ValueError, struct.error):
                    return super().call(cid, pos, length)
            file = cast(IO[bytes], self.fp)
            file.seek(pos)
            return file.read(length)

    PngImagePlugin.PngStream = PngStream  # type: ignore[misc]


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
    try:
        found = image.getexif().get(0x0112, 1)
    except Exception as error:
        if is_bug(error):
            raise
        return 1
    return found if found in range(2, 9) else 1


def _upright(image: "Image.Image") -> "Image.Image":
    from PIL import ImageOps

    return image if orientation_of(image) == 1 else ImageOps.exif_transpose(image)


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
