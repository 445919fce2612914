"""The ROC AUC of pictures of the same shape, in which their being squeezed to a square has no part.

Most generators make squares and most cameras do not, and a model sees which pictures were squeezed.
"""

from collections.abc import Sequence

import numpy as np

from fakedetect.core.evaluation_record import Measure
from fakedetect.core.intervals import REPEATS, roc_auc_interval
from fakedetect.models.ranking import Ranking, draw, measure_drawn

SAME_SHAPE = "ROC AUC, same shape only"

GAP = 0.01
"""How far the ROC AUC may lie above that of pictures of the same shape before it is said why."""

Units = Sequence[np.ndarray]
"""What is known of the pictures of a class, in the units that a bootstrap draws: sources, or pictures."""


def measure_same_shape(
    margins: tuple[Units, Units], shapes: tuple[Units, Units], seed: int = 0
) -> Measure | None:
    """The ROC AUC of pairs of a fake and a real picture of one shape, with its 95 % interval.

    Args:
        margins: those of the fakes and of the real pictures.
        shapes: theirs, '' where one is not known.

    Returns:
        None where all have the same shape or none is known; without a value where no fake has the shape of
        any real picture.
    """
    known = sorted({str(shape) for units in shapes for unit in units for shape in unit} - {""})
    if len(known) < 2:
        return None
    rankings = []
    for shape in known:
        of_shape = [
            [unit[its == shape] for unit, its in zip(units, their, strict=True)]
            for units, their in zip(margins, shapes, strict=True)
        ]
        if all(any(map(len, units)) for units in of_shape):
            rankings.append(Ranking(*of_shape))

    def area(of_fakes: np.ndarray, of_reals: np.ndarray) -> float | None:
        counts = [ranking.count_wins(of_fakes, of_reals) for ranking in rankings]
        pairs = sum(of_shape for _, of_shape in counts)
        return float(sum(won for won, _ in counts) / pairs) if pairs else None

    fakes, reals = map(len, margins)
    found = area(np.ones(fakes), np.ones(reals))
    if found is None:
        return Measure(value=None)
    random = np.random.default_rng(seed)
    drawn = [area(draw(random, fakes), draw(random, reals)) for _ in range(REPEATS)]
    return measure_drawn(
        found, [each for each in drawn if each is not None], roc_auc_interval(found, fakes, reals)
    )


def tell_shapes(auc: Measure, same: Measure | None) -> list[str]:
    """How much of a ROC AUC is the shape of the pictures, in words."""
    if same is None:
        return []
    if same.value is None:
        return [
            "No fake has the shape (square, wide or tall) of any real picture: the figures may be about "
            "shape alone. Collect both classes in the same shapes."
        ]
    if (auc.value or 0.0) - same.value < GAP:
        return []
    return [
        f"Part of this is shape: among pictures of the same shape (square, wide or tall) ROC AUC is "
        f"{same.value:.2f}. Scaling to a square squeezes the others, and the model sees that. Collect both "
        "classes in similar shapes."
    ]
