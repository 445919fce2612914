"""All pictures of the dataset, originals or copies, with their part, class and source."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fakedetect.core.errors import UserError
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import FOLDERS, Settings
from fakedetect.core.terminal.console import Console
from fakedetect.dataset.folders import (
    advise_to_resize,
    find_class_folders,
    find_existing_folders,
    list_folder_pictures,
    read_bad_images,
    source_of,
    warn_about_missing,
)
from fakedetect.dataset.review import load_review
from fakedetect.dataset.samples import Sample, assign_moved_sources, find_originals_of, review_sample


@dataclass(frozen=True)
class ListedPicture:
    """A picture's path, its part ('train' or 'test'), label ('fake' or 'real') and source."""

    path: Path
    part: str
    label: str
    source: str


def list_dataset_pictures(settings: Settings, console: Console, on: str) -> tuple[list[ListedPicture], int]:
    """Return the dataset's pictures without the listed bad ones, and the number of the latter.

    The user's review is applied.

    Args:
        on: 'original' or 'resized'.

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
        paths, _ = list_folder_pictures(folder, console)
        good = [path for path in paths if path not in listed]
        left_out += len(paths) - len(good)
        original, label = settings.original[f"{part}-{name}"], CLASSES.index(name)
        origins = find_originals_of(folder, original, good) if review.decisions else {}
        for path in good:
            sample = review_sample(review, Sample(path, label, source_of(path, folder)), origins.get(path))
            if sample:
                found.setdefault(part, []).append(sample)
                moved.update([path] if sample.label != label else [])
    for line in review.describe():
        console.warn(line)
    pictures = [
        ListedPicture(path=sample.path, part=part, label=CLASSES[sample.label], source=sample.source)
        for part, samples in found.items()
        for sample in assign_moved_sources(samples, moved)
    ]
    if not pictures:
        raise UserError(f"The {on} folders contain no pictures. Put them there, or see {settings.file}.")
    return pictures, left_out


def _original_folders(settings: Settings, console: Console) -> Iterator[tuple[Path, str, str]]:
    """Yield the original class folders with their parts and labels."""
    for name in find_existing_folders(settings, FOLDERS, console):
        part, label = name.split("-")
        yield settings.original[name], part, label


def _resized_folders(settings: Settings, console: Console) -> Iterator[tuple[Path, str, str]]:
    parts = [part for part, folder in settings.resized.items() if folder.is_dir()]
    if not parts:
        raise UserError(f"There are no resized pictures yet. {advise_to_resize(settings, 'train')('')}")
    for part in set(settings.resized) - set(parts):
        console.warn(f"There is no folder {settings.resized[part]} (resized {part}).")
    for part in parts:
        for folder, number in find_class_folders(settings.resized[part], advise_to_resize(settings, part)):
            yield folder, part, CLASSES[number]
