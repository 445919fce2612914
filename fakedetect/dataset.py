"""Resized folders -> labelled samples -> batches; the train/validation split."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fakedetect.bad_list import read_bad_images
from fakedetect.errors import UserError
from fakedetect.folders import class_folders, source_of
from fakedetect.images import list_images, open_image, to_rgb_or_grey
from fakedetect.settings import Settings

SIZE = 224


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

    `bad` are the samples that could not be decoded; they have no row in the tensors.
    """

    images: torch.Tensor
    labels: torch.Tensor
    samples: tuple[Sample, ...]
    bad: tuple[Sample, ...]

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
            if path in listed or original / inside in listed:
                left_out += 1
            else:
                samples.append(Sample(path, label, source_of(path, class_folder)))
    if len({sample.label for sample in samples}) < 2:
        raise UserError(f"{folder} holds no usable pictures of one class. Scan and resize again.")
    return Dataset(folder, tuple(samples), left_out)


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


def load_image(path: Path) -> np.ndarray:
    """A picture as (224, 224, 3) uint8; one of another size is resized.

    Raises:
        Exception: whatever its decoder raises.
    """
    with open_image(path) as opened:
        image = to_rgb_or_grey(opened).convert("RGB")
    if image.size != (SIZE, SIZE):
        image = image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _load_batch(samples: Sequence[Sample]) -> Batch:
    good: list[Sample] = []
    bad: list[Sample] = []
    images = np.empty((len(samples), SIZE, SIZE, 3), np.uint8)
    for sample in samples:
        try:
            images[len(good)] = load_image(sample.path)
            good.append(sample)
        except Exception:
            bad.append(sample)
    tensor = torch.from_numpy(images[: len(good)]).permute(0, 3, 1, 2)
    labels = torch.tensor([sample.label for sample in good], dtype=torch.int64)
    return Batch(tensor, labels, tuple(good), tuple(bad))


def load_batches(samples: Sequence[Sample], batch_size: int, workers: int) -> Iterator[Batch]:
    """Batches in the order of the samples, read ahead by threads (decoders release the lock)."""
    chunks = iter(samples[start : start + batch_size] for start in range(0, len(samples), batch_size))
    stop = threading.Event()

    def load(chunk: Sequence[Sample]) -> Batch | None:
        return None if stop.is_set() else _load_batch(chunk)

    with ThreadPoolExecutor(workers) as pool:
        ahead = deque(
            pool.submit(load, chunk) for _, chunk in zip(range(workers + 1), chunks, strict=False)
        )
        try:
            while ahead:
                batch = ahead.popleft().result()
                if (chunk := next(chunks, None)) is not None:
                    ahead.append(pool.submit(load, chunk))
                if batch is not None:
                    yield batch
        finally:
            stop.set()
