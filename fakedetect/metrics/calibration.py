"""Calibrated probabilities, thresholds with guaranteed error rates, and the rates of the verdicts."""

import math
from dataclasses import dataclass

import numpy as np

from fakedetect.core.errors import UserError
from fakedetect.core.records.evaluation import Measure, VerdictRates
from fakedetect.core.records.record import LEAST_TEMPERATURE, MOST_TEMPERATURE
from fakedetect.core.records.training import CalibrationRecord
from fakedetect.core.settings.model_input import ModelInput
from fakedetect.core.terminal.progress import percent
from fakedetect.metrics.intervals import BOOTSTRAP_SAMPLES

FAKE, REAL, UNSURE = "fake", "real", "unsure"

CALIBRATION_BINS = 15
"""Bins of equal width for the calibration error."""


@dataclass(frozen=True)
class Calibration:
    """A temperature, which divides the margins, and thresholds of the calibrated probability of fake.

    A probability of at least `fake_from` is called fake, one below `real_below` real, and one in between
    unsure.
    """

    temperature: float = 1.0
    fake_from: float = 0.5
    real_below: float = 0.5
    fitted: bool = False

    def probability(self, margins: np.ndarray) -> np.ndarray:
        """Return the calibrated p_fake (N,) of margins (N,): logit of fake minus logit of real."""
        # Not scipy.special: importing it takes a quarter of a second, and every check would wait for it.
        return np.asarray(np.exp(-np.logaddexp(0.0, -np.asarray(margins, np.float64) / self.temperature)))

    def verdict(self, p_fake: float) -> str:
        """Return FAKE, REAL or UNSURE for a calibrated probability."""
        if p_fake >= self.fake_from:
            return FAKE
        return REAL if p_fake < self.real_below else UNSURE


UNCALIBRATED = Calibration()


def fit_temperature(margins: np.ndarray, is_fake: np.ndarray) -> float:
    """Fit the temperature that minimises the cross entropy (Guo et al. 2017, 'On Calibration of Modern
    Neural Networks').

    For two classes this is a logistic regression on the margin without an intercept. Its targets are
    Platt's (1999, 'Probabilistic Outputs for Support Vector Machines'), slightly inside 0 and 1. Without
    them, a few pictures without a mistake would make the model infinitely sure.

    Args:
        margins: (N,) logit of fake minus logit of real.
        is_fake: (N,) bool, both values present.

    Raises:
        UserError: the margins are no better than chance.
    """
    # Imported here: it takes a second, and every command with a model would wait for it.
    from sklearn.linear_model import LogisticRegression

    fakes, reals = int(is_fake.sum()), int((~is_fake).sum())
    target = np.where(is_fake, (fakes + 1) / (fakes + 2), 1 / (reals + 2))
    scale = float(np.abs(margins).mean()) or 1.0
    twice = np.concatenate([margins, margins])[:, None] / scale
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000)
    model.fit(twice, np.repeat([1, 0], len(margins)), np.concatenate([target, 1 - target]))
    slope = float(model.coef_[0, 0]) / scale
    if not slope > 0:
        raise UserError(
            "The model is no better than chance on the validation pictures: there is nothing to "
            "calibrate. Train it again."
        )
    return min(max(1 / slope, LEAST_TEMPERATURE), MOST_TEMPERATURE)


def conformal_rank(count: int, most: float) -> int | None:
    """Return the rank k, from below, of `count` scores: a further score of the same distribution exceeds
    the kth smallest with a probability of at most `most`. None if there are too few scores.

    Split conformal prediction (Vovk, Gammerman and Shafer 2005; Lei et al. 2018).
    """
    rank = math.ceil((count + 1) * (1 - most) - 1e-9)
    return rank if 1 <= rank <= count else None


def fit_thresholds(
    p_fake: np.ndarray, is_fake: np.ndarray, max_false_alarms: float, max_missed: float
) -> tuple[float, float]:
    """Fit the thresholds (fake_from, real_below) that guarantee both error rates on further pictures.

    `fake_from` is the lowest threshold, from 0.5 on, that at most the share `max_false_alarms` of the real
    pictures reach. `real_below` is the highest one, up to 0.5, below which at most the share `max_missed`
    of the fakes lie.

    Args:
        p_fake: (N,) calibrated probabilities.
        is_fake: (N,) bool.

    Raises:
        UserError: a class has too few pictures for its rate.
    """
    real, fake = np.sort(p_fake[~is_fake]), np.sort(p_fake[is_fake])
    ranks = []
    for name, scores, most, option in (
        ("real", real, max_false_alarms, "--max-false-alarms"),
        ("fake", fake, max_missed, "--max-missed"),
    ):
        rank = conformal_rank(len(scores), most)
        if rank is None:
            needed = math.ceil(1 / most - 1e-9) - 1
            smallest = smallest_guaranteed_rate(len(scores))
            raise UserError(
                f"{len(scores)} {name} validation pictures are too few to guarantee {percent(most)}; that "
                f"takes {needed}. Give {option} {smallest:g} or more, or train with a larger "
                "validation_share."
            )
        ranks.append(rank)
    above_real = float(np.nextafter(real[ranks[0] - 1], np.inf))
    return min(1.0, max(0.5, above_real)), min(0.5, float(fake[len(fake) - ranks[1]]))


def smallest_guaranteed_rate(count: int) -> float:
    """Return the smallest error rate that `count` scores of a class can guarantee, in steps of 0.001."""
    return math.ceil(1000 / (count + 1) - 1e-9) / 1000


def compute_rate_bound(count: int, most: float) -> float:
    """Return the true rate that one in twenty thresholds fitted on `count` scores exceeds.

    Over all draws of the scores, the rate has the distribution Beta(count + 1 - rank, rank).
    """
    # Imported here: it takes half a second, and every check would wait for it.
    from scipy.stats import beta

    rank = conformal_rank(count, most) or count
    return float(beta.ppf(0.95, count + 1 - rank, rank))


def choose_calibration(
    saved: CalibrationRecord | None, checkpoint_hash: str, taken: ModelInput
) -> Calibration:
    """Return a training.json's calibration; UNCALIBRATED if it belongs to another checkpoint or input."""
    if saved is None or saved.checkpoint != checkpoint_hash:
        return UNCALIBRATED
    if saved.input and saved.input.as_model_input() != taken:
        return UNCALIBRATED
    return Calibration(
        temperature=saved.temperature,
        fake_from=saved.fake_from,
        real_below=saved.real_below,
        fitted=True,
    )


def compute_calibration_error(p_fake: np.ndarray, is_fake: np.ndarray) -> float:
    """Return the value of measure_calibration()."""
    return measure_calibration(p_fake, is_fake).value or 0.0


def measure_calibration(p_fake: np.ndarray, is_fake: np.ndarray, seed: int = 0) -> Measure:
    """Return the expected calibration error (Naeini et al. 2015) of p_fake (N,), with its interval.

    By chance alone, the share of fakes in a bin differs from its mean p_fake. On few pictures, the plain
    error of a perfectly calibrated model is therefore far from 0. This bias is subtracted from the value
    (Kumar, Liang and Ma 2019, 'Verified Uncertainty Calibration'). The interval reaches as far from the
    plain error as chance moves it in 95 % of draws if all bins err to the same side. So it covers the true
    error at least as often, even an error of 0. A bootstrap interval would not: it has the bias twice.
    """
    bins = assign_bins(p_fake)
    counts, predicted, found = (
        np.bincount(bins, weights, CALIBRATION_BINS) for weights in (None, p_fake, is_fake)
    )
    gaps, shares = predicted - found, (found + 1) / (counts + 2)
    random = np.random.default_rng(seed)
    chance = random.binomial(counts, shares, (BOOTSTRAP_SAMPLES, CALIBRATION_BINS)) - counts * shares
    plain = np.abs(gaps).sum()
    bias = np.abs(gaps + chance).sum(axis=1).mean() - plain
    reach = np.quantile(np.abs(chance).sum(axis=1), 0.95)
    value, low, high = np.clip(np.array([plain - bias, plain - reach, plain + reach]) / counts.sum(), 0, 1)
    return Measure(value=float(value), low=float(low), high=float(high))


def assign_bins(p_fake: np.ndarray) -> np.ndarray:
    """Return the bin (N,) of each probability (N,)."""
    bins: np.ndarray = np.minimum((p_fake * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return bins


def measure_verdicts(calibration: Calibration, margins: np.ndarray, is_fake: np.ndarray) -> VerdictRates:
    """Measure the rates of the three verdicts on pictures whose class is known.

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
        ece_calibrated=compute_calibration_error(p_fake, is_fake),
        temperature=calibration.temperature,
        fake_from=calibration.fake_from,
        real_below=calibration.real_below,
        fake_called_fake=float((verdicts[is_fake] == FAKE).mean()),
        real_called_real=float((verdicts[~is_fake] == REAL).mean()),
    )


def uses_calibration(found: VerdictRates, calibration: Calibration) -> bool:
    """Whether verdicts were measured with this calibration; assumed for older files without thresholds."""
    then = (found.temperature, found.fake_from, found.real_below)
    return None in then or then == (calibration.temperature, calibration.fake_from, calibration.real_below)


def describe_thresholds(model: str, saved: CalibrationRecord) -> list[str]:
    """Describe a probe's temperature and thresholds, and the error rates that they guarantee."""
    found = saved.validation
    lines = [
        f"{model}: temperature {saved.temperature:.3f}; fake from {percent(saved.fake_from, 2)}, real "
        f"below {percent(saved.real_below, 2)}, unsure in between",
    ]
    if found is None or saved.max_false_alarms is None or saved.max_missed is None:
        return lines
    lines += [
        _describe_guarantee(
            "Real pictures called fake",
            "new real sources" if saved.held_out_real_sources else "",
            saved.max_false_alarms,
            found.real_called_fake,
        ),
        _describe_guarantee(
            "Fakes called real",
            "new families of generators" if saved.held_out_families else "",
            saved.max_missed,
            found.fake_called_real,
        ),
        f"  unsure: {percent(found.unsure)} of held-out pictures",
    ]
    return lines


def _describe_guarantee(what: str, sources: str, most: float, rate: float) -> str:
    whose = (
        f"on average over {sources}"
        if sources
        else "for pictures from these sources (no guarantee for others)"
    )
    return f"  {what}: {percent(rate)} of held-out pictures; guaranteed: at most {percent(most)} {whose}"
