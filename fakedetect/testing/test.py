"""Options 3.2 and 3.3: predictions on a whole data set, the report, the confusion matrix."""

import csv
import io
import itertools
import time
from collections import ChainMap
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn import metrics

from fakedetect.core.console import Console, Outcome, plural
from fakedetect.core.errors import UserError
from fakedetect.core.files import run_lock, write_json, write_text
from fakedetect.core.model_folder import model_hash, require_checkpoint
from fakedetect.core.recipes import CLASSES
from fakedetect.core.settings import Settings
from fakedetect.dataset.decoded import decode_all
from fakedetect.dataset.samples import Sample, describe_faults, faults_of, load_dataset
from fakedetect.models.detector import load_detector, refuse_nan
from fakedetect.models.devices import predict_batches, softmax_fake
from fakedetect.models.processes import Group, is_first, join_group
from fakedetect.testing.figures import draw_confusion_matrix


@dataclass(frozen=True)
class Predictions:
    """Samples with p_fake (N,), labels (N,) and predicted (N,) of 0 fake, 1 real.

    `bad` has the reasons of the unreadable ones.
    """

    samples: tuple[Sample, ...]
    p_fake: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    bad: dict[Path, str]
    left_out: int
    parameters: int
    images_per_second: float


def predict(settings: Settings, console: Console, part: str, group: Group) -> Predictions:
    """The chosen model's predictions on the resized folder 'train' or 'test', in every process."""
    dataset = load_dataset(settings, part)
    detector = load_detector(settings)
    model = detector.model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    workers = settings.workers
    decoded = decode_all(dataset.folder, [sample.path for sample in dataset.samples], console, workers)
    group.wait()
    start = time.monotonic()
    own = group.share(dataset.samples)
    found: list[tuple[Sample, np.ndarray]] = []
    bad: dict[Path, str] = {}
    for batch, logits in predict_batches(settings, console, model, detector.dtype, own, part, decoded):
        found += zip(batch.samples, logits.numpy(), strict=True)
        bad |= faults_of(batch.bad)
    places = {sample.path: place for place, sample in enumerate(dataset.samples)}
    everything = sorted(itertools.chain(*group.gather(found)), key=lambda pair: places[pair[0].path])
    if not everything:
        raise UserError(f"None of the pictures in {dataset.folder} can be read. Resize them again.")
    all_logits = torch.from_numpy(np.stack([logits for _, logits in everything]))
    refuse_nan(all_logits.numpy(), settings)
    return Predictions(
        tuple(sample for sample, _ in everything),
        softmax_fake(all_logits),
        np.array([sample.label for sample, _ in everything]),
        all_logits.argmax(1).numpy(),
        dict(ChainMap(*group.gather(bad))),
        dataset.left_out,
        parameters,
        len(everything) / (time.monotonic() - start),
    )


def _summarise(settings: Settings, part: str, found: Predictions, answering: str) -> dict:
    matrix = metrics.confusion_matrix(found.labels, found.predicted, labels=(0, 1))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        found.labels, found.predicted, labels=(0, 1), zero_division=0
    )
    both = len(set(found.labels.tolist())) == 2
    is_fake = found.labels == 0
    return {
        "model": settings.model,
        "checkpoint": answering,
        "on": part,
        "folder": str(settings.resized[part]),
        "count": len(found.samples),
        "left_out": found.left_out + len(found.bad),
        "accuracy": float((found.labels == found.predicted).mean()),
        "classes": {
            name: {
                "precision": float(precision[number]),
                "recall": float(recall[number]),
                "f1": float(f1[number]),
                "support": int(support[number]),
            }
            for number, name in enumerate(CLASSES)
        },
        "confusion_matrix": matrix.tolist(),
        "roc_auc": float(metrics.roc_auc_score(is_fake, found.p_fake)) if both else None,
        "average_precision": (
            float(metrics.average_precision_score(is_fake, found.p_fake)) if both else None
        ),
        "parameters": found.parameters,
        "images_per_second": round(found.images_per_second, 2),
    }


def _write_predictions(settings: Settings, part: str, found: Predictions) -> None:
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(("path", "source", "label", "predicted", "p_fake"))
    for sample, predicted, p_fake in zip(found.samples, found.predicted, found.p_fake, strict=True):
        writer.writerow(
            (sample.path, sample.source, CLASSES[sample.label], CLASSES[predicted], f"{p_fake:.8f}")
        )
    write_text(settings.model_folder / f"{part}_predictions.csv", table.getvalue())


def run_test(settings: Settings, console: Console, on: str = "test") -> Outcome:
    """Predict a whole data set, print the reference's report and write the results."""
    checkpoint = require_checkpoint(settings)
    with run_lock(settings.model_folder) if is_first() else nullcontext():
        with join_group() as group:
            answering = model_hash(settings)
            found = predict(settings, console, on, group)
        if not group.first:
            return Outcome("")
        if model_hash(settings) != answering:
            raise UserError(
                f"{checkpoint} was exchanged during the test, so the results are of neither "
                "model. Test again."
            )
        return _report(settings, on, found, answering)


def _report(settings: Settings, on: str, found: Predictions, answering: str) -> Outcome:
    """Write the results of a test, and word them."""
    summary = _summarise(settings, on, found, answering)
    folder = settings.model_folder
    _write_predictions(settings, on, found)
    write_json(folder / f"{on}_results.json", summary)
    figure = folder / f"confusion_matrix_{on}.png"
    matrix = summary["confusion_matrix"]
    draw_confusion_matrix(matrix, CLASSES, f"{settings.model} on the {on} dataset", figure)
    report = metrics.classification_report(
        found.labels, found.predicted, labels=(0, 1), target_names=CLASSES, zero_division=0
    )
    lines = [
        f"{settings.model} on the {on} dataset: {plural(len(found.samples), 'image')}"
        + (f", {summary['left_out']:,} bad left out" if summary["left_out"] else ""),
        f"Accuracy: {100 * summary['accuracy']:.2f} %",
        "",
        "Classification report:",
        report,
        "Confusion matrix (rows: true, columns: predicted):",
        f"{'':>8}{CLASSES[0]:>8}{CLASSES[1]:>8}",
        *(f"{name:>8}{row[0]:>8}{row[1]:>8}" for name, row in zip(CLASSES, matrix, strict=True)),
        f"{plural(matrix[0][1], 'fake')} taken for real, {matrix[1][0]:,} real taken for fake",
    ]
    lines += describe_faults(found.bad)
    lines.append(f"Results: {folder / f'{on}_results.json'} and {figure.name}")
    return Outcome("\n".join(lines), 1 if found.bad else 0)
