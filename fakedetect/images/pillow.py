"""Pillow as this package uses it: prepared once, and patient with what is said beside the pixels."""

import logging
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import IO, TYPE_CHECKING, Any, cast

from fakedetect.core.errors import is_bug
from fakedetect.images.colours import CODING, Coding
from fakedetect.images.containers import TEXT_CHUNKS
from fakedetect.images.faults import HEIF_BRANDS
from fakedetect.images.listing import HEIF_EXTENSIONS, has_heif

if TYPE_CHECKING:
    from PIL import Image, ImageFile

CHUNKS_OF_THE_PICTURE = frozenset((b"tRNS", b"acTL", b"fcTL", b"fdAT"))
"""Chunks of a PNG that a decoder may ignore, but without which the picture would be another."""


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
    _ignore_faulty_exif()
    _silence_libtiff()


def _silence_libtiff() -> None:
    """Have libtiff write no line of its own to stderr: Pillow raises what goes wrong, and we say it."""
    import ctypes

    from PIL import Image

    # Where Pillow has the library within itself (Windows), it cannot be asked.
    with suppress(AttributeError, OSError):
        library = ctypes.CDLL(Image.core.__file__)  # type: ignore[attr-defined]
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


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

        def chunk_cICP(self, pos: int, length: int) -> bytes:
            """How the colours are coded: PNG 3.0, section 11.3.2.6."""
            data = cast(IO[bytes], self.fp).read(length)
            if len(data) == 4:
                self.im_info[CODING] = Coding(data[0], data[1])
            return data

    PngImagePlugin.PngStream = PngStream  # type: ignore[misc]


def _ignore_faulty_exif() -> None:
    """Have Pillow open TIFF and AVIF files whose EXIF holds fields that it cannot read or write again."""
    from PIL import Image

    plain: type[Image.Exif] = Image.Exif

    class Exif(Image.Exif):
        """Pillow's EXIF, which AVIF's reader writes again with the orientation, and TIFF's reads on."""

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
    """What Pillow raises at a field that it does not understand: errors of every kind."""
    try:
        yield
    except Exception as error:
        if is_bug(error):
            raise
