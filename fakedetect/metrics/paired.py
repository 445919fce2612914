"""Two models, or two fits of a probe, compared on the same pictures."""

from dataclasses import dataclass

import numpy as np

from fakedetect.core.records.training import HeldOutScores
from fakedetect.core.settings.recipes import CLASSES
from fakedetect.core.terminal.console import plural
from fakedetect.core.terminal.progress import percent
from fakedetect.metrics.intervals import Ranking

SIGNIFICANCE_LEVEL = 0.05


def compute_mcnemar_p(right_a: np.ndarray, right_b: np.ndarray) -> float:
    """Compute p of McNemar's exact test (1947) for equal accuracy of two models on the same pictures.

    Args:
        right_a, right_b: (N,) bool, whether each model is right, on the same pictures.
    """
    # Imported here: it takes a second.
    from scipy.stats import binomtest

    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


@dataclass(frozen=True, kw_only=True)
class FitChange:
    """How a probe's held-out figures changed from one fit to the next, on the pictures of both.

    Each fit has its own threshold, at which 5 % of these real pictures are called fake. `auc` and `recall`,
    the fake recall there, are of the earlier fit and of the later one. Of the pictures, `gained` are right
    only with the later fit and `lost` only with the earlier one; `p` is that of McNemar's test. `same`: no
    score changed.
    """

    pictures: int
    auc: tuple[float, float]
    recall: tuple[float, float]
    gained: int
    lost: int
    p: float
    same: bool


def measure_change(before: HeldOutScores, now: HeldOutScores) -> FitChange | None:
    """Measure the change between two fits; None if they have no pictures of both classes in common."""
    fakes, reals = (_pair_margins(before, now, label) for label in CLASSES)
    if not len(fakes) or not len(reals):
        return None
    figures, right = [], []
    for of_fakes, of_reals in zip(fakes.T, reals.T, strict=True):
        ranking = Ranking([of_fakes], [of_reals])
        figures.append(ranking.measure(np.ones(1), np.ones(1)))
        least = ranking.least_margin()
        right.append(np.concatenate([of_fakes > least, of_reals <= least]))
    (auc_before, recall_before), (auc_now, recall_now) = figures
    return FitChange(
        pictures=len(fakes) + len(reals),
        auc=(auc_before, auc_now),
        recall=(recall_before, recall_now),
        gained=int((right[1] & ~right[0]).sum()),
        lost=int((right[0] & ~right[1]).sum()),
        p=compute_mcnemar_p(*right),
        same=bool((fakes[:, 0] == fakes[:, 1]).all() and (reals[:, 0] == reals[:, 1]).all()),
    )


def _pair_margins(before: HeldOutScores, now: HeldOutScores, label: str) -> np.ndarray:
    """Return the margins (N, 2) of a class's pictures that both fits have in the same source."""
    found = [
        {
            (source, picture): margin
            for source, pictures in getattr(scores, f"{label}_pictures").items()
            for picture, margin in zip(pictures, getattr(scores, label)[source], strict=True)
        }
        for scores in (before, now)
    ]
    return np.array([[found[0][key], found[1][key]] for key in found[0] if key in found[1]])


def describe_change(before: HeldOutScores | None, now: HeldOutScores) -> list[str]:
    """Describe whether a fit is better than the earlier one; no lines if nothing can be compared."""
    change = measure_change(before, now) if before else None
    if before is None or change is None:
        return []
    held_out = [(each.fakes_by_source, each.reals_by_source, each.by_collection) for each in (before, now)]
    if held_out[0] != held_out[1]:
        return ["Not compared with the earlier fit, which held out other units (sources, collections)."]
    begin = f"Against the earlier fit, on the {change.pictures:,} held-out pictures of both:"
    if change.same:
        return [f"{begin} the same scores, so nothing has changed"]
    verdict = "it helped" if change.gained > change.lost else "it made the probe worse"
    if change.p >= SIGNIFICANCE_LEVEL:
        verdict = "no sure difference"
    p = "p < 0.001" if change.p < 0.001 else f"p = {change.p:.2g}"
    return [
        f"{begin} ROC AUC {change.auc[0]:.3f} -> {change.auc[1]:.3f}, fake recall at 5 % false positives "
        f"{percent(change.recall[0])} -> {percent(change.recall[1])}",
        f"  {plural(change.gained, 'picture')} newly right, {change.lost:,} newly wrong (McNemar's test, "
        f"{p}): {verdict}",
    ]
