"""Labelled samples from the resized folders, the train/validation split, and the originals of copies.

A sample's shape is that of its original: scaling to a square squeezes wide and tall pictures, which models
can see.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.settings.model_input import find_copies
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, plural, printable
from fakedetect.dataset.folders import (
    CLASS_FOLDERS,
    advise_to_resize,
    describe_skipped,
    find_class_folders,
    read_bad_images,
    source_of,
)
from fakedetect.dataset.review import Review, load_review
from fakedetect.images.copies import find_copy_kind, name_copies
from fakedetect.images.faults import explain_fault
from fakedetect.images.listing import Skipped, list_images
from fakedetect.images.reading import SIDEWAYS_ORIENTATIONS, format_of, open_image, read_orientation

SQUARE, WIDE, TALL = "square", "wide", "tall"

SQUARE_RATIO = 1.05
"""The largest ratio of the sides of a picture that counts as square."""


@dataclass(frozen=True)
class Sample:
    """A picture with its label (0 fake, 1 real) and its source, a folder inside the class's.

    `turn` counts how often the same epoch has shown it before.
    """

    path: Path
    label: int
    source: str
    turn: int = 0


@dataclass(frozen=True)
class UnreadableSample:
    """A sample that could not be decoded, and why."""

    sample: Sample
    reason: str


@dataclass(frozen=True)
class Dataset:
    """The samples of a folder in ImageFolder's order, without the listed bad ones.

    `left_out` counts the bad ones; `skipped` describes what else was not read. `without` is an excluded
    source, '' for none. `resized`: the samples are copies. By the user's review,
    `removed` pictures are not among them, and those `moved` count for the other class.
    """

    folder: Path
    samples: tuple[Sample, ...]
    left_out: int
    without: str = ""
    resized: bool = True
    skipped: tuple[str, ...] = ()
    removed: int = 0
    moved: frozenset[Path] = frozenset()


def warn_about_skipped(dataset: Dataset, console: Console) -> None:
    """Warn about what was not read below the dataset's folders and what a review changed."""
    for line in dataset.skipped:
        console.warn(line)


def load_dataset(settings: Settings, part: str, leave_out: str = "") -> Dataset:
    """Load the samples of a resized folder.

    Args:
        part: 'train' or 'test'.
        leave_out: a source to exclude, '' for none.

    Raises:
        UserError: the folder, a class or its pictures are missing.
    """
    folder, advise = settings.resized[part], advise_to_resize(settings, part)
    folders = find_class_folders(folder, advise)
    found = _list_samples(settings, part, folders, leave_out, advise)
    check_both_classes(found.samples, folders, "usable ", "Scan and resize again.")
    return replace(found, folder=folder)


def load_probe_dataset(settings: Settings, part: str, leave_out: str = "") -> Dataset:
    """Load the samples of the resized folder or, without one, of the original folders.

    A probe makes its own copies of both.

    Raises:
        UserError: both folders, a class or its pictures are missing.
    """
    folders = [(settings.original[f"{part}-{name}"], label) for label, name in enumerate(CLASSES)]
    if settings.resized[part].is_dir() or not all(folder.is_dir() for folder, _ in folders):
        return load_dataset(settings, part, leave_out)
    advise = "Put {} pictures there.".format
    found = _list_samples(settings, part, folders, leave_out, advise)
    check_both_classes(found.samples, folders, "usable ", "Put some there.")
    return replace(found, resized=False)


def check_both_classes(
    samples: Iterable[Sample], folders: Iterable[tuple[Path, int]], kind: str, advice: str
) -> None:
    """Refuse samples of one class only.

    Args:
        folders: the folder of each label.
        kind: an adjective and a space for the message, for example 'usable ', or ''.

    Raises:
        UserError: a class has no samples; the message names the class and its folder.
    """
    present = {sample.label for sample in samples}
    for class_folder, label in folders:
        if label not in present:
            raise UserError(f"{class_folder} has no {kind}{CLASSES[label]} pictures. {advice}")


def _list_samples(
    settings: Settings,
    part: str,
    folders: Sequence[tuple[Path, int]],
    leave_out: str,
    advise: Callable[[str], str],
) -> Dataset:
    """List the usable pictures of class folders; the dataset's folder is their common parent."""
    listed = set(read_bad_images(settings))
    review = load_review(settings, [f"{part}-{name}" for name in CLASSES])
    samples: list[Sample] = []
    lines: list[str] = []
    moved: set[Path] = set()
    left_out = 0
    for class_folder, label in folders:
        original = settings.original[f"{part}-{CLASSES[label]}"]
        skipped = Skipped()
        paths = list_images(class_folder, skipped)
        lines += describe_skipped(class_folder, skipped)
        if not paths:
            raise UserError(f"{class_folder} contains no pictures. {advise(CLASSES[label])}")
        origins = find_originals_of(class_folder, original, paths) if listed or review.decisions else {}
        for path in paths:
            origin = origins.get(path)
            sample = review_sample(review, Sample(path, label, source_of(path, class_folder)), origin)
            if sample is None or (leave_out and sample.source == leave_out):
                continue
            if path in listed or origin in listed:
                left_out += 1
                continue
            samples.append(sample)
            if sample.label != label:
                moved.add(path)
    return Dataset(
        folder=Path(os.path.commonpath([folder for folder, _ in folders])),
        samples=tuple(assign_moved_sources(samples, moved)),
        left_out=left_out,
        without=leave_out,
        skipped=(*lines, *review.describe()),
        removed=review.removed,
        moved=frozenset(moved),
    )


def find_originals_of(class_folder: Path, original: Path, paths: Sequence[Path]) -> dict[Path, Path]:
    """Return for each picture of a class folder its path among the originals, which may be gone."""
    traced = _trace(class_folder, original) if class_folder != original else {}
    return {path: traced.get(path, original / path.relative_to(class_folder)) for path in paths}


def review_sample(review: Review, sample: Sample, original: Path | None) -> Sample | None:
    """Apply the user's review to a sample; None if it is removed. A moved sample has no source.

    Args:
        original: its path among the originals; None without a review.
    """
    label = review.label(original, sample.label) if original else sample.label
    if label is None or label == sample.label:
        return None if label is None else sample
    return replace(sample, label=label, source="")


def assign_moved_sources(samples: Sequence[Sample], moved: Collection[Path]) -> Sequence[Sample]:
    """Give the samples of `moved` pictures the largest source of their new class.

    Their source is unknown. As a source of their own, a few pictures would weigh as much as a whole
    collection.
    """
    if not moved:
        return samples
    largest = {}
    for label in (0, 1):
        sources = Counter(s.source for s in samples if s.label == label and s.path not in moved)
        largest[label] = max(sources, key=lambda source: (sources[source], source), default="")
    return [
        replace(sample, source=largest[sample.label]) if sample.path in moved else sample
        for sample in samples
    ]


def draw_sample_indices(samples: Sequence[Sample], most: int, seed: int) -> np.ndarray:
    """Draw the indices of at most `most` samples, in random order and in the classes' proportion.

    A rare class gets at least most // 50 of them, or all its samples if it has fewer.
    """
    labels = np.array([sample.label for sample in samples])
    order = np.random.default_rng(seed).permutation(len(samples))
    drawn, rest = order[:most], order[most:]
    for label in (0, 1):
        of_class = rest[labels[rest] == label]
        lacking = min(max(0, most // 50 - int((labels[drawn] == label).sum())), len(of_class))
        others = np.flatnonzero(labels[drawn] != label)
        drawn[others[len(others) - lacking :]] = of_class[:lacking]
    return drawn


def collect_faults(unreadable: Iterable[UnreadableSample]) -> dict[Path, str]:
    """Return the reasons of unreadable samples by path."""
    return {each.sample.path: each.reason for each in unreadable}


def describe_faults(faults: Mapping[Path, str]) -> list[str]:
    """Describe unreadable pictures: a line with their number, then one per picture; none for no faults."""
    if not faults:
        return []
    verb = "was" if len(faults) == 1 else "were"
    return [
        f"{plural(len(faults), 'picture')} {verb} skipped:",
        *(f"  {printable(path)}: {reason}" for path, reason in sorted(faults.items())),
    ]


def name_samples(dataset: Dataset) -> list[str]:
    """Return the samples' names below their folder; those of moved pictures end in a mark."""
    return [
        str(sample.path.relative_to(dataset.folder)) + ("\0moved" if sample.path in dataset.moved else "")
        for sample in dataset.samples
    ]


def hash_names(dataset: Dataset) -> str:
    """Hash the samples' names and what a review changed, to recognise a dataset."""
    return hashlib.sha256("\0".join(name_samples(dataset)).encode("utf-8", "surrogateescape")).hexdigest()


def split_dataset(
    dataset: Dataset, validation_share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Split into training and validation samples as the course project does: torch's random_split.

    The number of training samples is rounded down.

    Raises:
        UserError: there are too few pictures to split.
    """
    # Imported here: callers that only find originals need no torch.
    import torch

    count = int((1 - validation_share) * len(dataset.samples))
    lengths = [count, len(dataset.samples) - count]
    if min(lengths) < 1:
        raise UserError(
            f"{dataset.folder} contains {len(dataset.samples)} pictures, too few to train and validate on."
        )
    generator = torch.Generator().manual_seed(seed)
    numbers: Any = range(len(dataset.samples))
    places: list[Any] = torch.utils.data.random_split(numbers, lengths, generator=generator)
    train, validation = ([dataset.samples[place] for place in part] for part in places)
    return train, validation


def find_originals(settings: Settings, part: str, copies: Sequence[Path]) -> list[Path]:
    """Find the original of each copy in the resized folders of any size.

    Args:
        part: 'train' or 'test'.

    Returns:
        The path itself if it is not a copy or its original is missing.
    """
    traced: dict[Path, Path] = {}
    for home, label in _list_homes(settings, part).items():
        if any(copy.is_relative_to(home) for copy in copies):
            traced |= _trace(home, settings.original[f"{part}-{label}"])
    return [traced.get(copy, copy) for copy in copies]


class FileFacts(NamedTuple):
    """A picture's file: its size in pixels, turned upright, its bytes and its format."""

    width: int
    height: int
    bytes: int
    format: str

    @property
    def shape(self) -> str:
        """The picture's shape: SQUARE, WIDE or TALL."""
        if max(self.width, self.height) <= SQUARE_RATIO * min(self.width, self.height):
            return SQUARE
        return WIDE if self.width > self.height else TALL


def read_file_facts(path: Path) -> FileFacts | None:
    """Read the facts of a picture's file; None if it cannot be opened."""
    try:
        with open_image(path) as image:
            width, height = image.size
            file_format = format_of(image)
            # Pillow would decode a whole PNG to look for EXIF data after its pixels.
            is_quick = "exif" in image.info or file_format != "PNG"
            if is_quick and read_orientation(image) in SIDEWAYS_ORIENTATIONS:
                width, height = height, width
        return FileFacts(width, height, path.stat().st_size, file_format)
    except Exception as error:
        explain_fault(error, path)
        return None


def read_original_facts(
    paths: Sequence[Path], samples: Sequence[Sample], resized: bool
) -> list[FileFacts | None]:
    """Read the facts of the samples' originals; None if only a resized copy is left.

    Args:
        paths: the result of find_originals().
        resized: the samples are copies, which are all square.
    """
    return [
        None if resized and path == sample.path else read_file_facts(path)
        for path, sample in zip(paths, samples, strict=True)
    ]


def list_shapes(files: Iterable[FileFacts | None]) -> list[str]:
    """Return the shape of each picture; '' if unknown."""
    return [file.shape if file else "" for file in files]


def name_pictures(settings: Settings, part: str, paths: Sequence[Path]) -> list[str]:
    """Return the class and the path inside the class folder of each picture or copy of any size.

    Args:
        part: 'train' or 'test'.

    Returns:
        'fake/coco/0001.png' for example; the whole path if it is in no class folder.
    """
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
    """Return the class folders of copies of any size, with their classes."""
    return {
        folder: CLASSES[CLASS_FOLDERS[folder.name.lower()]]
        for resized in find_copies(settings.plain_copies[part])
        for folder in resized.iterdir()
        if folder.name.lower() in CLASS_FOLDERS
    }


def _trace(home: Path, original: Path) -> dict[Path, Path]:
    """Return the original of each copy that a class folder may contain."""
    if not original.is_dir():
        return {}
    names = [path.relative_to(original) for path in list_images(original)]
    copies = name_copies(names, find_copy_kind(home).aligned)
    return {home / copy: original / name for name, copy in copies.items()}
