"""Retrain a model without one source and test it on that source (`train --leave-out`)."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.files import run_lock
from fakedetect.core.records.evaluation import (
    Accuracy,
    LeftOut,
    Measure,
    read_or_create_evaluation,
    write_evaluation,
)
from fakedetect.core.records.record import Record
from fakedetect.core.records.training import TrainingRecord
from fakedetect.core.settings.model_folder import (
    EVALUATION,
    TRAINING,
    checkpoint_file,
    features_file,
    name_without,
    require_checkpoint,
)
from fakedetect.core.settings.recipes import CLASSES, METHODS, OPTIMIZERS, PROBE, ROBUST, ROBUST_REMOVED
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome, printable
from fakedetect.dataset.samples import Sample, describe_faults
from fakedetect.metrics.intervals import measure_auc, measure_share
from fakedetect.models.detector import Detector, load_detector
from fakedetect.models.predictions import load_pictures, predict_samples
from fakedetect.models.processes import Group
from fakedetect.testing.results import describe_gap, describe_left_out_source
from fakedetect.training.probe import train_probe
from fakedetect.training.run import plan_further_run, train_model
from fakedetect.training.unfinished import unfinished_file


def find_sources(settings: Settings) -> list[str]:
    """Return the sources that can be left out of the chosen model's training.

    There are none if the model is not trained or its pictures are missing.
    """
    if unfinished_file(settings.model_folder).is_file() or not checkpoint_file(settings).is_file():
        return []
    try:
        train, test = (load_pictures(settings, part).samples for part in ("train", "test"))
    except UserError:
        return []
    fakes, reals = ({sample.source for sample in train if sample.label == label} for label in (0, 1))
    of_several = {source for found in (fakes, reals) if len(found) > 1 for source in found}
    return sorted((of_several - (fakes & reals)) & {sample.source for sample in test} - {""})


def train_held_out(settings: Settings, console: Console, source: str) -> Outcome:
    """Retrain the chosen model without a source, in a sub-folder of its own, and test it on that source.

    The figures are written into the model's evaluation.json.

    Raises:
        UserError: the model is not trained, or the source does not exist or is the only one of its class.
    """
    require_checkpoint(settings)
    # source_of() returns NFC; the user may have typed another form.
    source = unicodedata.normalize("NFC", source)
    file = settings.model_folder / EVALUATION
    with run_lock(settings.model_folder):
        detector = load_detector(settings, console)
        again = settings.command("evaluate")
        earlier = read_or_create_evaluation(file, detector.name, detector.checkpoint_hash, again)
        entry, faults = _evaluate_without(detector, console, source)
        left_out = {**earlier.left_out, printable(source): entry}
        write_evaluation(file, msgspec.structs.replace(earlier, left_out=left_out))
    lines = [
        *describe_faults(faults),
        f"Results: {file}",
        *_describe(detector.name, printable(source), entry),
    ]
    return Outcome("\n".join(lines), 1 if faults else 0)


def _make_reduced_settings(settings: Settings, training: TrainingRecord, source: str) -> Settings:
    """Return the settings that training.json records for the model, for a run without a source.

    The run's folder is inside the model's.
    """
    then = training.recipe or settings.recipe
    if then.method == ROBUST:
        raise UserError(f"{settings.model} was trained by the robust recipe. {ROBUST_REMOVED}")
    if then.optimizer not in OPTIMIZERS or then.method not in METHODS:
        raise UserError(
            f"{settings.model_folder / TRAINING} names the optimizer {then.optimizer!r} and the recipe "
            f"{then.method!r}; one of them is unknown. Correct it, or train again."
        )
    way = ("method", "batch_size", "optimizer", "learning_rate", "weight_decay")
    options = _get_set_fields(training, ("seed", "max_epochs", "patience"))
    options |= _get_set_fields(training.run, ("balance", "degrade")) if training.run else {}
    as_then = replace(settings.training, **options)
    folder = settings.model_folder / name_without(source)
    return replace(settings.with_recipe(**_get_set_fields(then, way)), training=as_then, folder=folder)


def _get_set_fields(record: Record, names: Iterable[str]) -> dict[str, Any]:
    """Return those of the named fields that are not None."""
    values = ((name, getattr(record, name)) for name in names)
    return {name: value for name, value in values if value is not None}


def _train_without(settings: Settings, console: Console, source: str) -> None:
    """Train without the source, unless an earlier run with the same data and recipe did.

    Only this process trains: others that torchrun started may have ended.
    """
    plan = plan_further_run(settings, source)
    if plan is None:
        console.note(f"Trained without {printable(source)} before")
    elif settings.recipe.method == PROBE:
        # Both runs need the same features.
        train_probe(settings, console, source, features_file(settings.model_folder.parent), alone=True)
    elif train_model(settings, console, replace(plan, group=Group())).stopped:
        raise KeyboardInterrupt


def _evaluate_without(
    detector: Detector, console: Console, source: str
) -> tuple[LeftOut, Mapping[Path, str]]:
    """Return the figures with and without the source, and the reasons of the unreadable pictures."""
    settings = detector.settings
    train, test = (load_pictures(settings, part).samples for part in ("train", "test"))
    label = _find_label(source, train, test)
    reduced = _make_reduced_settings(settings, detector.training, source)
    with run_lock(reduced.model_folder):
        _train_without(reduced, console, source)
    pictures = sorted(
        (sample for sample in test if sample.source == source or sample.label != label),
        key=lambda sample: sample.source != source,
    )
    read, margins, bad = predict_samples(
        load_detector(reduced, console), console, pictures, f"test without {printable(source)}"
    )
    read_with, margins_with, _ = predict_samples(detector, console, pictures, "test with it")
    count, right, roc_auc = _measure_source(read, margins, source)
    _, right_with, roc_auc_with = _measure_source(read_with, margins_with, source)
    entry = LeftOut(
        label=CLASSES[label],
        count=count,
        right=right,
        roc_auc=roc_auc,
        right_with=right_with.value,
        roc_auc_with=roc_auc_with.value,
    )
    return entry, bad


def _find_label(source: str, train: Sequence[Sample], test: Sequence[Sample]) -> int:
    """Return the label of a source that can be left out.

    Raises:
        UserError: it cannot be left out.
    """
    of_source = [sample for sample in test if sample.source == source]
    known = sorted({sample.source for sample in train if sample.source})
    if source not in known or not of_source:
        raise UserError(
            f"No source {source!r} in both the training and the test pictures. The sources are the "
            f"sub-folders of the class folders: {', '.join(map(printable, known)) or 'none'}."
        )
    label = of_source[0].label
    if any(sample.source == source and sample.label != label for sample in (*train, *test)):
        raise UserError(f"{printable(source)} is a source of both classes. Rename one of its two folders.")
    if all(sample.source == source for sample in train if sample.label == label):
        raise UserError(
            f"{printable(source)} is the only source of {CLASSES[label]} pictures: without it there is "
            "nothing left to train on. Leave out another source."
        )
    return label


def _measure_source(
    samples: Sequence[Sample], margins: np.ndarray, source: str
) -> tuple[int, Accuracy, Measure]:
    """Return a source's count of readable pictures, accuracy, and ROC AUC against the other class.

    Args:
        samples: the pictures of the source and of the other class, with margins (N,).

    Raises:
        UserError: none of its pictures can be read.
    """
    is_fake = np.array([sample.label == 0 for sample in samples], bool)
    mine = np.array([sample.source == source for sample in samples], bool)
    count = int(mine.sum())
    if not count:
        raise UserError(
            f"None of the test pictures of {printable(source)} can be read. Scan and resize again."
        )
    right = measure_share(int(((margins >= 0) == is_fake)[mine].sum()), count)
    return count, Accuracy(**msgspec.structs.asdict(right)), measure_auc(is_fake, margins)


def _describe(model: str, source: str, entry: LeftOut) -> list[str]:
    other = CLASSES[1 - CLASSES.index(entry.label)]
    return [
        f"{model}, trained without {source}, on its test pictures (ROC AUC: against all {other} ones)",
        describe_left_out_source(source, entry),
        *describe_gap(
            entry.roc_auc_with,
            entry.roc_auc,
            "when it was never seen",
            f"on {source} after training on it",
        ),
    ]
