"""A detector's metrics with their 95 % intervals, over all pictures and by source."""

from collections.abc import Sequence

import msgspec
import numpy as np

from fakedetect.core.records.evaluation import Accuracy, Bin, Entry, Measure, Measures, SourceEntry
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.terminal.console import printable
from fakedetect.metrics.calibration import (
    CALIBRATION_BINS,
    UNCALIBRATED,
    Calibration,
    assign_bins,
    measure_calibration,
    measure_verdicts,
)
from fakedetect.metrics.intervals import (
    SAME_SHAPE,
    mean_interval,
    measure_area,
    measure_auc,
    measure_recall,
    measure_same_shape,
    measure_share,
)
from fakedetect.metrics.null import NULL

FALSE_POSITIVE_RATES = {"tpr_at_5": 0.05, "tpr_at_1": 0.01}
"""The false-positive rates at which the fake recall is measured. Fewer than 1 / rate real pictures cannot
have that rate."""

UNCALIBRATED_CURVE, CALIBRATED_CURVE = "as the model says", "calibrated"
"""Keys of an entry's reliability diagrams."""

MEASURE_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "recall_fake": "fake recall",
    "recall_real": "real recall",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "tpr_at_5": "fake recall at 5 % false positives",
    "tpr_at_1": "fake recall at 1 % false positives",
    "ece": "expected calibration error",
}
"""The metrics: their keys in the results and their names on the screen."""


def list_measures(entry: Entry) -> list[tuple[str, Measure]]:
    """Return the names and values of an entry's metrics.

    A recall at a false-positive rate is left out if there are too few real pictures for it, also in records
    of versions before 0.6.
    """
    found = [
        (name, getattr(entry.measures, key))
        for key, name in MEASURE_NAMES.items()
        if _can_have_rate(FALSE_POSITIVE_RATES.get(key), entry.real)
    ]
    others = ((SAME_SHAPE, entry.auc_same_shape), (NULL, entry.null_auc))
    return [*found, *((name, value) for name, value in others if value)]


def _can_have_rate(rate: float | None, reals: float) -> bool:
    """Whether `reals` real pictures can have a false-positive rate; true for None."""
    return rate is None or rate * reals >= 1 - 1e-9


def compute_reliability(p_fake: np.ndarray, is_fake: np.ndarray) -> tuple[Bin, ...]:
    """Return the mean p_fake, the share of fakes and the count of each bin that is not empty."""
    bins = assign_bins(p_fake)
    found = []
    for number in range(CALIBRATION_BINS):
        inside = bins == number
        if inside.any():
            found.append((float(p_fake[inside].mean()), float(is_fake[inside].mean()), int(inside.sum())))
    return tuple(found)


def compute_measures(
    margins: np.ndarray, p_fake: np.ndarray, is_fake: np.ndarray, seed: int = 0
) -> dict[str, Measure]:
    """Compute all metrics of MEASURE_NAMES with their 95 % intervals.

    Shares have Wilson's interval, the ROC AUC has Newcombe's, and average precision has a binomial one over
    the fakes (Boyd, Eng and Page 2013). For the recall at a false-positive rate see measure_recall(), for
    the calibration error measure_calibration().

    Args:
        margins: (N,) logit of fake minus logit of real; from 0 on, a picture is called fake.
        p_fake: (N,) probabilities, a rising function of the margins.
        is_fake: (N,) bool. Without both classes, the metrics that need both have no value.
    """
    fakes, reals = int(is_fake.sum()), int((~is_fake).sum())
    hits, rejections = int((margins[is_fake] >= 0).sum()), int((margins[~is_fake] < 0).sum())
    found = dict.fromkeys(MEASURE_NAMES, Measure(value=None))
    found["accuracy"] = measure_share(hits + rejections, fakes + reals)
    found["ece"] = measure_calibration(p_fake, is_fake, seed)
    if fakes:
        found["recall_fake"] = measure_share(hits, fakes)
    if reals:
        found["recall_real"] = measure_share(rejections, reals)
    if fakes and reals:
        low, high = mean_interval((hits, fakes), (rejections, reals))
        found["balanced_accuracy"] = Measure(
            value=(hits / fakes + rejections / reals) / 2, low=low, high=high
        )
        found |= _measure_ranking(margins, is_fake)
    return found


def _measure_ranking(margins: np.ndarray, is_fake: np.ndarray) -> dict[str, Measure]:
    """Compute the metrics that depend only on the order of the margins; both classes are present."""
    # The distinct margins from high to low, and the number of pictures of each class at each.
    order, places = np.unique(-margins, return_inverse=True)
    fake, real = (np.bincount(places, of_class, len(order)) for of_class in (is_fake, ~is_fake))
    caught, alarms = np.cumsum(fake), np.cumsum(real)
    fakes, reals = int(caught[-1]), int(alarms[-1])
    precision = float((fake * caught / (alarms + caught)).sum() / fakes)
    found = {
        "roc_auc": measure_area(float((real * (caught - fake / 2)).sum() / (fakes * reals)), fakes, reals),
        "average_precision": measure_share(precision * fakes, fakes),
    }
    for name, rate in FALSE_POSITIVE_RATES.items():
        if _can_have_rate(rate, reals):
            found[name] = measure_recall(caught, alarms, rate)
    return found


def measure_entry(
    calibration: Calibration,
    is_fake: np.ndarray,
    sources: Sequence[str],
    margins: np.ndarray,
    shapes: Sequence[str],
) -> Entry:
    """Measure a set of pictures.

    Args:
        is_fake: (N,) bool.
        sources: the source of each picture, '' for none.
        margins: (N,) logit of fake minus logit of real.
        shapes: the shape of each picture by list_shapes(), '' if unknown.
    """
    p_fake = UNCALIBRATED.probability(margins)
    curves = {UNCALIBRATED_CURVE: compute_reliability(p_fake, is_fake)}
    if calibration.fitted:
        curves[CALIBRATED_CURVE] = compute_reliability(calibration.probability(margins), is_fake)
    of_shape = np.array(shapes)
    return Entry(
        count=len(is_fake),
        fake=int(is_fake.sum()),
        real=int((~is_fake).sum()),
        measures=Measures(**compute_measures(margins, p_fake, is_fake)),
        sources=measure_sources(is_fake, sources, margins),
        verdicts=measure_verdicts(calibration, margins, is_fake) if calibration.fitted else None,
        reliability=curves,
        auc_same_shape=measure_same_shape(
            (_single_units(margins[is_fake]), _single_units(margins[~is_fake])),
            (_single_units(of_shape[is_fake]), _single_units(of_shape[~is_fake])),
        ),
    )


def _single_units(values: np.ndarray) -> list[np.ndarray]:
    """Make each picture a unit of its own."""
    return list(values[:, None])


def measure_sources(
    is_fake: np.ndarray, sources: Sequence[str], margins: np.ndarray
) -> tuple[SourceEntry, ...]:
    """Measure each source of each class: its share of right answers, and its ROC AUC against the other
    class.

    Args:
        is_fake, sources, margins: as in measure_entry().
    """
    right, names = (margins >= 0) == is_fake, np.array(sources, object)
    entries = []
    for label, source in sorted(set(zip((~is_fake).astype(int).tolist(), sources, strict=True))):
        of_class = is_fake == (label == 0)
        mine = of_class & (names == source)
        share = measure_share(int(right[mine].sum()), int(mine.sum()))
        both = mine | ~of_class
        entries.append(
            SourceEntry(
                source=printable(source),
                label=CLASSES[label],
                count=int(mine.sum()),
                right=Accuracy(**msgspec.structs.asdict(share)),
                roc_auc=measure_auc(is_fake[both], margins[both]),
            )
        )
    return tuple(entries)
