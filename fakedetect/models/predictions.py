"""Predictions of a detector for samples and for pictures, in batches."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from fakedetect.core.errors import UserError
from fakedetect.core.processes.pool import map_images
from fakedetect.core.records.training import TrainingRecord
from fakedetect.core.settings.model_folder import checkpoint_file, is_probe
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console
from fakedetect.dataset.batches import Batch, cut_growing_batches, load_batches
from fakedetect.dataset.decoded import DecodedPictures, load_or_explain
from fakedetect.dataset.folders import check_folders_apart
from fakedetect.dataset.samples import (
    Dataset,
    Sample,
    collect_faults,
    find_originals,
    hash_names,
    load_dataset,
    load_probe_dataset,
    split_dataset,
)
from fakedetect.images.degradations import Degradation
from fakedetect.images.views import View, ViewRequest, in_batches, load_view
from fakedetect.models.detector import Detector, refuse_nan
from fakedetect.models.openvino.engine import Engine


def load_pictures(settings: Settings, part: str) -> Dataset:
    """Return the samples of the resized folder 'train' or 'test'; of the originals for a probe without it.

    Raises:
        UserError: the folder, a class or its pictures are missing, or folders of the dataset overlap.
    """
    check_folders_apart(settings)
    load = load_probe_dataset if is_probe(checkpoint_file(settings)) else load_dataset
    return load(settings, part)


def find_validation_samples(settings: Settings, training: TrainingRecord) -> list[Sample]:
    """Return the pictures that the model was validated on, and not trained on.

    Seed and share come from the run's training.json; for a checkpoint without one, from the settings.

    Raises:
        UserError: the training pictures have changed since, so the split is unknown.
    """
    data, split = training.data, training.split
    dataset = load_dataset(settings, "train", (data.leave_out if data else None) or "")
    share, seed = settings.training.validation_share, settings.training.seed
    if data and split:
        share = share if split.validation_share is None else split.validation_share
        seed = seed if training.seed is None else training.seed
        same = (
            data.count == len(dataset.samples)
            if data.pictures is None
            else data.pictures == hash_names(dataset)
        )
        if not same:
            raise UserError(
                f"The pictures in {dataset.folder}, or your review of them, have changed since "
                f"{settings.model} was trained, so its validation pictures are unknown. Restore the old "
                "ones, or train again."
            )
    return split_dataset(dataset, share, seed)[1]


def load_test_copies(detector: Detector, paths: Sequence[Path]) -> dict[Path, np.ndarray | str]:
    """Map pictures of the resized test folder to the copy (S, W, 3) uint8 that `test` uses, or to a reason.

    The copy is the file itself; a probe makes its own from the original.
    """
    settings = detector.settings
    if not detector.is_probe:
        load = partial(load_or_explain, scaling=settings.recipe.input.scaling)
        return dict(map_images(load, paths, settings.workers))
    originals = find_originals(settings, "test", paths)
    looks = [ViewRequest(path, (detector.kind,)) for path in dict.fromkeys(originals)]
    views = {look.path: view for look, view in map_images(load_view, looks, settings.workers)}
    found = {path: views[original] for path, original in zip(paths, originals, strict=True)}
    return {path: view if isinstance(view, str) else view.images[0][0] for path, view in found.items()}


def predict_batches(
    settings: Settings,
    console: Console,
    engine: Engine,
    samples: Sequence[Sample],
    label: str,
    decoded: DecodedPictures | None = None,
) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Yield each batch with its logits (B, 2) on the CPU, without shuffling or augmentation."""
    batches = load_batches(
        cut_growing_batches(samples, settings.recipe.batch_size),
        settings.workers,
        settings.recipe.input.scaling,
        decoded,
        pin=engine.pin,
    )
    for batch in console.track(batches, len(samples), label, len):
        if not batch.samples:
            yield batch, torch.empty(0, 2)
            continue
        yield batch, torch.from_numpy(engine(batch.images.permute(0, 2, 3, 1).numpy()))


def predict_samples(
    detector: Detector,
    console: Console,
    samples: Sequence[Sample],
    label: str,
    part: str = "test",
    decoded: DecodedPictures | None = None,
) -> tuple[list[Sample], np.ndarray, dict[Path, str]]:
    """Return the readable samples, their margins (N,), and the reasons for unreadable ones by path.

    A probe makes its own copies of the originals, so that one encoder has written all of them.

    Args:
        part: the resized folder of the samples, 'train' or 'test'.
        decoded: the cache of their pixels.
    """
    if detector.is_probe:
        originals = find_originals(detector.settings, part, [sample.path for sample in samples])
        margins, unread = predict_pictures(detector, console, originals, label)
        pairs = list(zip(samples, originals, strict=True))
        read = [(sample, path) for sample, path in pairs if path in margins]
        found = np.array([margins[path][0] for _, path in read])
        bad = {sample.path: unread[path] for sample, path in pairs if path in unread}
        return [sample for sample, _ in read], found, bad
    read_samples: list[Sample] = []
    bad = {}
    of_batches: list[np.ndarray] = []
    for batch, logits in predict_batches(
        detector.settings, console, detector.engine, samples, label, decoded
    ):
        read_samples += batch.samples
        bad |= collect_faults(batch.bad)
        of_batches.append((logits[:, 0].double() - logits[:, 1].double()).numpy())
    found = np.concatenate(of_batches) if of_batches else np.empty(0)
    refuse_nan(found, detector.settings)
    return read_samples, found, bad


def predict_pictures(
    detector: Detector,
    console: Console,
    paths: Sequence[Path],
    label: str,
    degradations: tuple[Degradation, ...] = (),
) -> tuple[dict[Path, np.ndarray], dict[Path, str]]:
    """Return the margins (1 + D,) of each readable picture, and the reasons for the unreadable ones.

    The first margin is that of the picture, the others those after each degradation. Copies are made in
    memory.
    """
    looks = (ViewRequest(path, (detector.kind,), degradations) for path in dict.fromkeys(paths))
    views = map_images(load_view, looks, detector.settings.workers)
    found: dict[Path, np.ndarray] = {}
    bad: dict[Path, str] = {}
    size = max(1, detector.settings.recipe.batch_size // (1 + len(degradations)))
    for batch in in_batches(console.track(views, len(set(paths)), label), size):
        bad |= {look.path: view for look, view in batch if isinstance(view, str)}
        seen = [(look.path, view) for look, view in batch if isinstance(view, View)]
        if seen:
            margins = detector.margins(np.concatenate([view.images[0] for _, view in seen]))
            found.update(zip((path for path, _ in seen), margins.reshape(len(seen), -1), strict=True))
    return found, bad
