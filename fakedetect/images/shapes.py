"""Whether pictures are square, wide or tall: scaling to a square squeezes the others, and models see it."""

from pathlib import Path

from fakedetect.images.faults import explain_fault
from fakedetect.images.reading import TURNED, format_of, open_image, orientation_of

SQUARE, WIDE, TALL = "square", "wide", "tall"

NEARLY = 1.05
"""The ratio of the sides up to which a picture counts as square."""


def find_shape(path: Path) -> str:
    """A picture's shape as it is shown, turned upright; '' where the file cannot be opened any more."""
    try:
        with open_image(path) as image:
            width, height = image.size
            # To look for what may stand behind its pixels, Pillow would decode a whole PNG.
            told = "exif" in image.info or format_of(image) != "PNG"
            if told and orientation_of(image) in TURNED:
                width, height = height, width
    except Exception as error:
        explain_fault(error, path)
        return ""
    if max(width, height) <= NEARLY * min(width, height):
        return SQUARE
    return WIDE if width > height else TALL
