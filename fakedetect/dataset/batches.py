"""Load batches of decoded pictures, prefetched by threads."""

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
from fakedetect.dataset.samples import Sample, UnreadableSample

BATCHES_AHEAD = 3
"""Number of prefetched batches; limits the memory."""

FIRST_BATCH_SIZE = 8
"""Size of the first of growing batches, in pictures."""

PixelChange = Callable[[np.ndarray, Sample], np.ndarray]


@dataclass(frozen=True)
class Batch:
    """Decoded pictures: images (B, 3, S, S) uint8, labels (B,) int64, and their samples.

    `bad` has the samples that could not be decoded; they have no row in the tensors. `places` are the
    indices of `samples` in the requested batch.
    """

    images: torch.Tensor
    labels: torch.Tensor
    samples: tuple[Sample, ...]
    bad: tuple[UnreadableSample, ...]
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.samples) + len(self.bad)


def cut_batches(samples: Sequence[Sample], batch_size: int) -> list[Sequence[Sample]]:
    """Cut samples into batches, in their order; the last one may be smaller."""
    return [samples[start : start + batch_size] for start in range(0, len(samples), batch_size)]


def cut_growing_batches(samples: Sequence[Sample], batch_size: int) -> list[Sequence[Sample]]:
    """Cut samples into batches that grow from FIRST_BATCH_SIZE to batch_size, for early results."""
    batches, start, size = [], 0, min(FIRST_BATCH_SIZE, batch_size)
    while start < len(samples):
        batches.append(samples[start : start + size])
        start, size = start + size, min(2 * size, batch_size)
    return batches


@dataclass(frozen=True)
class _Loading:
    """A batch that threads are filling: its images (B, S, S, 3) uint8, and each thread's faults by row."""

    samples: Sequence[Sample]
    images: torch.Tensor
    parts: list[Future[dict[int, str]]]

    def finish(self) -> Batch:
        faults = {row: reason for part in self.parts for row, reason in part.result().items()}
        rows = [row for row in range(len(self.samples)) if row not in faults]
        images = self.images[rows] if faults else self.images
        good = tuple(self.samples[row] for row in rows)
        labels = torch.tensor([sample.label for sample in good], dtype=torch.int64)
        bad = tuple(UnreadableSample(self.samples[row], reason) for row, reason in sorted(faults.items()))
        return Batch(
            images=images.permute(0, 3, 1, 2), labels=labels, samples=good, bad=bad, places=tuple(rows)
        )


def _fill(
    samples: Sequence[Sample],
    pixels: np.ndarray,
    rows: range,
    scaling: Scaling,
    decoded: DecodedPictures | None,
    change: PixelChange | None,
) -> dict[int, str]:
    """Decode the pictures of some rows into `pixels` (B, S, S, 3) uint8.

    Returns:
        The reasons of the pictures that cannot be decoded, by row.
    """
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
    """Decode a picture into `pixels` (S, S, 3) uint8; return why it cannot be used, or None."""
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
    change: PixelChange | None = None,
) -> Iterator[Batch]:
    """Load batches of samples in their order, and prefetch the next BATCHES_AHEAD.

    Args:
        batches: the samples of each batch.
        workers: threads.
        scaling: the target size and filter; pictures of another size are scaled.
        decoded: pixels that are already decoded; None decodes the files.
        pin: use pinned memory, from which a GPU copies asynchronously.
        change: takes a sample's picture (S, S, 3) uint8 and returns the changed one.
    """
    waiting = iter(batches)
    pool = ThreadPoolExecutor(workers)

    def begin(count: int) -> Iterator[_Loading]:
        """Start loading the next batches, each with all threads (decoders release the GIL)."""
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
        loading = deque(begin(BATCHES_AHEAD))
        while loading:
            batch = loading.popleft().finish()
            loading.extend(begin(1))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)
