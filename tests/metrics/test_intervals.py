"""Intervals: that they have a width where a bootstrap has none, and that they cover."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fakedetect.metrics.intervals import mean_interval, roc_auc_interval, share_interval


def test_a_share_without_a_mistake_has_a_width() -> None:
    low, high = share_interval(20, 20)
    # Wilson: n / (n + z^2).
    assert low == pytest.approx(20 / (20 + 1.959964**2)) and high == 1
    assert share_interval(0, 20) == pytest.approx((0, 1 - low))
    assert share_interval(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_the_mean_of_two_shares_lies_within_their_intervals() -> None:
    low, high = mean_interval((20, 20), (20, 20))
    assert share_interval(20, 20)[0] < low < 0.95 and high == 1
    low, high = mean_interval((90, 100), (50, 100))
    assert low < 0.7 < high and high - low < 0.13


def test_the_interval_of_an_auc_covers_it() -> None:
    random = np.random.default_rng(3)
    positive = np.arange(2000) < 1000
    scores = random.normal(positive * 1.0)
    auc = float(roc_auc_score(positive, scores))
    low, high = roc_auc_interval(auc, 1000, 1000)
    # DeLong's standard error of this AUC (0.760) is about 0.0105.
    assert low < 0.76 < high and 0.03 < high - low < 0.055


def test_an_auc_of_one_has_an_honest_lower_bound() -> None:
    low, high = roc_auc_interval(1.0, 10, 10)
    assert 0.7 < low < 0.95 and high == 1
    assert roc_auc_interval(1.0, 1000, 1000)[0] > 0.995
    assert roc_auc_interval(0.0, 10, 10) == pytest.approx((0, 1 - low))


def test_the_interval_of_a_high_auc_from_few_pictures_covers_nineteen_in_twenty() -> None:
    random = np.random.default_rng(0)
    positive = np.arange(60) < 30
    # Unit normals this far apart have an AUC of 0.95.
    scores = random.normal(np.where(positive, 2.326, 0.0), size=(600, 60))
    aucs = [float(roc_auc_score(positive, row)) for row in scores]
    covered = [low <= 0.95 <= high for low, high in (roc_auc_interval(auc, 30, 30) for auc in aucs)]
    assert np.mean(covered) >= 0.93
