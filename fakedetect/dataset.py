"""Resized folders -> labelled samples -> batches; the train/validation split."""

import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fakedetect.bad_list import read_bad_images
from fakedetect.copies import SIZE
from fakedetect.decoded import DecodedPictures, load_image
from fakedetect.errors import UserError
from fakedetect.folders import class_folders, source_of
from fakedetect.images import list_images
from fakedetect.settings import Settings

AHEAD = 3
"""Batches that are loaded in advance; bounds the memory."""


@dataclass(frozen=True)
class Sample:
    """A picture with its label (0 fake, 1 real) and its source, a folder inside the class's."""

    path: Path
    label: int
    source: str


@dataclass(frozen=True)
class Dataset:
    """The samples of a folder in ImageFolder's order, without the listed bad ones."""

    folder: Path
    samples: tuple[Sample, ...]
    left_out: int


@dataclass(frozen=True)
class Batch:
    """Decoded pictures: images (B, 3, 224, 224) uint8, labels (B,) int64, and their samples.

    `bad` are the samples that could not be decoded; they have no row in the tensors. `places` are
    those of the `samples` among all that were asked for.
    """

    images: torch.Tensor
    labels: torch.Tensor
    samples: tuple[Sample, ...]
    bad: tuple[Sample, ...]
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.samples) + len(self.bad)


def load_dataset(settings: Settings, part: str) -> Dataset:
    """The samples of the resized folder 'train' or 'test'.

    Raises:
        UserError: the folder, a class or its pictures are missing.
    """
    folder = settings.resized[part]
    listed = set(read_bad_images(settings))
    samples: list[Sample] = []
    left_out = 0
    for class_folder, label in class_folders(folder):
        original = settings.original[f"{part}-{('fake', 'real')[label]}"]
        paths = list_images(class_folder)
        if not paths:
            raise UserError(f"{class_folder} holds no pictures. Resize first: python menu.py resize")
        for path in paths:
            inside = path.relative_to(class_folder)
            source = source_of(path, class_folder)
            if part == "train" and settings.leave_out and source == settings.leave_out:
                continue
            if path in listed or original / inside in listed:
                left_out += 1
            else:
                samples.append(Sample(path, label, source))
    if len({sample.label for sample in samples}) < 2:
        raise UserError(f"{folder} holds no usable pictures of one class. Scan and resize again.")
    return Dataset(folder, tuple(samples), left_out)


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
    train, validation = torch.utils.data.random_split(dataset.samples, lengths, generator=generator)
    return list(train), list(validation)


Change = Callable[[np.ndarray, Sample], np.ndarray]


def cut_batches(samples: Sequence[Sample], batch_size: int) -> list[Sequence[Sample]]:
    """The samples in batches, in their order; the last one may be smaller."""
    return [samples[start : start + batch_size] for start in range(0, len(samples), batch_size)]


class _Loading:
    """A batch that is being filled, by several threads at once (decoders release the lock)."""

    def __init__(
        self,
        pool: Executor,
        parts: int,
        samples: Sequence[Sample],
        decoded: DecodedPictures | None,
        pin: bool,
        change: Change | None,
    ):
        self.samples = samples
        self.images = torch.empty((len(samples), SIZE, SIZE, 3), dtype=torch.uint8, pin_memory=pin)
        pixels = self.images.numpy()

        def fill(rows: range) -> list[int]:
            """The rows whose pictures cannot be decoded."""
            bad = []
            with decoded.open() if decoded else nullcontext() as file:
                for row in rows:
                    path = samples[row].path
                    try:
                        if decoded is None:
                            pixels[row] = load_image(path)
                        else:
                            decoded.read(file, path, pixels[row])
                        if change:
                            pixels[row] = change(pixels[row], samples[row])
                    except Exception:
                        bad.append(row)
            return bad

        self.parts = [pool.submit(fill, range(part, len(samples), parts)) for part in range(parts)]

    def finish(self) -> Batch:
        bad = {row for part in self.parts for row in part.result()}
        rows = [row for row in range(len(self.samples)) if row not in bad]
        images = self.images[rows] if bad else self.images
        good = tuple(self.samples[row] for row in rows)
        labels = torch.tensor([sample.label for sample in good], dtype=torch.int64)
        left = tuple(self.samples[row] for row in sorted(bad))
        return Batch(images.permute(0, 3, 1, 2), labels, good, left, tuple(rows))


def load_batches(
    batches: Iterable[Sequence[Sample]],
    workers: int,
    decoded: DecodedPictures | None = None,
    pin: bool = False,
    change: Change | None = None,
) -> Iterator[Batch]:
    """Load batches of samples in their order, AHEAD of them in advance.

    Args:
        batches: the samples of each batch.
        workers: threads.
        decoded: where their pixels are already; decoded from the files otherwise.
        pin: put the images where a GPU can fetch them by itself.
        change: gives another picture (224, 224, 3) uint8 for that of a sample.
    """
    waiting = iter(batches)
    pool = ThreadPoolExecutor(workers)
    try:
        loading = deque(
            _Loading(pool, workers, samples, decoded, pin, change)
            for samples in itertools.islice(waiting, AHEAD)
        )
        while loading:
            batch = loading.popleft().finish()
            for samples in itertools.islice(waiting, 1):
                loading.append(_Loading(pool, workers, samples, decoded, pin, change))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)
