"""Reading the headers of pictures: size, format, compression, metadata. Nothing is decoded."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fakedetect.images.faults import explain_fault
from fakedetect.images.reading import format_of, open_image, read_exif

if TYPE_CHECKING:
    from PIL import Image

# Annex K of the JPEG standard (ITU-T T.81): the luminance table, which encoders scale by quality.
STANDARD_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
SOFTWARE_TAG = 0x0131
SUBSAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


@dataclass(frozen=True)
class Header:
    """A picture's header, with sizes in pixels and bytes. The jpeg_ fields are None for other formats.

    `jpeg_quality` is an estimate (1 to 100). `jpeg_tables` is a short hash of the quantisation tables,
    which identifies the encoder and its quality.
    """

    format: str
    extension: str
    mode: str
    width: int
    height: int
    bytes: int
    jpeg_quality: int | None
    jpeg_subsampling: str | None
    jpeg_tables: str | None
    exif: bool
    icc: bool
    software: bool


@cache
def _table_sums() -> tuple[int, ...]:
    """Return the sums of the standard table as libjpeg scales it, for the qualities 1 to 100."""
    sums = []
    for quality in range(1, 101):
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        sums.append(sum(min(255, max(1, (v * scale + 50) // 100)) for v in STANDARD_LUMINANCE))
    return tuple(sums)


def estimate_quality(luminance: list[int]) -> int:
    """Return the quality (1 to 100) whose standard table has the nearest sum."""
    total = sum(luminance)
    sums = _table_sums()
    return min(range(100), key=lambda index: abs(sums[index] - total)) + 1


def _has_software(image: "Image.Image") -> bool:
    if any(str(key).lower() in ("software", "parameters", "prompt", "workflow") for key in image.info):
        return True
    # Without this check, Pillow decodes a whole PNG to look for EXIF at its end.
    return "exif" in image.info and SOFTWARE_TAG in read_exif(image)


def read_header(path: Path) -> Header | str:
    """Read a picture's header; return the reason as a str if it cannot be read.

    The content of the file never raises an exception.
    """
    from PIL import JpegImagePlugin

    try:
        with open_image(path) as image:
            software = _has_software(image)
            jpeg = isinstance(image, JpegImagePlugin.JpegImageFile)
            sampling = JpegImagePlugin.get_sampling(image) if jpeg else -1
        size = path.stat().st_size
    except Exception as error:
        return explain_fault(error, path)
    quality = subsampling = tables = None
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        # A damaged file may lack the luminance table.
        quality = estimate_quality(image.quantization[0]) if 0 in image.quantization else None
        subsampling = SUBSAMPLINGS.get(sampling, "none" if image.mode == "L" else "other")
        tables = hashlib.sha256(repr(image.quantization).encode()).hexdigest()[:8]
    return Header(
        format_of(image),
        path.suffix.lower(),
        image.mode,
        *image.size,
        size,
        quality,
        subsampling,
        tables,
        any("exif" in str(key).lower() for key in image.info),
        "icc_profile" in image.info,
        software,
    )
