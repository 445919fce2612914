"""Robustness: the metrics after degrading the pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from fakedetect.core.errors import UserError
from fakedetect.core.records.evaluation import DegradedPoint, Point, Robustness, Stability, format_interval
from fakedetect.core.settings.recipes import CLASSES, SEED
from fakedetect.core.terminal.console import Console
from fakedetect.core.terminal.progress import percent
from fakedetect.dataset.samples import Sample, draw_sample_indices, find_originals
from fakedetect.images.degradations import ROBUSTNESS_DEGRADATIONS, STABILITY_DEGRADATIONS, Degradation
from fakedetect.metrics.calibration import UNSURE
from fakedetect.metrics.intervals import roc_auc_interval
from fakedetect.models.detector import Detector
from fakedetect.models.predictions import predict_pictures
from fakedetect.models.verdicts import decide_verdict

MOST_DEGRADED_PICTURES = 1000
"""A random sample of this size represents a larger test set."""


@dataclass(frozen=True)
class _Degraded:
    """Labels (N,), margins (N,) of the unchanged pictures, and a table (N, 1 + D) of margins: of the
    scaled original, then after each degradation in ROBUSTNESS_DEGRADATIONS."""

    labels: np.ndarray
    margins: np.ndarray
    table: np.ndarray


def measure_robustness(
    detector: Detector, console: Console, samples: Sequence[Sample], margins: np.ndarray
) -> Robustness:
    """Compute the metrics after each degradation in ROBUSTNESS_DEGRADATIONS, applied to both classes.

    Args:
        samples: the test pictures; their originals are degraded, then scaled like the copies.
        margins: (N,) of the unchanged test pictures.

    Raises:
        UserError: no picture of one of the classes can be read.
    """
    places = sorted(draw_sample_indices(samples, MOST_DEGRADED_PICTURES, SEED).tolist())
    chosen = [samples[place] for place in places]
    originals = find_originals(detector.settings, "test", [sample.path for sample in chosen])
    by_path = {
        original: (sample, float(margin))
        for original, sample, margin in zip(originals, chosen, margins[places], strict=True)
    }
    found = _degrade(detector, console, by_path)
    is_fake = found.labels == 0
    points = tuple(
        _measure_point(is_fake, found.table[:, 1 + n], how) for n, how in enumerate(ROBUSTNESS_DEGRADATIONS)
    )
    worst = min(points, key=lambda point: point.roc_auc)
    return Robustness(
        count=len(found.labels),
        of_originals=sum(path != sample.path for path, sample in zip(originals, chosen, strict=True)),
        clean=Point(**_figures(is_fake, found.margins)),
        points=points,
        mean_auc=float(np.mean([point.roc_auc for point in points])),
        worst_auc=worst.roc_auc,
        worst=worst.description,
        stability=_measure_stability(detector, found),
    )


def _degrade(
    detector: Detector, console: Console, by_path: Mapping[Path, tuple[Sample, float]]
) -> _Degraded:
    """Run the model on every degradation of the pictures, given with their samples and margins."""
    found, _ = predict_pictures(detector, console, list(by_path), "robustness", ROBUSTNESS_DEGRADATIONS)
    read = [by_path[path] for path in found]
    labels = np.array([sample.label for sample, _ in read])
    if len(set(labels.tolist())) < 2:
        raise UserError("None of the test pictures of one class can be read. Scan them again.")
    return _Degraded(labels, np.array([margin for _, margin in read]), np.stack(list(found.values())))


def _measure_stability(detector: Detector, found: _Degraded) -> Stability:
    """Compute the verdicts of check's stability test."""
    columns = [0, *(1 + ROBUSTNESS_DEGRADATIONS.index(how) for how in STABILITY_DEGRADATIONS)]
    answers = [
        decide_verdict(detector.calibration, row[columns], STABILITY_DEGRADATIONS) for row in found.table
    ]
    sure = np.array([each.verdict != UNSURE for each in answers])
    truth = np.array([CLASSES[label] for label in found.labels])
    right = np.array([each.verdict for each in answers]) == truth
    return Stability(
        unstable=float(np.mean([bool(each.flips) for each in answers])),
        unsure=float((~sure).mean()),
        accuracy_of_sure=float(right[sure].mean()) if sure.any() else 0.0,
    )


def _measure_point(is_fake: np.ndarray, margins: np.ndarray, how: Degradation) -> DegradedPoint:
    figures = _figures(is_fake, margins)
    return DegradedPoint(kind=how.kind, strength=how.strength, description=str(how), **figures)


def _figures(is_fake: np.ndarray, margins: np.ndarray) -> dict[str, float]:
    """Return the fields of a Point."""
    auc = float(roc_auc_score(is_fake, margins))
    low, high = roc_auc_interval(auc, int(is_fake.sum()), int((~is_fake).sum()))
    right = (margins >= 0) == is_fake
    return {
        "roc_auc": auc,
        "low": low,
        "high": high,
        "accuracy": float(right.mean()),
        "recall_fake": float(right[is_fake].mean()),
        "recall_real": float(right[~is_fake].mean()),
    }


def describe_robustness(found: Robustness) -> list[str]:
    """Return the robustness as a table."""
    lines = [
        f"  {'after degrading ' + format(found.count, ',') + ' pictures':<34}"
        f"{'ROC AUC (95 %)':<24}{'accuracy':>10}{'fake recall':>13}{'real recall':>13}"
    ]
    points: list[tuple[str, Point]] = [
        ("not degraded", found.clean),
        *((p.description, p) for p in found.points),
    ]
    for description, point in points:
        auc = format_interval(point.roc_auc, point.low, point.high)
        lines.append(
            f"  {description:<34}{auc:<24}{percent(point.accuracy):>10}{percent(point.recall_fake):>13}"
            f"{percent(point.recall_real):>13}"
        )
    stability = found.stability
    lines.append(f"  mean ROC AUC {found.mean_auc:.3f}, worst {found.worst_auc:.3f} ({found.worst})")
    lines.append(
        f"  check --stability all: {percent(stability.unstable)} not stable, "
        f"{percent(stability.unsure)} unsure, accuracy of the rest {percent(stability.accuracy_of_sure)}"
    )
    if found.of_originals < found.count:
        lines.append(
            "  Some originals are missing: their small copies were degraded instead, which is harder."
        )
    return lines
