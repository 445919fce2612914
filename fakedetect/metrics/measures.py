"""The figures of merit of a detector, each with its 95 % interval: of all pictures and source by source."""

from collections.abc import Sequence

import msgspec
import numpy as np

from fakedetect.core.records.evaluation import Accuracy, Bin, Entry, Measure, Measures, SourceEntry
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.terminal.console import printable
from fakedetect.metrics.calibration import (
    BINS,
    UNCALIBRATED,
    Calibration,
    bins_of,
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

FALSE_ALARMS = {"tpr_at_5": 0.05, "tpr_at_1": 0.01}
"""The rates at which the recall of fakes is measured; below 1 / rate real pictures, not one may be a false
alarm, and there is no such rate."""

UNCALIBRATED_CURVE, CALIBRATED_CURVE = "as the model says", "calibrated"
"""The keys of an entry's reliability diagrams."""

NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "recall_fake": "fake recall",
    "recall_real": "real recall",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "tpr_at_5": "fake recall at 5 % false alarms",
    "tpr_at_1": "fake recall at 1 % false alarms",
    "ece": "expected calibration error",
}
"""What is measured: the keys of the results and how they are said."""


def named(entry: Entry) -> list[tuple[str, Measure]]:
    """Each figure under its name; recalls at a rate of false alarms where there are real pictures enough,
    also of records of versions before 0.6."""
    found = [
        (said, getattr(entry.measures, key))
        for key, said in NAMES.items()
        if _has_rate(FALSE_ALARMS.get(key), entry.real)
    ]
    return [*found, (SAME_SHAPE, entry.auc_same_shape)] if entry.auc_same_shape else found


def _has_rate(rate: float | None, reals: float) -> bool:
    """Whether so many real pictures can have a rate of false alarms; None is no rate."""
    return rate is None or rate * reals >= 1 - 1e-9


def reliability(p_fake: np.ndarray, is_fake: np.ndarray) -> tuple[Bin, ...]:
    """For each bin that is not empty: mean p_fake, share of fakes, count."""
    bins = bins_of(p_fake)
    found = []
    for number in range(BINS):
        inside = bins == number
        if inside.any():
            found.append((float(p_fake[inside].mean()), float(is_fake[inside].mean()), int(inside.sum())))
    return tuple(found)


def measure(
    margins: np.ndarray, p_fake: np.ndarray, is_fake: np.ndarray, seed: int = 0
) -> dict[str, Measure]:
    """All figures of NAMES with their 95 % intervals.

    Shares have Wilson's, the ROC AUC has Newcombe's, average precision a binomial one over the fakes
    (Boyd, Eng and Page 2013), the recall at a rate of false alarms that of measure_recall(), the
    calibration error that of measure_calibration().

    Args:
        margins: (N,) logit of fake minus logit of real; from 0 on, a picture is called fake.
        p_fake: (N,) the probabilities that are said, a rising function of the margins.
        is_fake: (N,) bool. Figures that need both classes are None without them.
    """
    fakes, reals = int(is_fake.sum()), int((~is_fake).sum())
    hits, rejections = int((margins[is_fake] >= 0).sum()), int((margins[~is_fake] < 0).sum())
    found = dict.fromkeys(NAMES, Measure(value=None))
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
    """The figures that go by the order of the margins alone; both classes are there."""
    # The distinct margins from high to low, and how many pictures of each class have them.
    order, places = np.unique(-margins, return_inverse=True)
    fake, real = (np.bincount(places, of_class, len(order)) for of_class in (is_fake, ~is_fake))
    caught, alarms = np.cumsum(fake), np.cumsum(real)
    fakes, reals = int(caught[-1]), int(alarms[-1])
    precision = float((fake * caught / (alarms + caught)).sum() / fakes)
    found = {
        "roc_auc": measure_area(float((real * (caught - fake / 2)).sum() / (fakes * reals)), fakes, reals),
        "average_precision": measure_share(precision * fakes, fakes),
    }
    for name, rate in FALSE_ALARMS.items():
        if _has_rate(rate, reals):
            found[name] = measure_recall(caught, alarms, rate)
    return found


def measure_entry(
    calibration: Calibration,
    is_fake: np.ndarray,
    sources: Sequence[str],
    margins: np.ndarray,
    shapes: Sequence[str],
) -> Entry:
    """All figures of a set of pictures.

    Args:
        is_fake: (N,) bool.
        sources: those of the pictures, '' for none.
        margins: (N,) logit of fake minus logit of real.
        shapes: those of find_shape(), '' where one is not known.
    """
    p_fake = UNCALIBRATED.probability(margins)
    curves = {UNCALIBRATED_CURVE: reliability(p_fake, is_fake)}
    if calibration.fitted:
        curves[CALIBRATED_CURVE] = reliability(calibration.probability(margins), is_fake)
    of_shape = np.array(shapes)
    return Entry(
        count=len(is_fake),
        fake=int(is_fake.sum()),
        real=int((~is_fake).sum()),
        measures=Measures(**measure(margins, p_fake, is_fake)),
        sources=measure_sources(is_fake, sources, margins),
        verdicts=measure_verdicts(calibration, margins, is_fake) if calibration.fitted else None,
        reliability=curves,
        auc_same_shape=measure_same_shape(
            (_each(margins[is_fake]), _each(margins[~is_fake])),
            (_each(of_shape[is_fake]), _each(of_shape[~is_fake])),
        ),
    )


def _each(values: np.ndarray) -> list[np.ndarray]:
    """Every picture as a unit of its own."""
    return list(values[:, None])


def measure_sources(
    is_fake: np.ndarray, sources: Sequence[str], margins: np.ndarray
) -> tuple[SourceEntry, ...]:
    """For each source and class: its share of right answers, and its ROC AUC against the other class.

    Args:
        is_fake, sources, margins: as measure_entry() takes them.
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
