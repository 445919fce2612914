"""Resized folders -> labelled samples; the train/validation split."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fakedetect.core.console import plural
from fakedetect.core.errors import UserError
from fakedetect.core.recipes import CLASSES
from fakedetect.core.settings import Settings
from fakedetect.dataset.bad_list import read_bad_images
from fakedetect.dataset.folders import advise_to_resize, class_folders, missing_class, source_of
from fakedetect.images.listing import list_images


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

    `left_out` counts these; `without` is a source whose pictures are not among the samples, '' for none;
    `resized`: the samples are copies.
    """

    folder: Path
    samples: tuple[Sample, ...]
    left_out: int
    without: str = ""
    resized: bool = True


def load_dataset(settings: Settings, part: str, leave_out: str = "") -> Dataset:
    """The samples of the resized folder 'train' or 'test'.

    Args:
        leave_out: a source whose pictures are passed over, '' for none.

    Raises:
        UserError: the folder, a class or its pictures are missing.
    """
    folder = settings.resized[part]
    advise = advise_to_resize(settings, part)
    samples, left_out = _list_samples(settings, part, class_folders(folder, advise), leave_out, advise)
    if missing := missing_class(sample.label for sample in samples):
        raise UserError(f"{folder} holds no usable {missing} pictures. Scan and resize again.")
    return Dataset(folder, tuple(samples), left_out, leave_out)


def load_for_probe(settings: Settings, part: str, leave_out: str = "") -> Dataset:
    """The samples of the resized folder, or where there is none, the original pictures: a probe makes its
    own copies.

    Raises:
        UserError: both folders, a class or its pictures are missing.
    """
    folders = [(settings.original[f"{part}-{name}"], label) for label, name in enumerate(("fake", "real"))]
    if settings.resized[part].is_dir() or not all(folder.is_dir() for folder, _ in folders):
        return load_dataset(settings, part, leave_out)
    samples, left_out = _list_samples(
        settings, part, folders, leave_out, lambda name: f"Put {name} pictures there."
    )
    if missing := missing_class(sample.label for sample in samples):
        where = settings.original[f"{part}-{missing}"]
        raise UserError(f"{where} holds no usable {missing} pictures. Put some there.")
    common = Path(os.path.commonpath([folder for folder, _ in folders]))
    return Dataset(common, tuple(samples), left_out, leave_out, resized=False)


def _list_samples(
    settings: Settings,
    part: str,
    folders: Iterable[tuple[Path, int]],
    leave_out: str,
    advise: Callable[[str], str],
) -> tuple[list[Sample], int]:
    """The usable pictures of class folders with their labels, and how many are on the list of bad ones."""
    listed = set(read_bad_images(settings))
    samples: list[Sample] = []
    left_out = 0
    for class_folder, label in folders:
        original = settings.original[f"{part}-{CLASSES[label]}"]
        paths = list_images(class_folder)
        if not paths:
            raise UserError(f"{class_folder} holds no pictures. {advise(CLASSES[label])}")
        for path in paths:
            inside = path.relative_to(class_folder)
            source = source_of(path, class_folder)
            if leave_out and source == leave_out:
                continue
            if path in listed or original / inside in listed:
                left_out += 1
            else:
                samples.append(Sample(path, label, source))
    return samples, left_out


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
        *(f"  {path}: {reason}" for path, reason in sorted(faults.items())),
    ]


def hash_names(dataset: Dataset) -> str:
    """A hash of the samples' names, by which a data set is known again."""
    names = "\0".join(str(sample.path.relative_to(dataset.folder)) for sample in dataset.samples)
    return hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()


def split_dataset(
    dataset: Dataset, validation_share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """The reference's split: torch's random_split, the training share rounded down.

    Raises:
        UserError: there are too few pictures to split.
    """
    count = int((1 - validation_share) * len(dataset.samples))
    lengths = [count, len(dataset.samples) - count]
    if min(lengths) < 1:
        raise UserError(
            f"{dataset.folder} holds {len(dataset.samples)} pictures, too few to train and validate on."
        )
    generator = torch.Generator().manual_seed(seed)
    numbers: Any = range(len(dataset.samples))
    places: list[Any] = torch.utils.data.random_split(numbers, lengths, generator=generator)
    train, validation = ([dataset.samples[place] for place in part] for part in places)
    return train, validation
