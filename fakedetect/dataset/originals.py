"""From a resized copy back to the picture that it was made of."""

from collections.abc import Sequence
from pathlib import Path

from fakedetect.core.recipes import CLASSES
from fakedetect.core.settings import Settings
from fakedetect.dataset.folders import CLASS_FOLDERS
from fakedetect.images.listing import EXTENSIONS


def find_originals(settings: Settings, part: str, copies: Sequence[Path]) -> list[Path]:
    """For each copy in the resized folder 'train' or 'test' its original picture, in the original's own
    size and shape; the copy itself where that is gone, or where the path is no such copy."""
    resized = settings.resized[part]
    homes = {
        folder: settings.original[f"{part}-{CLASSES[CLASS_FOLDERS[folder.name.lower()]]}"]
        for folder in (resized.iterdir() if resized.is_dir() else ())
        if folder.name.lower() in CLASS_FOLDERS
    }
    return [_find_original(homes, copy) for copy in copies]


def _find_original(homes: dict[Path, Path], copy: Path) -> Path:
    for home, original in homes.items():
        if copy.is_relative_to(home):
            inside = original / copy.relative_to(home)
            # An aligned copy is a .jpg whatever its original was, or keeps the whole name before it.
            names = [inside, inside.with_suffix(""), *(inside.with_suffix(e) for e in sorted(EXTENSIONS))]
            return next((path for path in names if path.is_file()), copy)
    return copy
