"""Intervals cover the true value, and have a width where a bootstrap has none."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.coverage import draw_calibration
from fakedetect.core.records.evaluation import Measure
from fakedetect.core.records.training import HeldOutScores
from fakedetect.metrics.calibration import UNCALIBRATED
from fakedetect.metrics.held_out import measure_held_out
from fakedetect.metrics.intervals import (
    bootstrap_interval,
    mean_interval,
    measure_recall,
    measure_same_shape,
    roc_auc_interval,
    share_interval,
)
from fakedetect.metrics.measures import compute_measures, measure_sources


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


@pytest.mark.parametrize("auc", [0.9999999999999999, 1 - 1e-12, 1 - 1e-9, 1e-9, 1e-12, 2e-16])
def test_an_auc_that_rounding_has_left_next_to_one_or_zero_has_its_interval(auc: float) -> None:
    low, high = roc_auc_interval(auc, 52, 48)
    assert 0 <= low <= auc <= high <= 1
    assert (low, high) == pytest.approx(roc_auc_interval(float(round(auc)), 52, 48), abs=1e-4)


def test_the_interval_of_a_high_auc_from_few_pictures_covers_nineteen_in_twenty() -> None:
    random = np.random.default_rng(0)
    positive = np.arange(60) < 30
    # Unit normals this far apart have an AUC of 0.95.
    scores = random.normal(np.where(positive, 2.326, 0.0), size=(600, 60))
    aucs = [float(roc_auc_score(positive, row)) for row in scores]
    covered = [low <= 0.95 <= high for low, high in (roc_auc_interval(auc, 30, 30) for auc in aucs)]
    assert np.mean(covered) >= 0.93


@pytest.mark.parametrize("sharpness", [1.0, 2.0])
@pytest.mark.parametrize("count", [60, 600])
def test_the_interval_of_the_calibration_error_covers_nineteen_in_twenty(
    count: int, sharpness: float
) -> None:
    random = np.random.default_rng(4)
    cases = [draw_calibration(random, count, sharpness) for _ in range(60)]
    assert np.mean([found.low <= truth <= found.high for found, truth in cases]) >= 0.93
    values, truths = zip(*((found.value, truth) for found, truth in cases), strict=True)
    # The plain error of a calibrated model is 0.14 on 60 pictures.
    assert np.mean(values) - np.mean(truths) < {60: 0.1, 600: 0.03}[count]


@pytest.mark.parametrize(("size", "rate"), [(30, 0.05), (30, 0.01), (300, 0.01)])
def test_the_interval_of_a_recall_covers_the_one_at_the_true_rate_of_false_alarms(
    size: int, rate: float
) -> None:
    random = np.random.default_rng(5)
    truth = {0.05: 0.639, 0.01: 0.372}[rate]
    covered = []
    for _ in range(100):
        margins = random.normal(np.repeat([2.0, 0.0], size))
        order = np.argsort(-margins)
        caught = np.cumsum(order < size)
        found = measure_recall(caught, np.arange(1, 2 * size + 1) - caught, rate)
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) >= 0.93


def test_the_interval_over_few_sources_is_wider_than_the_bootstraps() -> None:
    drawn = np.random.default_rng(6).normal(size=4000)
    widths = [np.ptp(bootstrap_interval(drawn, units)) for units in (5, 12, 10_000)]
    # Student's t of 4 and 11 degrees of freedom: 2.776 and 2.201.
    wanted = [2 * 2.776 * (5 / 4) ** 0.5, 2 * 2.201 * (12 / 11) ** 0.5, 2 * 1.96]
    assert widths == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize("seed", range(30))
def test_no_interval_excludes_its_value(seed: int) -> None:
    random = np.random.default_rng(seed)
    count, apart = int(random.choice([4, 9, 40, 300])), random.choice([-2.0, 0.0, 1.0, 30.0])
    is_fake = np.arange(count) < random.integers(2, count - 1)
    margins = np.round(random.normal(apart * is_fake), int(random.choice([0, 3])))
    sources = [f"{kind}/" for kind in random.choice(list("abc"), count)]
    p_fake = UNCALIBRATED.probability(random.choice([0.1, 1.0, 20.0]) * margins)
    by_class = [
        {source: tuple(margins[mine & (np.array(sources) == source)]) for source in set(sources)}
        for mine in (is_fake, ~is_fake)
    ]
    fake, real = ({source: values for source, values in each.items() if values} for each in by_class)
    held_out = measure_held_out(
        HeldOutScores(checkpoint="", fakes_by_source=True, reals_by_source=True, fake=fake, real=real)
    )
    shapes = random.choice(["square", "wide"], count)
    same = measure_same_shape(
        ([margins[is_fake]], [margins[~is_fake]]), ([shapes[is_fake]], [shapes[~is_fake]])
    )
    found: list[Measure | None] = [
        *compute_measures(margins, p_fake, is_fake).values(),
        *(
            each
            for entry in measure_sources(is_fake, sources, margins)
            for each in (entry.right, entry.roc_auc)
        ),
        held_out.auc,
        held_out.fake_recall_at_5,
        *(family.auc for family in held_out.families.values()),
        *(source.false_alarms_at_5 for source in held_out.real_sources.values()),
        same,
    ]
    for each in found:
        if each and each.value is not None:
            assert 0 <= each.low <= each.value <= each.high <= 1
