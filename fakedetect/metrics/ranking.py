"""Fakes and real pictures in one order: the ROC AUC, of pictures of the same shape too, and its bootstrap.

Most generators make squares and most cameras do not, and a model sees which pictures were squeezed to a
square; among pictures of the same shape that has no part.
"""

from collections.abc import Sequence

import numpy as np

from fakedetect.core.records.evaluation import Measure
from fakedetect.metrics.intervals import REPEATS, interval, measure_area, roc_auc_interval

FALSE_ALARMS = 0.05
"""The share of the real pictures called fake where the recall of fakes is told."""

SAME_SHAPE = "ROC AUC, same shape only"

GAP = 0.01
"""How far the ROC AUC may lie above that of pictures of the same shape before it is said why."""

Units = Sequence[np.ndarray]
"""What is known of the pictures of a class, in the units that a bootstrap draws: sources, or pictures."""


def measure_auc(is_fake: np.ndarray, margins: np.ndarray) -> Measure:
    """The ROC AUC of margins (N,); none where the pictures are of one class."""
    # A second to import, which every check would wait for.
    from sklearn.metrics import roc_auc_score

    fakes = int(is_fake.sum())
    if not 0 < fakes < len(is_fake):
        return Measure(value=None)
    return measure_area(float(roc_auc_score(is_fake, margins)), fakes, len(is_fake) - fakes)


def draw(random: np.random.Generator, count: int) -> np.ndarray:
    """How often each of so many units (C,) comes in a draw with replacement."""
    return random.multinomial(count, np.full(count, 1 / count))


class Ranking:
    """The margins of both classes in one order, to be measured with any numbers of copies of each unit.

    A unit is what a bootstrap draws whole: a source, or a picture; it may be empty.
    """

    def __init__(self, fakes: Sequence[np.ndarray], reals: Sequence[np.ndarray]):
        self.fakes = np.array([len(unit) for unit in fakes])
        self.reals = np.array([len(unit) for unit in reals])
        values, places = np.unique(np.concatenate([*fakes, *reals]), return_inverse=True)
        self.values = values
        self.fake_places, self.real_places = np.split(places, [self.fakes.sum()])

    def measure(self, of_fakes: np.ndarray, of_reals: np.ndarray) -> tuple[float, float]:
        """The area under the ROC curve, ties as half, and the fake recall at FALSE_ALARMS, with so many
        copies of each unit of fakes (F,) and of reals (R,)."""
        fakes = np.repeat(of_fakes, self.fakes)
        won, pairs = self.count_wins(of_fakes, of_reals)
        caught = self.fake_places > _least_place(self._pass(of_reals))
        return won / pairs, float(fakes @ caught / fakes.sum())

    def count_wins(self, of_fakes: np.ndarray, of_reals: np.ndarray) -> tuple[float, float]:
        """The pairs of a fake and a real picture in the right order, ties as half, and all pairs, with so
        many copies of each unit."""
        fakes, passed = np.repeat(of_fakes, self.fakes), self._pass(of_reals)
        tied = np.diff(passed, prepend=0)
        return float(fakes @ (passed - tied / 2)[self.fake_places]), float(fakes.sum() * passed[-1])

    def least_margin(self) -> float:
        """The margin above which lie at most FALSE_ALARMS of the real pictures."""
        return float(self.values[_least_place(self._pass(np.ones(len(self.reals))))])

    def _pass(self, of_reals: np.ndarray) -> np.ndarray:
        """How many real pictures lie at each of the values or below, with so many copies of each unit."""
        reals = np.repeat(of_reals, self.reals)
        return np.cumsum(np.bincount(self.real_places, reals, len(self.values)))


def _least_place(passed: np.ndarray) -> int:
    """The place of that margin, by how many real pictures lie at each of the ordered values and below."""
    return int(np.searchsorted(passed, (1 - FALSE_ALARMS) * passed[-1] - 1e-9))


def measure_drawn(value: float, drawn: Sequence[float], closed: tuple[float, float]) -> Measure:
    """A figure with the interval of its bootstrap; where all draws give the same, as they do of a perfect
    result, with the `closed` one."""
    low, high = interval(np.array(drawn))
    if low == high:
        low, high = closed
    return Measure(value=value, low=min(low, value), high=max(high, value))


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
