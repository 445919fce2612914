"""How a model's answers survive what happens to pictures: robustness curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from fakedetect.core.console import Console
from fakedetect.core.errors import UserError
from fakedetect.core.intervals import roc_auc_interval
from fakedetect.core.recipes import CLASSES
from fakedetect.core.settings import Settings
from fakedetect.dataset.folders import class_folders
from fakedetect.dataset.samples import Sample
from fakedetect.images.degradations import CURVES, STABILITY
from fakedetect.images.listing import EXTENSIONS
from fakedetect.images.views import Look, View, view_batches
from fakedetect.models.calibration import UNSURE
from fakedetect.models.detector import Detector
from fakedetect.models.verdicts import answer

MOST = 1000
"""Pictures that are degraded; a random draw of a larger test set says the same."""

SEED = 42
AT_A_TIME = 8


def _find_originals(settings: Settings, samples: Sequence[Sample]) -> list[Path]:
    """For each test sample its original picture; the copy itself where that is gone."""
    homes = dict(class_folders(settings.resized["test"], f"Resize first: {settings.command('resize')}"))
    home_of = {label: folder for folder, label in homes.items()}
    found = []
    for sample in samples:
        original = settings.original[f"test-{CLASSES[sample.label]}"]
        inside = original / sample.path.relative_to(home_of[sample.label])
        # An aligned copy is a .jpg whatever its original was, or keeps the whole name before it.
        names = [inside, inside.with_suffix(""), *(inside.with_suffix(e) for e in sorted(EXTENSIONS))]
        found.append(next((path for path in names if path.is_file()), sample.path))
    return found


def _choose(samples: Sequence[Sample]) -> list[int]:
    """The places of at most MOST samples, both classes in their proportion."""
    if len(samples) <= MOST:
        return list(range(len(samples)))
    random = np.random.default_rng(SEED)
    return sorted(random.permutation(len(samples))[:MOST].tolist())


def measure_robustness(
    detector: Detector, console: Console, samples: Sequence[Sample], margins: np.ndarray
) -> dict[str, Any]:
    """The figures after each degradation of CURVES, on both classes alike.

    Args:
        samples: the test pictures; their originals are degraded, then scaled as the copies are.
        margins: (N,) of the test pictures as they are.

    Returns:
        `clean` and `points`: dictionaries with roc_auc, its interval, accuracy and the share of each
        class that is found; `mean_auc` and `worst`; the pictures degraded and, of the three verdicts
        with the test of stability, the share of `unsure`.
    """
    settings = detector.settings
    places = _choose(samples)
    chosen = [samples[place] for place in places]
    originals = _find_originals(settings, chosen)
    by_path = {
        original: (sample, margin)
        for original, sample, margin in zip(originals, chosen, margins[places], strict=True)
    }
    looks = (Look(path, (detector.kind,), CURVES) for path in by_path)
    labels, clean, degraded = [], [], []
    batches = view_batches(looks, settings.workers, AT_A_TIME)
    for batch in console.track(batches, len(by_path), "robustness", len):
        views = [(by_path[look.path], view) for look, view in batch if isinstance(view, View)]
        if not views:
            continue
        images = np.concatenate([view.images[0] for _, view in views])
        degraded.append(detector.margins(images).reshape(len(views), -1))
        labels += [sample.label for (sample, _), _ in views]
        clean += [margin for (_, margin), _ in views]
    is_fake = np.array(labels) == 0
    if not 0 < is_fake.sum() < len(is_fake):
        raise UserError("The test pictures of one class cannot be read for degrading. Scan them again.")
    table = np.concatenate(degraded)
    points: list[dict[str, Any]] = [
        {"kind": how.kind, "strength": how.strength, "says": str(how), **_measure(is_fake, table[:, 1 + n])}
        for n, how in enumerate(CURVES)
    ]
    worst = min(points, key=lambda point: point["roc_auc"])
    columns = [0, *(1 + CURVES.index(how) for how in STABILITY)]
    answers = [answer(detector.calibration, row[columns], STABILITY) for row in table]
    sure = np.array([each.verdict != UNSURE for each in answers])
    truth = np.array([CLASSES[label] for label in labels])
    right = np.array([each.verdict for each in answers]) == truth
    return {
        "count": len(labels),
        "of_originals": sum(path != sample.path for path, sample in zip(originals, chosen, strict=True)),
        "clean": _measure(is_fake, np.array(clean)),
        "points": points,
        "mean_auc": float(np.mean([point["roc_auc"] for point in points])),
        "worst_auc": worst["roc_auc"],
        "worst": worst["says"],
        "stability": {
            "unstable": float(np.mean([bool(each.flips) for each in answers])),
            "unsure": float((~sure).mean()),
            "accuracy_of_sure": float(right[sure].mean()) if sure.any() else 0.0,
        },
    }


def _measure(is_fake: np.ndarray, margins: np.ndarray) -> dict[str, float]:
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


def tell_robustness(found: dict[str, Any]) -> list[str]:
    """The robustness as a table."""
    lines = [
        f"  {'after degrading ' + format(found['count'], ',') + ' pictures':<34}"
        f"{'ROC AUC (95 %)':<22}{'right':>8}{'fakes found':>13}{'reals found':>13}"
    ]
    for says, point in (("as they are", found["clean"]), *((p["says"], p) for p in found["points"])):
        auc = f"{point['roc_auc']:.3f} ({point['low']:.3f}-{point['high']:.3f})"
        lines.append(
            f"  {says:<34}{auc:<22}{point['accuracy']:>8.1%}{point['recall_fake']:>13.1%}"
            f"{point['recall_real']:>13.1%}"
        )
    stability = found["stability"]
    lines.append(
        f"  mean ROC AUC {found['mean_auc']:.3f}, worst {found['worst_auc']:.3f} ({found['worst']})"
    )
    lines.append(
        f"  check, with its test of stability: {stability['unstable']:.1%} not stable, "
        f"{stability['unsure']:.1%} unsure, of the others {stability['accuracy_of_sure']:.1%} right"
    )
    if found["of_originals"] < found["count"]:
        lines.append("  Some originals are gone: their 224 x 224 copies were degraded, which is harder.")
    return lines
