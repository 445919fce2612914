"""From a resized copy back to the picture it was made of, its shape, and the name that its copies share.

Scaling to a square squeezes wide and tall pictures, and models see it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fakedetect.core.settings.model_input import find_copies
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import Settings
from fakedetect.dataset.folders import CLASS_FOLDERS
from fakedetect.images.faults import explain_fault
from fakedetect.images.listing import EXTENSIONS
from fakedetect.images.reading import TURNED, format_of, open_image, orientation_of

if TYPE_CHECKING:
    from fakedetect.dataset.samples import Sample

SQUARE, WIDE, TALL = "square", "wide", "tall"

NEARLY = 1.05
"""The ratio of the sides up to which a picture counts as square."""


def find_originals(settings: Settings, part: str, copies: Sequence[Path]) -> list[Path]:
    """For each copy in a resized folder 'train' or 'test', of whichever size, its original picture, in the
    original's own size and shape; the copy itself where that is gone, or where the path is no such copy."""
    homes = {
        folder: settings.original[f"{part}-{label}"]
        for folder, label in _list_homes(settings, part).items()
    }
    return [_find_original(homes, copy) for copy in copies]


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


def find_shapes(paths: Sequence[Path], samples: Sequence["Sample"], resized: bool) -> list[str]:
    """The shapes of the samples' pictures at these paths; '' where the picture is a resized copy.

    Args:
        paths: those of find_originals().
        resized: the samples are copies, which are all square; one whose original is gone stands for itself.
    """
    return [
        "" if resized and path == sample.path else find_shape(path)
        for path, sample in zip(paths, samples, strict=True)
    ]


def name_pictures(settings: Settings, part: str, paths: Sequence[Path]) -> list[str]:
    """For each picture of 'train' or 'test', or a copy of it of whichever size, its class and its place in
    the class folder; the path itself where it lies in no such folder."""
    homes = _list_homes(settings, part)
    homes |= {settings.original[f"{part}-{label}"]: label for label in CLASSES}
    return [_name_picture(homes, path) for path in paths]


def _name_picture(homes: dict[Path, str], path: Path) -> str:
    inside = (
        f"{label}/{path.relative_to(home).as_posix()}"
        for home, label in homes.items()
        if path.is_relative_to(home)
    )
    return next(inside, str(path))


def _list_homes(settings: Settings, part: str) -> dict[Path, str]:
    """The class folders of copies of any size, each with its class."""
    return {
        folder: CLASSES[CLASS_FOLDERS[folder.name.lower()]]
        for resized in find_copies(settings.plain_copies[part])
        for folder in resized.iterdir()
        if folder.name.lower() in CLASS_FOLDERS
    }


def _find_original(homes: dict[Path, Path], copy: Path) -> Path:
    for home, original in homes.items():
        if copy.is_relative_to(home):
            inside = original / copy.relative_to(home)
            # An aligned copy is a .jpg whatever its original was, or keeps the whole name before it.
            names = [inside, inside.with_suffix(""), *(inside.with_suffix(e) for e in sorted(EXTENSIONS))]
            return next((path for path in names if path.is_file()), copy)
    return copy
