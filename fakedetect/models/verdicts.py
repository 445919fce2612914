"""From the models' margins for a picture and its degradations to one verdict on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fakedetect.images.degradations import Degradation
from fakedetect.metrics.calibration import FAKE, REAL, UNCALIBRATED, UNSURE, Calibration

FLIP_MARGIN = 0.2
"""Calibrated probabilities further than that from one half hardly ever get across it when the picture
changes a little. Of 900 pictures that starter_small was not trained on, STABILITY_DEGRADATIONS turned 0.2 %
(one) of the 627 beyond it, 8 % of those between 0.15 and 0.2, and none of the 462 that were called fake or
real (python -m benchmarks.flips FOLDER)."""


@dataclass(frozen=True)
class Answer:
    """What a model says of a picture.

    `p_fake` is the calibrated probability, `p_fake_raw` its own; `flips` are the opposite classes that
    degradations led to, None where they were not tried.
    """

    verdict: str
    p_fake: float
    p_fake_raw: float
    flips: tuple[str, ...] | None

    @property
    def stability(self) -> str:
        """'stable', the flips in words, or '' where that was not tried."""
        if self.flips is None:
            return ""
        return "; ".join(self.flips) or "stable"


def answer(calibration: Calibration, margins: np.ndarray, tried: Sequence[Degradation]) -> Answer:
    """A model's answer from margins (1 + D,): of the picture, then of each degradation tried.

    An answer that one of them turns into its opposite is unsure. Within the band of unsure answers there is
    nothing to turn.
    """
    calibrated = calibration.probability(margins)
    sides = [FAKE if margin >= 0 else REAL for margin in margins]
    verdicts = [calibration.verdict(p) for p in calibrated]
    flips = tuple(
        f"{side} after {how}"
        for side, verdict, how in zip(sides[1:], verdicts[1:], tried, strict=True)
        if side != sides[0] and (verdicts[0], verdict) != (UNSURE, UNSURE)
    )
    return Answer(
        verdict=UNSURE if flips else verdicts[0],
        p_fake=float(calibrated[0]),
        p_fake_raw=float(UNCALIBRATED.probability(margins[:1])[0]),
        flips=flips if tried else None,
    )


def may_flip(calibration: Calibration, calibrated: float) -> bool:
    """Whether a small change of the picture may turn this answer into its opposite, as far as measured."""
    sure = calibration.verdict(calibrated) != UNSURE
    return calibration.fitted and sure and abs(calibrated - 0.5) < FLIP_MARGIN


def agree(answers: Sequence[Answer]) -> Answer:
    """The answer of several models together: the mean of their probabilities.

    Fake or real where most models say so and none the opposite; unsure otherwise.
    """
    if len(answers) == 1:
        return answers[0]
    verdicts = [each.verdict for each in answers]
    together = UNSURE
    for verdict, opposite in ((FAKE, REAL), (REAL, FAKE)):
        if opposite not in verdicts and 2 * verdicts.count(verdict) > len(verdicts):
            together = verdict
    flips = None
    if all(each.flips is not None for each in answers):
        flips = tuple(dict.fromkeys(flip for each in answers for flip in each.flips or ()))
    return Answer(
        verdict=together,
        p_fake=float(np.mean([each.p_fake for each in answers])),
        p_fake_raw=float(np.mean([each.p_fake_raw for each in answers])),
        flips=flips,
    )
