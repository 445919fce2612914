"""Pillow's process-wide setup: formats, limits, and tolerance for broken metadata."""

import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import IO, TYPE_CHECKING, Any, cast

from fakedetect.core.errors import is_bug
from fakedetect.images.colours import CODING_KEY, Coding
from fakedetect.images.containers import TEXT_CHUNKS
from fakedetect.images.faults import HEIF_BRANDS
from fakedetect.images.listing import HEIF_EXTENSIONS, has_heif

if TYPE_CHECKING:
    from PIL import Image, ImageFile

PICTURE_CHUNKS = frozenset((b"tRNS", b"acTL", b"fcTL", b"fdAT"))
"""Optional PNG chunks that change the picture."""


@cache
def prepare_pillow() -> None:
    """Import Pillow and set its process-wide options, once per process.

    Do not call it on import: processes that open no picture must start fast. Call it before forking, or
    each process would do the work again.
    """
    from PIL import Image

    # MAX_PIXELS replaces Pillow's limit, which real photographs exceed.
    Image.MAX_IMAGE_PIXELS = None
    # Pillow's warnings about a file's tags do not help users.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # Pillow also logs errors, which would appear on the screen next to our own message.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    Image.register_open("HEIF", _open_heif, _is_heif)
    if has_heif():
        Image.register_save("HEIF", _save_heif)
        Image.register_extensions("HEIF", list(HEIF_EXTENSIONS))
    Image.preinit()
    _ignore_faulty_chunks()
    _ignore_faulty_exif()
    _silence_libtiff()


def _silence_libtiff() -> None:
    """Stop libtiff from writing to stderr; Pillow raises its errors, and we report them."""
    import ctypes

    from PIL import Image

    # If libtiff is linked statically into Pillow (Windows), its functions cannot be reached.
    with suppress(AttributeError, OSError):
        library = ctypes.CDLL(Image.core.__file__)  # type: ignore[attr-defined]
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


def _is_heif(start: bytes) -> bool:
    return has_heif() and start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS


@cache
def _import_heif() -> Any:
    """Import the HEIC library and register it with Pillow, at the first such file."""
    import pillow_heif

    # One thread: each core decodes its own picture. No thumbnails: a reduced picture would otherwise come
    # from the embedded thumbnail, which was compressed separately.
    pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False)
    return pillow_heif


def _open_heif(file: IO[bytes], name: str | bytes) -> "ImageFile.ImageFile":
    return cast("ImageFile.ImageFile", _import_heif().HeifImageFile(file, name))


def _save_heif(image: "Image.Image", file: IO[bytes], name: str | bytes) -> None:
    from PIL import Image

    _import_heif()
    Image.SAVE["HEIF"](image, file, name)


def _ignore_faulty_chunks() -> None:
    """Make Pillow read PNG files with a good picture and broken metadata."""
    from PIL import PngImagePlugin

    class PngStream(PngImagePlugin.PngStream):
        """Pillow's chunk reader, but text and profile chunks that are broken or too large are ignored.
        Their checksums are still verified."""

        def call(self, cid: bytes, pos: int, length: int) -> bytes:
            if cid[:1].isupper() or cid in PICTURE_CHUNKS:
                return super().call(cid, pos, length)
            # Pillow limits the size of each text, but not their number.
            if cid not in TEXT_CHUNKS or self.text_memory <= PngImagePlugin.MAX_TEXT_MEMORY:
                with suppress(LookupError, SyntaxError, ValueError, struct.error):
                    return super().call(cid, pos, length)
            file = cast(IO[bytes], self.fp)
            file.seek(pos)
            return file.read(length)

        def chunk_cICP(self, pos: int, length: int) -> bytes:
            """Read the colour coding (PNG 3.0, section 11.3.2.6)."""
            data = cast(IO[bytes], self.fp).read(length)
            if len(data) == 4:
                self.im_info[CODING_KEY] = Coding(data[0], data[1])
            return data

    PngImagePlugin.PngStream = PngStream  # type: ignore[misc]


def _ignore_faulty_exif() -> None:
    """Make Pillow open TIFF and AVIF files whose EXIF has fields that it cannot read or write back."""
    from PIL import Image

    plain: type[Image.Exif] = Image.Exif

    class Exif(Image.Exif):
        """Pillow's EXIF without the fields that it cannot read or write; its AVIF reader writes it back."""

        def tobytes(self, offset: int = 8) -> bytes:
            with faults_ignored():
                return super().tobytes(offset)
            writable = plain()
            for tag, value in self.items():
                alone = plain()
                alone[tag] = value
                with faults_ignored():
                    alone.tobytes()
                    writable[tag] = value
            return writable.tobytes(offset)

        def get_ifd(self, tag: int) -> dict[int, Any]:
            with faults_ignored():
                return super().get_ifd(tag)
            return {}

    Image.Exif = Exif  # type: ignore[misc]


@contextmanager
def faults_ignored() -> Iterator[None]:
    """Suppress what Pillow raises at a metadata field that it cannot parse: errors of any type."""
    try:
        yield
    except Exception as error:
        if is_bug(error):
            raise
