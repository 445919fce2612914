"""Calibration, thresholds and measures on scores whose right answers are known otherwise."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from fakedetect.core.errors import UserError
from fakedetect.core.records.training import read_training
from fakedetect.core.settings.model_input import ModelInput
from fakedetect.core.settings.recipes import REFERENCE_INPUT
from fakedetect.metrics.calibration import (
    UNCALIBRATED,
    Calibration,
    choose_calibration,
    compute_calibration_error,
    fit_temperature,
    fit_thresholds,
)
from fakedetect.metrics.intervals import share_interval
from fakedetect.metrics.measures import compute_measures


def draw(count: int, seed: int, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Margins and classes such that expit(margins / sharpness) is the true probability of fake."""
    random = np.random.default_rng(seed)
    true = random.normal(0, 2.5, count)
    return true * sharpness, random.random(count) < expit(true)


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_the_temperature_is_the_one_that_a_search_finds(sharpness: float) -> None:
    margins, is_fake = draw(4000, 1, sharpness)
    fakes, reals = is_fake.sum(), (~is_fake).sum()
    target = np.where(is_fake, (fakes + 1) / (fakes + 2), 1 / (reals + 2))
    tried = np.geomspace(0.1, 10, 4000)
    losses = [
        (target * np.logaddexp(0, -margins / t) + (1 - target) * np.logaddexp(0, margins / t)).mean()
        for t in tried
    ]
    found = fit_temperature(margins, is_fake)
    assert found == pytest.approx(tried[np.argmin(losses)], rel=2e-3)
    assert found == pytest.approx(sharpness, rel=0.1)


def test_calibrated_probabilities_are_scikit_learns_and_mean_what_they_say() -> None:
    margins, is_fake = draw(20_000, 2, 3.0)
    calibration = Calibration(fit_temperature(margins, is_fake))
    p_fake = calibration.probability(margins)
    # A model that only hands its margin on, calibrated by scikit-learn.
    model = LogisticRegression().fit(margins[:, None], is_fake)
    model.coef_[:], model.intercept_[:] = 1.0, 0.0
    theirs = CalibratedClassifierCV(FrozenEstimator(model), method="temperature")
    theirs.fit(margins[:, None], is_fake)
    assert np.abs(p_fake - theirs.predict_proba(margins[:, None])[:, 1]).max() < 0.005
    assert (
        compute_calibration_error(p_fake, is_fake)
        < 0.02
        < 0.1
        < compute_calibration_error(expit(margins), is_fake)
    )


def test_a_few_pictures_without_a_mistake_do_not_make_it_infinitely_sure() -> None:
    margins = np.array([2.0, 3.0, -2.0, -3.0])
    temperature = fit_temperature(margins, margins > 0)
    assert 0.5 < Calibration(temperature).probability(np.array([2.0]))[0] < 0.95


def test_a_model_that_is_wrong_all_along_is_refused() -> None:
    margins, is_fake = draw(500, 3)
    with pytest.raises(UserError, match="no better than chance"):
        fit_temperature(-margins, is_fake)


@pytest.mark.parametrize(("count", "most"), [(40, 0.05), (61, 0.1), (200, 0.01), (333, 0.3)])
def test_thresholds_are_those_that_a_search_finds(count: int, most: float) -> None:
    random = np.random.default_rng(count)
    is_fake = np.arange(2 * count) % 2 == 0
    p_fake = np.round(expit(random.normal(np.where(is_fake, 0.7, -0.7), 1.5)), 3)
    fake_from, real_below = fit_thresholds(p_fake, is_fake, most, most)
    real, fake = p_fake[~is_fake], p_fake[is_fake]
    # The promise for one more picture counts it among those beyond: (k + 1) / (n + 1).
    high = [t for t in np.unique([*real, 1.01]) if ((real >= t).sum() + 1) / (count + 1) <= most + 1e-9]
    assert (real >= fake_from).sum() == (real >= high[0]).sum() or fake_from == 0.5
    assert ((real >= fake_from).sum() + 1) / (count + 1) <= most + 1e-9
    low = [t for t in np.unique([0.0, *fake]) if ((fake < t).sum() + 1) / (count + 1) <= most + 1e-9]
    assert (fake < real_below).sum() == (fake < low[-1]).sum() or real_below == 0.5
    assert ((fake < real_below).sum() + 1) / (count + 1) <= most + 1e-9
    assert real_below <= 0.5 <= fake_from


def test_the_promise_is_kept_on_further_pictures() -> None:
    random = np.random.default_rng(4)
    is_fake = np.arange(80) % 2 == 0
    rates = []
    for _ in range(400):
        p_fake = expit(random.normal(np.where(is_fake, 0.5, -0.5), 1.5))
        fake_from, _ = fit_thresholds(p_fake, is_fake, 0.05, 0.05)
        rates.append((expit(random.normal(-0.5, 1.5, 2000)) >= fake_from).mean())
    assert 0.03 < np.mean(rates) <= 0.052


def test_well_separated_classes_leave_nothing_unsure() -> None:
    is_fake = np.arange(100) % 2 == 0
    p_fake = np.where(is_fake, 0.9, 0.1) + np.linspace(0, 0.05, 100)
    calibration = Calibration(1.0, *fit_thresholds(p_fake, is_fake, 0.05, 0.05))
    assert {calibration.verdict(p) for p in p_fake} == {"fake", "real"}


def test_too_few_pictures_promise_nothing() -> None:
    is_fake = np.arange(20) % 2 == 0
    with pytest.raises(UserError, match=r"10 real validation pictures are too few .* 19"):
        fit_thresholds(np.linspace(0, 1, 20), is_fake, 0.05, 0.05)


@pytest.mark.parametrize(
    "saved",
    [{}, {"temperature": -1, "fake_from": 0.9, "real_below": 0.1}, {"temperature": "x"},
     {"temperature": 1, "fake_from": 0.1, "real_below": 0.9}, {"temperature": 1, "fake_from": 0.9},
     {"temperature": 1, "fake_from": -5, "real_below": -6}],
)  # fmt: skip
def test_a_damaged_calibration_is_refused_with_its_file(saved: dict, tmp_path: Path) -> None:
    file = tmp_path / "training.json"
    file.write_text(json.dumps({"calibration": {**saved, "checkpoint": "a"}}))
    with pytest.raises(UserError, match=r"training\.json cannot be used.*calibration"):
        read_training(tmp_path)


def test_a_calibration_holds_for_its_own_checkpoint_only(tmp_path: Path) -> None:
    asked = ModelInput()
    assert not choose_calibration(read_training(tmp_path).calibration, "a", asked).fitted
    good = {"temperature": 2.0, "fake_from": 0.9, "real_below": 0.1, "checkpoint": "a"}
    (tmp_path / "training.json").write_text(json.dumps({"calibration": good}))
    saved = read_training(tmp_path).calibration
    assert choose_calibration(saved, "a", asked).fitted
    assert not choose_calibration(saved, "another checkpoint", asked).fitted
    bound = msgspec.structs.replace(saved, input=REFERENCE_INPUT)
    assert choose_calibration(bound, "a", asked).fitted
    assert not choose_calibration(bound, "a", ModelInput(mean=(0.5, 0.5, 0.5))).fitted


@pytest.mark.parametrize("count", [30, 1000])
def test_measures_are_scikit_learns(count: int) -> None:
    margins, is_fake = draw(count, 5)
    margins = np.round(margins, 1)
    found = compute_measures(margins, expit(margins), is_fake)
    if (~is_fake).sum() < 100:
        # A single false alarm is more than 1 %.
        assert found.pop("tpr_at_1").value is None
        assert (~is_fake).sum() < 20 and found.pop("tpr_at_5").value is None
    false_rate, true_rate, _ = metrics.roc_curve(is_fake, margins)
    expected = {
        "accuracy": metrics.accuracy_score(is_fake, margins >= 0),
        "balanced_accuracy": metrics.balanced_accuracy_score(is_fake, margins >= 0),
        "recall_fake": metrics.recall_score(is_fake, margins >= 0),
        "recall_real": metrics.recall_score(~is_fake, margins < 0),
        "roc_auc": metrics.roc_auc_score(is_fake, margins),
        "average_precision": metrics.average_precision_score(is_fake, margins),
        "tpr_at_5": true_rate[false_rate <= 0.05].max(),
        "tpr_at_1": true_rate[false_rate <= 0.01].max(),
        "ece": compute_calibration_error(expit(margins), is_fake),
    }
    expected = {name: expected[name] for name in found}
    assert {name: m.value for name, m in found.items()} == pytest.approx(expected)
    for name, m in found.items():
        assert m.low is not None and m.high is not None and m.low < m.high
        assert m.low <= expected[name] <= m.high
    if count == 1000:
        low, high = share_interval(int((is_fake & (margins >= 0)).sum()), int(is_fake.sum()))
        assert (found["recall_fake"].low, found["recall_fake"].high) == pytest.approx((low, high), abs=0.01)


def test_measures_of_one_class_leave_out_what_needs_both() -> None:
    found = compute_measures(np.array([1.0, -1.0]), np.array([0.7, 0.3]), np.array([True, True]))
    assert found["recall_fake"].value == 0.5 and found["roc_auc"].value is None
    assert str(found["recall_real"]) == "-"


def test_the_extremes_of_the_logistic_function_do_not_overflow() -> None:
    assert UNCALIBRATED.probability(np.array([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.5, 1.0]
