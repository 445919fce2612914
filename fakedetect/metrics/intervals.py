"""Figures and how sure they are: 95 % intervals, one method for each kind; the ROC AUC and its bootstrap.

Of pictures whose sources differ, intervals draw whole groups of sources. The ROC AUC is measured of
pictures of the same shape too. Most generators make squares and most cameras do not, and a model sees which
pictures were squeezed to a square; among those of one shape that has no part.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from fakedetect.core.records.evaluation import Measure

REPEATS = 1000
"""Bootstrap samples, for the figures that have no closed form."""

Z = 1.959963984540054
"""The 97.5 % point of the standard normal distribution."""

T = TypeVar("T")
BySource = Mapping[str, Sequence[T]]
"""What is known of each picture, by source."""


FALSE_ALARMS = 0.05
"""The share of the real pictures called fake where the recall of fakes is told."""

SAME_SHAPE = "ROC AUC, same shape only"

GAP = 0.01
"""How far the ROC AUC may lie above that of pictures of the same shape before it is said why."""

Units = Sequence[np.ndarray]
"""What is known of the pictures of a class, in the units that a bootstrap draws: sources, or pictures."""


def interval(values: np.ndarray, units: int) -> tuple[float, float]:
    """The middle 95 % of bootstrap values (N,) (Efron 1979), or more where few units were drawn from.

    The expanded percentile interval of Hesterberg 2015, 'What Teachers Should Know about the Bootstrap': a
    bootstrap of n units has a variance that is too small by (n - 1) / n, and knows no Student's t.

    Args:
        units: how many sources, or pictures, the smaller class has.
    """
    freedom = max(1, units - 1)
    # Student's t by its expansion (Fisher and Cornish 1960): scipy takes a quarter of a second to import,
    # which every check would wait for.
    student = (
        Z
        + (Z**3 + Z) / (4 * freedom)
        + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * freedom**2)
        + (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / (384 * freedom**3)
    )
    tail = math.erfc(student * math.sqrt((freedom + 1) / freedom / 2)) / 2
    low, high = np.quantile(values, (tail, 1 - tail))
    return float(low), float(high)


def share_interval(hits: float, count: int) -> tuple[float, float]:
    """Wilson's score interval (1927) of the share hits/count; unlike a bootstrap's, it has a width at
    0 % and 100 %.

    Args:
        hits: not whole where they stand for a mean of `count` shares, whose variance is no larger.
    """
    # By hand, for scipy.stats takes a second to import, which every check would wait for.
    centre = hits + Z**2 / 2
    reach = Z * math.sqrt(hits * (count - hits) / count + Z**2 / 4)
    low, high = (end / (count + Z**2) for end in (centre - reach, centre + reach))
    return (low if hits else 0.0), (high if hits < count else 1.0)


def mean_interval(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """The interval of the mean of two independent shares, each (hits, count).

    Their Wilson intervals combined by the square-and-add method (Newcombe 1998; Zou and Donner 2008).
    """
    shares = [hits / count for hits, count in (first, second)]
    ends = [share_interval(*each) for each in (first, second)]
    down = math.hypot(*(share - low for share, (low, _) in zip(shares, ends, strict=True))) / 2
    up = math.hypot(*(high - share for share, (_, high) in zip(shares, ends, strict=True))) / 2
    mean = sum(shares) / 2
    return max(0.0, mean - down), min(1.0, mean + up)


def measure_recall(caught: np.ndarray, alarms: np.ndarray, rate: float) -> Measure:
    """The recall of fakes at a rate of false alarms with its interval.

    The threshold with that rate is not known: so many real pictures lie above it as a binomial distribution
    allows. The recall at both ends of these, and Wilson's interval of the recall itself, are combined by
    the square-and-add method (Zou and Donner 2008), as those of two independent errors.

    Args:
        caught: fakes (L,) from each of the scores up, from the highest score to the lowest.
        alarms: real pictures likewise.
    """
    # A second to import, which every check would wait for.
    from scipy.stats import binom

    fakes, reals = int(caught[-1]), int(alarms[-1])
    fewest, most = binom.ppf((0.025, 0.975), reals, rate)
    # Of the scores with more alarms than that the first lies below the threshold.
    value = _caught_before(caught, alarms, rate * reals) / fakes
    least = _caught_before(caught, alarms, fewest - 1) / fakes if fewest else 0.0
    greatest = _caught_before(caught, alarms, most) / fakes
    low, high = share_interval(value * fakes, fakes)
    return Measure(
        value=value,
        low=max(0.0, value - math.hypot(value - low, value - least)),
        high=min(1.0, value + math.hypot(high - value, greatest - value)),
    )


def _caught_before(caught: np.ndarray, alarms: np.ndarray, most: float) -> int:
    """The most fakes that a threshold with so many false alarms at most catches."""
    last = int(np.searchsorted(alarms, most + 1e-9, side="right"))
    return int(caught[last - 1]) if last else 0


def roc_auc_interval(auc: float, fakes: int, reals: int) -> tuple[float, float]:
    """The interval of an area under the ROC curve, from the numbers of pictures of both classes.

    Newcombe 2006, 'Confidence intervals for an effect size measure based on the Mann-Whitney statistic,
    part 2', method 5: the areas that the observed one lies within 1.96 of their standard errors of. It
    has a width at 1.0 too, where a bootstrap and DeLong's method have none.
    """
    from scipy.optimize import brentq

    pairs, freedom = fakes * reals, (fakes + reals) / 2 - 1

    def reach(area: float) -> float:
        spread = 1 + freedom * ((1 - area) / (2 - area) + area / (1 + area))
        return Z * math.sqrt(max(0.0, area * (1 - area) * spread / pairs))

    # At 0 and 1 nothing is in reach; an area next to them may be either, but for what rounding has left.
    low = 0.0 if auc <= 0 else brentq(lambda area: auc - area - reach(area), 0, min(auc, 1 - 1e-12))
    high = 1.0 if auc >= 1 else brentq(lambda area: area - auc - reach(area), max(auc, 1e-12), 1)
    return float(low), float(high)


def measure_share(hits: float, count: int) -> Measure:
    """The share hits/count with its interval."""
    low, high = share_interval(hits, count)
    return Measure(value=hits / count, low=low, high=high)


def measure_area(auc: float, fakes: int, reals: int) -> Measure:
    """An area under the ROC curve with its interval."""
    low, high = roc_auc_interval(auc, fakes, reals)
    return Measure(value=auc, low=low, high=high)


def group_of(source: str) -> str:
    """The family of a source 'family/generator', and the source itself where it names none.

    Generators of one family leave like traces, so a family is left out as a whole.
    """
    return source.partition("/")[0]


def by_group(values: BySource[T]) -> dict[str, np.ndarray]:
    """Values of the pictures of each group of sources, a family of generators say: their margins."""
    found: dict[str, list[T]] = {}
    for source, of_source in sorted(values.items()):
        found.setdefault(group_of(source), []).extend(of_source)
    return {group: np.array(of_group) for group, of_group in found.items()}


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


def measure_drawn(value: float, drawn: Sequence[float], units: int, closed: tuple[float, float]) -> Measure:
    """A figure with the interval of its bootstrap; where all draws give the same, as they do of a perfect
    result, with the `closed` one.

    Args:
        units: as interval() takes them.
    """
    low, high = interval(np.array(drawn), units)
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
        found,
        [each for each in drawn if each is not None],
        min(fakes, reals),
        roc_auc_interval(found, fakes, reals),
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
