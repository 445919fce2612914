"""Samples -> batches of pixels, loaded ahead by threads."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fakedetect.core.settings.model_input import Scaling
from fakedetect.dataset.decoded import DecodedPictures, load_or_explain
from fakedetect.dataset.samples import Sample, Unreadable

AHEAD = 3
"""Batches that are loaded in advance; bounds the memory."""

FIRST = 8
"""Pictures in the first of growing batches."""

Change = Callable[[np.ndarray, Sample], np.ndarray]


@dataclass(frozen=True)
class Batch:
    """Decoded pictures: images (B, 3, S, S) uint8, labels (B,) int64, and their samples.

    `bad` are the samples that could not be decoded; they have no row in the tensors. `places` are
    those of the `samples` among all that were asked for.
    """

    images: torch.Tensor
    labels: torch.Tensor
    samples: tuple[Sample, ...]
    bad: tuple[Unreadable, ...]
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.samples) + len(self.bad)


def cut_batches(samples: Sequence[Sample], batch_size: int) -> list[Sequence[Sample]]:
    """The samples in batches, in their order; the last one may be smaller."""
    return [samples[start : start + batch_size] for start in range(0, len(samples), batch_size)]


def cut_growing(samples: Sequence[Sample], batch_size: int) -> list[Sequence[Sample]]:
    """The samples in batches that grow from FIRST up to batch_size, so that the first answers come soon."""
    batches, start, size = [], 0, min(FIRST, batch_size)
    while start < len(samples):
        batches.append(samples[start : start + size])
        start, size = start + size, min(2 * size, batch_size)
    return batches


@dataclass(frozen=True)
class _Loading:
    """A batch that is being filled: its images (B, S, S, 3) uint8, and from each thread the rows whose
    pictures cannot be decoded, with the reason."""

    samples: Sequence[Sample]
    images: torch.Tensor
    parts: list[Future[dict[int, str]]]

    def finish(self) -> Batch:
        faults = {row: reason for part in self.parts for row, reason in part.result().items()}
        rows = [row for row in range(len(self.samples)) if row not in faults]
        images = self.images[rows] if faults else self.images
        good = tuple(self.samples[row] for row in rows)
        labels = torch.tensor([sample.label for sample in good], dtype=torch.int64)
        bad = tuple(Unreadable(self.samples[row], reason) for row, reason in sorted(faults.items()))
        return Batch(
            images=images.permute(0, 3, 1, 2), labels=labels, samples=good, bad=bad, places=tuple(rows)
        )


def _fill(
    samples: Sequence[Sample],
    pixels: np.ndarray,
    rows: range,
    scaling: Scaling,
    decoded: DecodedPictures | None,
    change: Change | None,
) -> dict[int, str]:
    """Put the pictures of some rows into `pixels` (B, S, S, 3) uint8; the rows where that fails, with the
    reason."""
    faults = {}
    with decoded.open() if decoded else nullcontext() as file:
        for row in rows:
            path = samples[row].path
            if decoded is not None and file is not None:
                reason = decoded.read(file, path, pixels[row])
            else:
                reason = _decode(path, scaling, pixels[row])
            if reason is not None:
                faults[row] = reason
            elif change:
                pixels[row] = change(pixels[row], samples[row])
    return faults


def _decode(path: Path, scaling: Scaling, pixels: np.ndarray) -> str | None:
    """Put a picture's pixels into `pixels` (S, S, 3) uint8; why it cannot be used, or None."""
    found = load_or_explain(path, scaling)
    if isinstance(found, str):
        return found
    pixels[:] = found
    return None


def load_batches(
    batches: Iterable[Sequence[Sample]],
    workers: int,
    scaling: Scaling,
    decoded: DecodedPictures | None = None,
    pin: bool = False,
    change: Change | None = None,
) -> Iterator[Batch]:
    """Load batches of samples in their order, AHEAD of them in advance.

    Args:
        batches: the samples of each batch.
        workers: threads.
        scaling: how their pictures are scaled; those that are not are.
        decoded: where their pixels are already; decoded from the files otherwise.
        pin: put the images where a GPU can fetch them by itself.
        change: gives another picture (S, S, 3) uint8 for that of a sample.
    """
    waiting = iter(batches)
    pool = ThreadPoolExecutor(workers)

    def begin(count: int) -> Iterator[_Loading]:
        """Begin to load the next batches, each by all threads at once (decoders release the lock)."""
        for samples in itertools.islice(waiting, count):
            shape = (len(samples), scaling.size, scaling.size, 3)
            images = torch.empty(shape, dtype=torch.uint8, pin_memory=pin)
            pixels = images.numpy()
            parts = [range(part, len(samples), workers) for part in range(workers)]
            filling = [
                pool.submit(_fill, samples, pixels, rows, scaling, decoded, change) for rows in parts
            ]
            yield _Loading(samples, images, filling)

    try:
        loading = deque(begin(AHEAD))
        while loading:
            batch = loading.popleft().finish()
            loading.extend(begin(1))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)
