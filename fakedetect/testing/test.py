"""Options 3.2 and 3.3: predictions on a whole dataset, the report, the confusion matrix."""

import itertools
import time
from collections import ChainMap
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn import metrics

from fakedetect.core.errors import UserError
from fakedetect.core.files import run_lock, write_text
from fakedetect.core.records.evaluation import ClassResult, ClassResults, TestResults
from fakedetect.core.records.record import write_record
from fakedetect.core.settings.model_folder import (
    confusion_figure,
    model_hash,
    predictions_file,
    require_checkpoint,
    results_file,
)
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.settings.settings import Settings
from fakedetect.core.settings.trained_input import as_trained, read_own_training
from fakedetect.core.terminal.console import Console, Outcome, plural, printable
from fakedetect.core.terminal.progress import percent
from fakedetect.dataset.decoded import decode_pictures
from fakedetect.dataset.samples import Sample, describe_faults, warn_about_skipped
from fakedetect.metrics.calibration import UNCALIBRATED
from fakedetect.models.detector import load_detector
from fakedetect.models.predictions import load_pictures, predict_samples
from fakedetect.models.processes import Group, is_first, join_group
from fakedetect.testing.results import describe_one_sided, format_predictions, write_confusion_figure


@dataclass(frozen=True)
class Predictions:
    """Samples with p_fake (N,), labels (N,) and predicted (N,); 0 is fake, 1 is real.

    `bad` has the reasons of unreadable pictures.
    """

    samples: tuple[Sample, ...]
    p_fake: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    bad: dict[Path, str]
    left_out: int
    parameters: int
    images_per_second: float


@dataclass(frozen=True)
class TestRun:
    """A test: the record of its results, and its predictions."""

    results: TestResults
    predictions: Predictions


def predict(settings: Settings, console: Console, part: str, group: Group) -> Predictions:
    """Run the chosen model on the resized folder 'train' or 'test', in every process.

    Args:
        settings: with the input of its training.
    """
    dataset = load_pictures(settings, part)
    warn_about_skipped(dataset, console)
    detector = load_detector(settings, console)
    parameters = sum(parameter.numel() for parameter in detector.model.parameters())
    paths = [sample.path for sample in dataset.samples]
    decoded = None
    if not detector.is_probe:
        scaling = settings.recipe.input.scaling
        decoded = decode_pictures(dataset.folder, paths, console, settings.workers, scaling)
    group.wait()
    start = time.monotonic()
    own = group.part_of(dataset.samples)
    read, own_margins, bad = predict_samples(detector, console, own, part, part, decoded)
    found = list(zip(read, own_margins.tolist(), strict=True))
    places = {path: place for place, path in enumerate(paths)}
    everything = sorted(itertools.chain(*group.gather(found)), key=lambda pair: places[pair[0].path])
    if not everything:
        raise UserError(f"None of the pictures in {dataset.folder} can be read. Resize them again.")
    margins = np.array([margin for _, margin in everything])
    return Predictions(
        samples=tuple(sample for sample, _ in everything),
        p_fake=UNCALIBRATED.probability(margins),
        labels=np.array([sample.label for sample, _ in everything]),
        predicted=np.where(margins >= 0, 0, 1),
        bad=dict(ChainMap(*group.gather(bad))),
        left_out=dataset.left_out,
        parameters=parameters,
        images_per_second=len(everything) / (time.monotonic() - start),
    )


def build_results(settings: Settings, part: str, found: Predictions, checkpoint: str) -> TestResults:
    """Build the record of a test.

    Args:
        checkpoint: the model_hash() of the tested model.
    """
    matrix = metrics.confusion_matrix(found.labels, found.predicted, labels=(0, 1))
    scores = metrics.precision_recall_fscore_support(
        found.labels, found.predicted, labels=(0, 1), zero_division=0
    )
    fake, real = (
        ClassResult(precision=float(p), recall=float(r), f1=float(f1), support=int(support))
        for p, r, f1, support in zip(*scores, strict=True)
    )
    both = len(set(found.labels.tolist())) == 2
    is_fake = found.labels == 0
    return TestResults(
        model=settings.model,
        checkpoint=checkpoint,
        on=part,
        folder=printable(settings.resized[part]),
        count=len(found.samples),
        left_out=found.left_out + len(found.bad),
        accuracy=float((found.labels == found.predicted).mean()),
        classes=ClassResults(fake=fake, real=real),
        confusion_matrix=(
            (int(matrix[0, 0]), int(matrix[0, 1])),
            (int(matrix[1, 0]), int(matrix[1, 1])),
        ),
        roc_auc=float(metrics.roc_auc_score(is_fake, found.p_fake)) if both else None,
        # Rounding errors may make a perfect score a little larger than 1.
        average_precision=(
            min(1.0, float(metrics.average_precision_score(is_fake, found.p_fake))) if both else None
        ),
        parameters=found.parameters,
        images_per_second=round(found.images_per_second, 2),
    )


def measure_folder(settings: Settings, console: Console, part: str, group: Group) -> TestRun:
    """Test the chosen model on the resized folder 'train' or 'test', in every process of a group.

    Raises:
        UserError: the model is not trained, or no picture can be read.
    """
    require_checkpoint(settings)
    checkpoint = model_hash(settings)
    settings = as_trained(settings, read_own_training(settings, checkpoint))
    found = predict(settings, console, part, group)
    return TestRun(build_results(settings, part, found, checkpoint), found)


def write_test(settings: Settings, run: TestRun) -> None:
    """Write a test's results, predictions and confusion matrix into the model's folder.

    Raises:
        UserError: the checkpoint was replaced, or the folder cannot be written to.
    """
    results, found, folder = run.results, run.predictions, settings.model_folder
    if model_hash(settings) != results.checkpoint:
        raise UserError(
            f"{require_checkpoint(settings)} was replaced during the test, so the results belong to "
            "neither model. Test again."
        )
    table = format_predictions(found.samples, found.predicted, found.p_fake)
    write_text(predictions_file(folder, results.on), table)
    write_record(results_file(folder, results.on), results)
    title = f"{results.model} on the {results.on} dataset"
    write_confusion_figure(results.confusion_matrix, CLASSES, title, confusion_figure(folder, results.on))


def test_model(settings: Settings, console: Console, on: str = "test") -> TestRun | None:
    """Test the model on the resized folder 'train' or 'test', and write the results into its folder.

    Returns:
        None in all processes but the first.

    Raises:
        UserError: the model is not trained or was replaced meanwhile, or no picture can be read.
    """
    # Before the lock, which would create the folder of a model that was never trained.
    require_checkpoint(settings)
    with run_lock(settings.model_folder) if is_first() else nullcontext():
        with join_group() as group:
            run = measure_folder(settings, console, on, group)
        if not group.first:
            return None
        write_test(settings, run)
    return run


def run_test(settings: Settings, console: Console, on: str = "test") -> Outcome:
    """Predict a whole dataset, show the classification report and write the results."""
    run = test_model(settings, console, on)
    return _describe_run(settings, run) if run else Outcome("")


def _describe_run(settings: Settings, run: TestRun) -> Outcome:
    """Return the results for the screen, with the classification report."""
    results, found, folder = run.results, run.predictions, settings.model_folder
    matrix = results.confusion_matrix
    wrong = matrix[0][1] + matrix[1][0]
    answers = ["--answers", *([results.on] if results.on != "test" else [])]
    report = metrics.classification_report(
        found.labels, found.predicted, labels=(0, 1), target_names=CLASSES, zero_division=0
    )
    lines = [
        f"{results.model} on the {results.on} dataset: {plural(results.count, 'image')}"
        + (f", {plural(results.left_out, 'bad picture')} skipped" if results.left_out else ""),
        "Classification report:",
        report,
        "Confusion matrix (rows: true, columns: predicted):",
        f"{'':>8}{CLASSES[0]:>8}{CLASSES[1]:>8}",
        *(f"{name:>8}{row[0]:>8}{row[1]:>8}" for name, row in zip(CLASSES, matrix, strict=True)),
        *describe_faults(found.bad),
        f"Results: {results_file(folder, results.on)} and {confusion_figure(folder, results.on).name}",
        *([f"To look at the wrong answers: {settings.command('review', *answers)}"] if wrong else []),
        *describe_one_sided(matrix),
        f"{plural(matrix[0][1], 'fake')} classified as real, {matrix[1][0]:,} real classified as fake",
        f"Accuracy: {percent(results.accuracy, 2)}",
    ]
    return Outcome("\n".join(lines), 1 if found.bad else 0)
