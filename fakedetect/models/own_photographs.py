"""A threshold that holds for the user's own photographs, and the file that keeps it."""

from dataclasses import replace

import numpy as np

from fakedetect.core.records.record import Count, Record, Share, Temperature, read_record
from fakedetect.core.settings.model_folder import OWN_PHOTOGRAPHS
from fakedetect.core.settings.settings import Settings
from fakedetect.metrics.calibration import Calibration, conformal_rank

MAX_CALLED_FAKE = 0.05
"""The share of further photographs like the user's own that may be called fake."""

FEWEST_PHOTOGRAPHS = 19
"""From which on a threshold can keep that share: 1 / (19 + 1)."""


class OwnPhotographs(Record, frozen=True, kw_only=True):
    """What a model makes of photographs that its user knows to be real; it holds numbers and hashes only.

    `called_fake` counts them at the model's own threshold. `fake_from` holds for the model with the hash
    `checkpoint` at this temperature. `hashes` is a hash of the photographs' hashes.
    """

    checkpoint: str
    temperature: Temperature
    photographs: Count
    hashes: str
    called_fake: Count
    max_called_fake: Share
    fake_from: Share

    def applied_to(self, calibration: Calibration) -> Calibration:
        """The calibration with a threshold for 'fake' that also holds for these photographs."""
        return replace(calibration, fake_from=max(calibration.fake_from, self.fake_from))


def read_own_photographs(
    settings: Settings, checkpoint: str, calibration: Calibration
) -> OwnPhotographs | None:
    """Read own_photographs.json of the chosen model; None without one, or if it is of another checkpoint
    or another temperature.

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
    """The lowest threshold that at most MAX_CALLED_FAKE of further photographs of the same kind reach.

    Split conformal prediction, see conformal_rank().

    Args:
        p_fake: (N,) calibrated probabilities of photographs, N >= FEWEST_PHOTOGRAPHS.
    """
    rank = conformal_rank(len(p_fake), MAX_CALLED_FAKE)
    if rank is None:
        raise ValueError(f"{len(p_fake)} photographs are too few")
    return min(1.0, float(np.nextafter(np.sort(p_fake)[rank - 1], np.inf)))
