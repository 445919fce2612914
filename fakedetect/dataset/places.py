"""The pictures of a whole data set, originals or copies, each with its part, class and source."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fakedetect.core.errors import UserError
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import FOLDERS, Settings
from fakedetect.core.terminal.console import Console
from fakedetect.dataset.folders import (
    advise_to_resize,
    class_folders,
    existing_folders,
    list_pictures,
    read_bad_images,
    source_of,
    warn_about_missing,
)
from fakedetect.dataset.review import load_review
from fakedetect.dataset.samples import Sample, find_origins, review_sample, settle_moved


@dataclass(frozen=True)
class Place:
    """A picture's path, its part ('train' or 'test'), label ('fake' or 'real') and source."""

    path: Path
    part: str
    label: str
    source: str


def list_places(settings: Settings, console: Console, on: str) -> tuple[list[Place], int]:
    """The pictures of a data set without the listed bad ones, and how many these are; as the user's review
    has them.

    Args:
        on: 'original' or 'resized', which of its pictures.

    Raises:
        UserError: there are none.
    """
    folders = _original_folders if on == "original" else _resized_folders
    listed, review = read_bad_images(settings), load_review(settings)
    warn_about_missing(settings, console)
    found: dict[str, list[Sample]] = {}
    moved: set[Path] = set()
    left_out = 0
    for folder, part, name in folders(settings, console):
        paths, _ = list_pictures(folder, console)
        good = [path for path in paths if path not in listed]
        left_out += len(paths) - len(good)
        original, label = settings.original[f"{part}-{name}"], CLASSES.index(name)
        origins = find_origins(folder, original, good) if review.decisions else {}
        for path in good:
            sample = review_sample(review, Sample(path, label, source_of(path, folder)), origins.get(path))
            if sample:
                found.setdefault(part, []).append(sample)
                moved.update([path] if sample.label != label else [])
    for line in review.describe():
        console.warn(line)
    places = [
        Place(path=sample.path, part=part, label=CLASSES[sample.label], source=sample.source)
        for part, samples in found.items()
        for sample in settle_moved(samples, moved)
    ]
    if not places:
        raise UserError(f"The {on} folders contain no pictures. Put them there, or see {settings.file}.")
    return places, left_out


def _original_folders(settings: Settings, console: Console) -> Iterator[tuple[Path, str, str]]:
    """The class folders with their parts and labels."""
    for name in existing_folders(settings, FOLDERS, console):
        part, label = name.split("-")
        yield settings.original[name], part, label


def _resized_folders(settings: Settings, console: Console) -> Iterator[tuple[Path, str, str]]:
    parts = [part for part, folder in settings.resized.items() if folder.is_dir()]
    if not parts:
        raise UserError(f"There are no resized pictures yet. {advise_to_resize(settings, 'train')('')}")
    for part in set(settings.resized) - set(parts):
        console.warn(f"There is no folder {settings.resized[part]} (resized {part}).")
    for part in parts:
        for folder, number in class_folders(settings.resized[part], advise_to_resize(settings, part)):
            yield folder, part, CLASSES[number]
