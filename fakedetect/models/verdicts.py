"""Verdicts from the models' margins, and the threshold that also holds for the user's own photographs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fakedetect.core.records.evaluation import Measure
from fakedetect.core.records.record import Count, Record, Share, Temperature, read_record
from fakedetect.core.settings.model_folder import OWN_PHOTOGRAPHS
from fakedetect.core.settings.settings import Settings
from fakedetect.images.degradations import Degradation
from fakedetect.metrics.calibration import FAKE, REAL, UNCALIBRATED, UNSURE, Calibration, conformal_rank
from fakedetect.metrics.intervals import measure_share

FLIP_MARGIN = 0.2
"""A calibrated probability further than this from 0.5 hardly ever crosses 0.5 after a small change of the
picture. Of 900 pictures that starter_small was not trained on, STABILITY_DEGRADATIONS flipped 0.2 % (one)
of the 627 beyond the margin, 8 % of those between 0.15 and 0.2, and none of the 462 that were called fake
or real (python -m benchmarks.flips FOLDER)."""

MAX_CALLED_FAKE = 0.05
"""The share of further photographs like the user's own that may be called fake."""

FEWEST_PHOTOGRAPHS = 19
"""Fewer cannot guarantee that share, which is 1 / (19 + 1)."""


@dataclass(frozen=True)
class Prediction:
    """A prediction for a picture.

    `p_fake` is the calibrated probability, `p_fake_raw` the uncalibrated one. `flips` names the
    degradations that led to the opposite class; None if none were tried.
    """

    verdict: str
    p_fake: float
    p_fake_raw: float
    flips: tuple[str, ...] | None

    @property
    def stability(self) -> str:
        """'stable', the flips in words, or '' if no degradation was tried."""
        if self.flips is None:
            return ""
        return "; ".join(self.flips) or "stable"


def decide_verdict(
    calibration: Calibration, margins: np.ndarray, tried: Sequence[Degradation]
) -> Prediction:
    """Return a model's prediction from margins (1 + D,): of the picture, then of each degradation.

    A verdict that a degradation flips becomes unsure. A verdict that is unsure before and after it does not
    count as flipped.
    """
    calibrated = calibration.probability(margins)
    sides = [FAKE if margin >= 0 else REAL for margin in margins]
    verdicts = [calibration.verdict(p) for p in calibrated]
    flips = tuple(
        f"{side} after {how}"
        for side, verdict, how in zip(sides[1:], verdicts[1:], tried, strict=True)
        if side != sides[0] and (verdicts[0], verdict) != (UNSURE, UNSURE)
    )
    return Prediction(
        verdict=UNSURE if flips else verdicts[0],
        p_fake=float(calibrated[0]),
        p_fake_raw=float(UNCALIBRATED.probability(margins[:1])[0]),
        flips=flips if tried else None,
    )


def may_flip(calibration: Calibration, calibrated: float) -> bool:
    """Whether a small change of the picture may flip this prediction, as measured for FLIP_MARGIN."""
    sure = calibration.verdict(calibrated) != UNSURE
    return calibration.fitted and sure and abs(calibrated - 0.5) < FLIP_MARGIN


def combine_predictions(predictions: Sequence[Prediction]) -> Prediction:
    """Combine the predictions of several models; the probability is their mean.

    The verdict is fake or real if most models agree and none predicts the opposite; otherwise unsure.
    """
    if len(predictions) == 1:
        return predictions[0]
    verdicts = [each.verdict for each in predictions]
    together = UNSURE
    for verdict, opposite in ((FAKE, REAL), (REAL, FAKE)):
        if opposite not in verdicts and 2 * verdicts.count(verdict) > len(verdicts):
            together = verdict
    flips = None
    if all(each.flips is not None for each in predictions):
        flips = tuple(dict.fromkeys(flip for each in predictions for flip in each.flips or ()))
    return Prediction(
        verdict=together,
        p_fake=float(np.mean([each.p_fake for each in predictions])),
        p_fake_raw=float(np.mean([each.p_fake_raw for each in predictions])),
        flips=flips,
    )


class OwnPhotographs(Record, frozen=True, kw_only=True):
    """A model's results on photographs that its user knows to be real: numbers and hashes only.

    `called_fake` counts fake verdicts at the model's own threshold. `fake_from` is for the model with the
    hash `checkpoint` at this temperature. `hashes` is a hash of the photographs' hashes.
    """

    checkpoint: str
    temperature: Temperature
    photographs: Count
    hashes: str
    called_fake: Count
    max_called_fake: Share
    fake_from: Share

    def applied_to(self, calibration: Calibration) -> Calibration:
        """Return a calibration whose threshold for 'fake' also holds for these photographs."""
        return replace(calibration, fake_from=max(calibration.fake_from, self.fake_from))

    def measure_called_fake(self, calibration: Calibration) -> Measure:
        """Return the share of further such photographs called fake by applied_to(calibration)."""
        if self.fake_from <= calibration.fake_from:
            return measure_share(self.called_fake, self.photographs)
        rank = conformal_rank(self.photographs, self.max_called_fake) or self.photographs
        return measure_share(self.photographs + 1 - rank, self.photographs + 1)


def read_own_photographs(
    settings: Settings, checkpoint: str, calibration: Calibration
) -> OwnPhotographs | None:
    """Read own_photographs.json of the chosen model; None if it is missing, or for another checkpoint or
    temperature.

    Raises:
        UserError: the file cannot be used.
    """
    file = settings.model_folder / OWN_PHOTOGRAPHS
    advice = f"Remove it: {settings.command('fit-thresholds', '--forget-own')}"
    found = read_record(file, OwnPhotographs, advice)
    if found and (found.checkpoint, found.temperature) == (checkpoint, calibration.temperature):
        return found
    return None


def fit_own_threshold(p_fake: np.ndarray) -> float:
    """Return the lowest threshold that at most MAX_CALLED_FAKE of further such photographs reach.

    Split conformal prediction, see conformal_rank().

    Args:
        p_fake: (N,) calibrated probabilities of photographs, N >= FEWEST_PHOTOGRAPHS.
    """
    rank = conformal_rank(len(p_fake), MAX_CALLED_FAKE)
    if rank is None:
        raise ValueError(f"{len(p_fake)} photographs are too few")
    return min(1.0, float(np.nextafter(np.sort(p_fake)[rank - 1], np.inf)))
