"""Confident learning: which of many labels are probably wrong.

Northcutt, Jiang and Chuang 2021, 'Confident Learning: Estimating Uncertainty in Dataset Labels', Journal of
Artificial Intelligence Research 70. Their package, cleanlab, does this for any number of classes; for two
it is these lines.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Doubts:
    """What is to be thought of N labels.

    Attributes:
        suspected: (N,) bool, those off the diagonal of the confident joint.
        leaning: (N,) bool, the others of which the other class is the more probable one.
        order: (N,) their places, the likeliest mistakes first.
    """

    suspected: np.ndarray
    leaning: np.ndarray
    order: np.ndarray


def doubt_labels(p_fake: np.ndarray, is_fake: np.ndarray) -> Doubts:
    """Compare scores with labels.

    A class's threshold is the mean probability that its own pictures have of it, so that neither a rare
    class nor one that is seldom sure of itself is suspected as a whole. A label is suspected where the
    other class reaches its threshold, and is the more probable one if the label's own does too (the
    confident joint, equation 1). The order is by self-confidence, the probability of the label; with two
    classes the normalised margin gives the same one.

    Args:
        p_fake: (N,) each by a model that has not learnt from that picture.
        is_fake: (N,) bool, the labels; both classes are among them.
    """
    own = np.where(is_fake, p_fake, 1 - p_fake)
    other = 1 - own
    of_fake, of_real = own[is_fake].mean(), own[~is_fake].mean()
    sure_of_own = own >= np.where(is_fake, of_fake, of_real)
    sure_of_other = other >= np.where(is_fake, of_real, of_fake)
    suspected = sure_of_other & (~sure_of_own | (other > own))
    return Doubts(suspected, ~suspected & (other > own), np.lexsort((own, ~suspected)))
