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
    measure_verdicts,
    weighted_calibration_error,
)
from fakedetect.metrics.intervals import (
    REPEATS,
    SAME_SHAPE,
    interval,
    mean_interval,
    measure_auc,
    measure_same_shape,
    measure_share,
    roc_auc_interval,
    share_interval,
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


class _Levels:
    """The distinct scores from high to low, and how many pictures of each class have them."""

    def __init__(self, scores: np.ndarray, p_fake: np.ndarray, is_fake: np.ndarray):
        order, places = np.unique(-scores, return_inverse=True)
        size = len(order)
        self.fake = np.bincount(places, is_fake, size)
        self.real = np.bincount(places, ~is_fake, size)
        first = np.zeros(size, int)
        first[places] = np.arange(len(scores))
        self.p_fake = p_fake[first]
        self.called_fake = -order >= 0
        self.bins = bins_of(self.p_fake)

    def draw(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Both classes resampled, each on its own."""
        drawn = []
        for counts in (self.fake, self.real):
            total = int(counts.sum())
            drawn.append(random.multinomial(total, counts / total) if total else counts)
        return drawn[0], drawn[1]

    def measure(self, fake: np.ndarray, real: np.ndarray) -> dict[str, float | None]:
        """The figures for so many fakes and reals at each score."""
        fakes, reals = fake.sum(), real.sum()
        hits, rejections = fake[self.called_fake].sum(), real[~self.called_fake].sum()
        found: dict[str, float | None] = dict.fromkeys(NAMES)
        found["accuracy"] = (hits + rejections) / (fakes + reals)
        found["recall_fake"] = hits / fakes if fakes else None
        found["recall_real"] = rejections / reals if reals else None
        found["ece"] = weighted_calibration_error(self.bins, self.p_fake, fake + real, fake)
        if not (fakes and reals):
            return found
        found["balanced_accuracy"] = (hits / fakes + rejections / reals) / 2
        alarms, caught = np.cumsum(real), np.cumsum(fake)
        found["roc_auc"] = (real * (caught - fake / 2)).sum() / (fakes * reals)
        found["average_precision"] = (fake * caught / np.maximum(alarms + caught, 1)).sum() / fakes
        for name, most in FALSE_ALARMS.items():
            if not _has_rate(most, reals):
                continue
            last = np.searchsorted(alarms, most * reals + 1e-9, side="right")
            found[name] = caught[last - 1] / fakes if last else 0.0
        return found


def measure(
    margins: np.ndarray, p_fake: np.ndarray, is_fake: np.ndarray, seed: int = 0
) -> dict[str, Measure]:
    """All figures of NAMES with their 95 % intervals.

    Shares have Wilson's, the ROC AUC has Newcombe's, average precision a binomial one over the fakes
    (Boyd, Eng and Page 2013), calibration error a percentile bootstrap; the recall at a rate of false
    alarms has a bootstrap, at least as wide as the share's own.

    Args:
        margins: (N,) logit of fake minus logit of real; from 0 on, a picture is called fake.
        p_fake: (N,) the probabilities that are said, a rising function of the margins.
        is_fake: (N,) bool. Figures that need both classes are None without them.
    """
    levels = _Levels(margins, p_fake, is_fake)
    exact = {
        name: None if value is None else float(value)
        for name, value in levels.measure(levels.fake, levels.real).items()
    }
    intervals = _closed_intervals(exact, margins, is_fake)
    random = np.random.default_rng(seed)
    repeats = [levels.measure(*levels.draw(random)) for _ in range(REPEATS)]
    for name in ("ece", *FALSE_ALARMS):
        if exact[name] is not None:
            low, high = interval(np.array([repeat[name] for repeat in repeats], float))
            share_low, share_high = intervals.get(name, (low, high))
            intervals[name] = min(low, share_low), max(high, share_high)
    return {
        name: (
            Measure(value=None)
            if value is None
            else Measure(value=value, low=intervals[name][0], high=intervals[name][1])
        )
        for name, value in exact.items()
    }


def _closed_intervals(
    exact: dict[str, float | None], margins: np.ndarray, is_fake: np.ndarray
) -> dict[str, tuple[float, float]]:
    """The intervals that need no resampling."""
    fakes, reals = int(is_fake.sum()), int((~is_fake).sum())
    caught, rejected = int((margins[is_fake] >= 0).sum()), int((margins[~is_fake] < 0).sum())
    found = {"accuracy": share_interval(caught + rejected, fakes + reals)}
    if fakes:
        found["recall_fake"] = share_interval(caught, fakes)
    if reals:
        found["recall_real"] = share_interval(rejected, reals)
    if fakes and reals:
        found["balanced_accuracy"] = mean_interval((caught, fakes), (rejected, reals))
        found["roc_auc"] = roc_auc_interval(exact["roc_auc"] or 0.0, fakes, reals)
    for name in ("average_precision", *FALSE_ALARMS):
        if (value := exact[name]) is not None:
            found[name] = share_interval(round(value * fakes), fakes)
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
