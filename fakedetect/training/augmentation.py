"""Training pictures degraded at random, both classes alike, so that neither sharpness nor compression tells
them apart."""

import numpy as np

from fakedetect.dataset.batches import Change
from fakedetect.dataset.samples import Sample
from fakedetect.images.chains import degrade_at_random, random_for


def degrade_with(seed: int) -> Change:
    """A change that degrades every picture in a way of its own, which the seed decides.

    One that an epoch shows several times is degraded in another way each time.
    """

    def change(pixels: np.ndarray, sample: Sample) -> np.ndarray:
        name = f"{sample.path.name} {sample.turn}" if sample.turn else sample.path.name
        return degrade_at_random(pixels, random_for(seed, name))

    return change
