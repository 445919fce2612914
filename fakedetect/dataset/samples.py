"""Resized folders -> labelled samples; the train/validation split; from a copy back to its original.

Scaling to a square squeezes wide and tall pictures, and models see it: their shape is the original's.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.settings.model_input import find_copies
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, plural, printable
from fakedetect.dataset.folders import (
    CLASS_FOLDERS,
    advise_to_resize,
    class_folders,
    describe_skipped,
    read_bad_images,
    source_of,
)
from fakedetect.dataset.review import Review, load_review
from fakedetect.images.copies import find_copy_kind, name_copies
from fakedetect.images.faults import explain_fault
from fakedetect.images.listing import Skipped, list_images
from fakedetect.images.reading import SIDEWAYS_ORIENTATIONS, format_of, open_image, read_orientation

SQUARE, WIDE, TALL = "square", "wide", "tall"

NEARLY = 1.05
"""The ratio of the sides up to which a picture counts as square."""


@dataclass(frozen=True)
class Sample:
    """A picture with its label (0 fake, 1 real) and its source, a folder inside the class's.

    `turn`: how often the same epoch has shown it before.
    """

    path: Path
    label: int
    source: str
    turn: int = 0


@dataclass(frozen=True)
class Unreadable:
    """A sample that could not be decoded, and why."""

    sample: Sample
    reason: str


@dataclass(frozen=True)
class Dataset:
    """The samples of a folder in ImageFolder's order, without the listed bad ones.

    `left_out` counts these; `skipped` says what else was not read, `without` is a source whose pictures
    are not among the samples, '' for none; `resized`: the samples are copies. By the user's review,
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
    """Print what was not read below the dataset's folders, a line for each of them, and what a review has
    changed."""
    for line in dataset.skipped:
        console.warn(line)


def load_dataset(settings: Settings, part: str, leave_out: str = "") -> Dataset:
    """The samples of the resized folder 'train' or 'test'.

    Args:
        leave_out: a source whose pictures are passed over, '' for none.

    Raises:
        UserError: the folder, a class or its pictures are missing.
    """
    folder, advise = settings.resized[part], advise_to_resize(settings, part)
    folders = class_folders(folder, advise)
    found = _list_samples(settings, part, folders, leave_out, advise)
    check_both_classes(found.samples, folders, "usable ", "Scan and resize again.")
    return replace(found, folder=folder)


def load_for_probe(settings: Settings, part: str, leave_out: str = "") -> Dataset:
    """The samples of the resized folder, or where there is none, the original pictures: a probe makes its
    own copies.

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
        folders: where the pictures of each label should be.
        kind: 'usable ', say, or '': what the pictures of a class lack.

    Raises:
        UserError: there are none of a class; it names the class and its folder.
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
    """The usable pictures of class folders, below what the folders have in common."""
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
        origins = find_origins(class_folder, original, paths) if listed or review.decisions else {}
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
        samples=tuple(settle_moved(samples, moved)),
        left_out=left_out,
        without=leave_out,
        skipped=(*lines, *review.describe()),
        removed=review.removed,
        moved=frozenset(moved),
    )


def find_origins(class_folder: Path, original: Path, paths: Sequence[Path]) -> dict[Path, Path]:
    """For each picture of a class folder its path among the originals, whether it is still there or not."""
    traced = _trace(class_folder, original) if class_folder != original else {}
    return {path: traced.get(path, original / path.relative_to(class_folder)) for path in paths}


def review_sample(review: Review, sample: Sample, original: Path | None) -> Sample | None:
    """A sample as the user's review has it, None where it is left out; in the other class it has no source.

    Args:
        original: its path among the originals; None where there is no review.
    """
    label = review.label(original, sample.label) if original else sample.label
    if label is None or label == sample.label:
        return None if label is None else sample
    return replace(sample, label=label, source="")


def settle_moved(samples: Sequence[Sample], moved: Collection[Path]) -> Sequence[Sample]:
    """Samples of which those of the `moved` pictures belong to the largest source of their class.

    Where they come from is unknown. As a source of their own, a few of them would weigh as much as a
    generator's or a camera's whole collection.
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


def draw_places(samples: Sequence[Sample], most: int, seed: int) -> np.ndarray:
    """The places of at most `most` samples, in random order and both classes in their proportion; of a rare
    class most // 50 at least, or all that there are."""
    labels = np.array([sample.label for sample in samples])
    order = np.random.default_rng(seed).permutation(len(samples))
    drawn, rest = order[:most], order[most:]
    for label in (0, 1):
        of_class = rest[labels[rest] == label]
        lacking = min(max(0, most // 50 - int((labels[drawn] == label).sum())), len(of_class))
        others = np.flatnonzero(labels[drawn] != label)
        drawn[others[len(others) - lacking :]] = of_class[:lacking]
    return drawn


def faults_of(unreadable: Iterable[Unreadable]) -> dict[Path, str]:
    """The reasons of unreadable samples by their paths."""
    return {each.sample.path: each.reason for each in unreadable}


def describe_faults(faults: Mapping[Path, str]) -> list[str]:
    """Unreadable pictures in words: how many, then each with its reason; nothing for none."""
    if not faults:
        return []
    verb = "was" if len(faults) == 1 else "were"
    return [
        f"{plural(len(faults), 'picture')} {verb} skipped:",
        *(f"  {printable(path)}: {reason}" for path, reason in sorted(faults.items())),
    ]


def name_samples(dataset: Dataset) -> list[str]:
    """The samples' names below their folder; one that counts for the other class has a mark behind it."""
    return [
        str(sample.path.relative_to(dataset.folder)) + ("\0moved" if sample.path in dataset.moved else "")
        for sample in dataset.samples
    ]


def hash_names(dataset: Dataset) -> str:
    """A hash of the samples' names and of what a review has changed, by which a data set is known again."""
    return hashlib.sha256("\0".join(name_samples(dataset)).encode("utf-8", "surrogateescape")).hexdigest()


def split_dataset(
    dataset: Dataset, validation_share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """The reference's split: torch's random_split, the training share rounded down.

    Raises:
        UserError: there are too few pictures to split.
    """
    # What finds an original alone need not load it.
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
    """For each copy in a resized folder 'train' or 'test', of whichever size, its original picture, in the
    original's own size and shape; the copy itself where that is gone, or where the path is no such copy."""
    traced: dict[Path, Path] = {}
    for home, label in _list_homes(settings, part).items():
        if any(copy.is_relative_to(home) for copy in copies):
            traced |= _trace(home, settings.original[f"{part}-{label}"])
    return [traced.get(copy, copy) for copy in copies]


def find_shape(path: Path) -> str:
    """A picture's shape as it is shown, turned upright; '' where the file cannot be opened any more."""
    try:
        with open_image(path) as image:
            width, height = image.size
            # To look for what may stand behind its pixels, Pillow would decode a whole PNG.
            told = "exif" in image.info or format_of(image) != "PNG"
            if told and read_orientation(image) in SIDEWAYS_ORIENTATIONS:
                width, height = height, width
    except Exception as error:
        explain_fault(error, path)
        return ""
    if max(width, height) <= NEARLY * min(width, height):
        return SQUARE
    return WIDE if width > height else TALL


def find_shapes(paths: Sequence[Path], samples: Sequence[Sample], resized: bool) -> list[str]:
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


def _trace(home: Path, original: Path) -> dict[Path, Path]:
    """The original of each copy that a class folder may have."""
    if not original.is_dir():
        return {}
    names = [path.relative_to(original) for path in list_images(original)]
    copies = name_copies(names, find_copy_kind(home).aligned)
    return {home / copy: original / name for name, copy in copies.items()}
