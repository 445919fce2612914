"""How sure a measured figure is: bootstrap intervals."""

import numpy as np

REPEATS = 1000


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of values (N,)."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def roc_auc_interval(positive: np.ndarray, scores: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval (Efron 1979) of the area under the ROC curve.

    Args:
        positive: (N,) bool, both values present.
        scores: (N,) float, higher for positives. Both classes are resampled on their own.
    """
    random = np.random.default_rng(seed)
    levels = np.unique(scores, return_inverse=True)[1]
    size = int(levels.max()) + 1
    shares = [np.bincount(levels[mask], minlength=size) / mask.sum() for mask in (positive, ~positive)]
    counts = [int(positive.sum()), int((~positive).sum())]
    values = np.empty(REPEATS)
    for repeat in range(REPEATS):
        ups, downs = (
            random.multinomial(count, share) / count for count, share in zip(counts, shares, strict=True)
        )
        below = np.cumsum(downs) - downs
        values[repeat] = (ups * (below + downs / 2)).sum()
    return interval(values)


def share_interval(right: int, count: int, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the share right/count.

    The mean of resampled zeros and ones is a binomial count, so it is drawn as one.
    """
    draws = np.random.default_rng(seed).binomial(count, right / count, REPEATS)
    return interval(draws / count)
