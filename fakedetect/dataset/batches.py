"""Samples -> batches of pixels, loaded ahead by threads."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from fakedetect.core.recipes import SIZE
from fakedetect.dataset.decoded import DecodedPictures, load_image
from fakedetect.dataset.samples import Sample

AHEAD = 3
"""Batches that are loaded in advance; bounds the memory."""

Change = Callable[[np.ndarray, Sample], np.ndarray]


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
