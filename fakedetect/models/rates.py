"""What probabilities and the three verdicts come to on pictures whose class is known."""

import numpy as np

from fakedetect.core.evaluation_record import Measure, VerdictRates
from fakedetect.core.intervals import roc_auc_interval
from fakedetect.models.calibration import FAKE, REAL, UNSURE, Calibration

BINS = 15


def calibration_error(p_fake: np.ndarray, is_fake: np.ndarray) -> float:
    """Expected calibration error (Naeini et al. 2015) of p_fake (N,) over BINS bins of equal width."""
    weights = np.ones(len(p_fake))
    return float(weighted_calibration_error(bins_of(p_fake), p_fake, weights, weights * is_fake))


def bins_of(p_fake: np.ndarray) -> np.ndarray:
    """The bin of each probability (N,)."""
    bins: np.ndarray = np.minimum((p_fake * BINS).astype(int), BINS - 1)
    return bins


def weighted_calibration_error(
    bins: np.ndarray, p_fake: np.ndarray, weights: np.ndarray, fake_weights: np.ndarray
) -> float:
    """calibration_error where pictures count several times: weights (N,), and those of the fakes."""
    said = np.bincount(bins, weights * p_fake, BINS)
    found = np.bincount(bins, fake_weights, BINS)
    return float(np.abs(said - found).sum() / weights.sum())


def measure_verdicts(calibration: Calibration, margins: np.ndarray, is_fake: np.ndarray) -> VerdictRates:
    """What the three verdicts come to on pictures whose class is known.

    Args:
        margins: (N,) logit of fake minus logit of real.
        is_fake: (N,) bool, both values present.
    """
    p_fake = calibration.probability(margins)
    verdicts = np.array([calibration.verdict(p) for p in p_fake])
    sure = verdicts != UNSURE
    right = np.where(is_fake, verdicts == FAKE, verdicts == REAL)
    return VerdictRates(
        real_called_fake=float((verdicts[~is_fake] == FAKE).mean()),
        fake_called_real=float((verdicts[is_fake] == REAL).mean()),
        unsure=float((~sure).mean()),
        accuracy=float(((margins >= 0) == is_fake).mean()),
        accuracy_of_sure=float(right[sure].mean()) if sure.any() else 0.0,
        ece_calibrated=calibration_error(p_fake, is_fake),
        temperature=calibration.temperature,
        fake_from=calibration.fake_from,
        real_below=calibration.real_below,
        fake_called_fake=float((verdicts[is_fake] == FAKE).mean()),
        real_called_real=float((verdicts[~is_fake] == REAL).mean()),
    )


def is_of_calibration(found: VerdictRates, calibration: Calibration) -> bool:
    """Whether verdicts were measured with this calibration; assumed where an older file does not say."""
    then = (found.temperature, found.fake_from, found.real_below)
    return None in then or then == (calibration.temperature, calibration.fake_from, calibration.real_below)


def measure_auc(is_fake: np.ndarray, margins: np.ndarray) -> Measure:
    """The ROC AUC of margins (N,); none where the pictures are of one class."""
    # A second to import, which every check would wait for.
    from sklearn.metrics import roc_auc_score

    fakes = int(is_fake.sum())
    if not 0 < fakes < len(is_fake):
        return Measure(value=None)
    auc = float(roc_auc_score(is_fake, margins))
    low, high = roc_auc_interval(auc, fakes, len(is_fake) - fakes)
    return Measure(value=auc, low=low, high=high)
