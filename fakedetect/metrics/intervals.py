"""95 % intervals of shares, means, recalls and the ROC AUC; the bootstrap over sources.

If pictures have sources, the bootstrap draws whole groups of sources. The ROC AUC is also measured on
pictures of the same shape. Most generators make squares and most cameras do not, and a model sees which
pictures were squeezed to a square. Among pictures of one shape this has no effect.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from fakedetect.core.records.evaluation import Measure

BOOTSTRAP_SAMPLES = 1000
"""Samples of a bootstrap, for the figures without a closed form."""

Z = 1.959963984540054
"""The 97.5 % point of the standard normal distribution."""

T = TypeVar("T")
BySource = Mapping[str, Sequence[T]]
"""A value for each picture, by source."""


FALSE_POSITIVE_RATE = 0.05
"""The false-positive rate at which the fake recall is measured."""

SAME_SHAPE = "ROC AUC, same shape only"

SHAPE_AUC_GAP = 0.01
"""The difference of the ROC AUC from that of pictures of the same shape from which on shape is reported."""

Units = Sequence[np.ndarray]
"""A value for each picture of a class, grouped by the units that a bootstrap draws: sources or pictures."""


def bootstrap_interval(values: np.ndarray, units: int) -> tuple[float, float]:
    """Return the middle 95 % of bootstrap values (N,) (Efron 1979), widened for few units.

    This is the expanded percentile interval of Hesterberg 2015, 'What Teachers Should Know about the
    Bootstrap': the variance of a bootstrap of n units is too small by (n - 1) / n, and the bootstrap lacks
    the wider tails of Student's t.

    Args:
        units: the number of sources, or pictures, in the smaller class.
    """
    freedom = max(1, units - 1)
    # Student's t by its expansion (Fisher and Cornish 1960): importing scipy takes a quarter of a second,
    # and every check would wait for it.
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
    """Return Wilson's score interval (1927) of the share hits/count.

    Unlike a bootstrap interval, it has a width at 0 % and 100 %.

    Args:
        hits: a whole number, or `count` times the mean of `count` shares, whose variance is no larger.
    """
    # Not scipy.stats: importing it takes a second, and every check would wait for it.
    centre = hits + Z**2 / 2
    reach = Z * math.sqrt(hits * (count - hits) / count + Z**2 / 4)
    low, high = (end / (count + Z**2) for end in (centre - reach, centre + reach))
    return (low if hits else 0.0), (high if hits < count else 1.0)


def mean_interval(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """Return the interval of the mean of two independent shares, each (hits, count).

    It combines their Wilson intervals by the square-and-add method (Newcombe 1998; Zou and Donner 2008).
    """
    shares = [hits / count for hits, count in (first, second)]
    ends = [share_interval(*each) for each in (first, second)]
    down = math.hypot(*(share - low for share, (low, _) in zip(shares, ends, strict=True))) / 2
    up = math.hypot(*(high - share for share, (_, high) in zip(shares, ends, strict=True))) / 2
    mean = sum(shares) / 2
    return max(0.0, mean - down), min(1.0, mean + up)


def measure_recall(caught: np.ndarray, alarms: np.ndarray, rate: float) -> Measure:
    """Measure the fake recall at a false-positive rate, with its interval.

    The threshold with that rate is unknown: the number of real pictures above it follows a binomial
    distribution. The recall at both ends of its 95 % range and Wilson's interval of the recall itself are
    two independent errors, combined by the square-and-add method (Zou and Donner 2008).

    Args:
        caught: (L,) the number of fakes at or above each score, from the highest score to the lowest.
        alarms: (L,) the same for real pictures.
        rate: the false-positive rate.
    """
    # Imported here: it takes a second, and every check would wait for it.
    from scipy.stats import binom

    fakes, reals = int(caught[-1]), int(alarms[-1])
    fewest, most = binom.ppf((0.025, 0.975), reals, rate)
    # The first score with more alarms than that lies below the threshold.
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
    """Return the most fakes that a threshold with at most `most` false positives catches."""
    last = int(np.searchsorted(alarms, most + 1e-9, side="right"))
    return int(caught[last - 1]) if last else 0


def roc_auc_interval(auc: float, fakes: int, reals: int) -> tuple[float, float]:
    """Return the interval of a ROC AUC, from the number of pictures of each class.

    Newcombe 2006, 'Confidence intervals for an effect size measure based on the Mann-Whitney statistic,
    part 2', method 5: all areas from which the observed one is at most 1.96 of their standard errors away.
    Unlike a bootstrap and DeLong's method, it has a width at 1.0.
    """
    from scipy.optimize import brentq

    pairs, freedom = fakes * reals, (fakes + reals) / 2 - 1

    def half_width(area: float) -> float:
        spread = 1 + freedom * ((1 - area) / (2 - area) + area / (1 + area))
        return Z * math.sqrt(max(0.0, area * (1 - area) * spread / pairs))

    # At 0 and 1 nothing is in reach; an area next to them may be either, but for what rounding has left.
    low = 0.0 if auc <= 0 else brentq(lambda area: auc - area - half_width(area), 0, min(auc, 1 - 1e-12))
    high = 1.0 if auc >= 1 else brentq(lambda area: area - auc - half_width(area), max(auc, 1e-12), 1)
    return float(low), float(high)


def measure_share(hits: float, count: int) -> Measure:
    """Return the share hits/count with its interval."""
    low, high = share_interval(hits, count)
    return Measure(value=hits / count, low=low, high=high)


def measure_area(auc: float, fakes: int, reals: int) -> Measure:
    """Return a ROC AUC with its interval."""
    low, high = roc_auc_interval(auc, fakes, reals)
    return Measure(value=auc, low=low, high=high)


def group_of(source: str) -> str:
    """Return the family of a source 'family/generator', or the source itself if it names no family.

    Generators of one family leave similar traces, so a family is held out as a whole.
    """
    return source.partition("/")[0]


def group_values(values: BySource[T]) -> dict[str, np.ndarray]:
    """Group the pictures' values, such as margins, by family of generators or by real source."""
    found: dict[str, list[T]] = {}
    for source, of_source in sorted(values.items()):
        found.setdefault(group_of(source), []).extend(of_source)
    return {group: np.array(of_group) for group, of_group in found.items()}


def measure_auc(is_fake: np.ndarray, margins: np.ndarray) -> Measure:
    """Measure the ROC AUC of margins (N,); without a value if the pictures have only one class."""
    # Imported here: it takes a second, and every check would wait for it.
    from sklearn.metrics import roc_auc_score

    fakes = int(is_fake.sum())
    if not 0 < fakes < len(is_fake):
        return Measure(value=None)
    return measure_area(float(roc_auc_score(is_fake, margins)), fakes, len(is_fake) - fakes)


def resample_units(random: np.random.Generator, count: int) -> np.ndarray:
    """Draw `count` of `count` units with replacement; return how often each was drawn (count,)."""
    return random.multinomial(count, np.full(count, 1 / count))


class Ranking:
    """The margins of both classes in one order, measured with any number of copies of each unit.

    A bootstrap draws whole units. A unit is a source or a picture; it may be empty.
    """

    def __init__(self, fakes: Sequence[np.ndarray], reals: Sequence[np.ndarray]):
        self.fakes = np.array([len(unit) for unit in fakes])
        self.reals = np.array([len(unit) for unit in reals])
        values, ranks = np.unique(np.concatenate([*fakes, *reals]), return_inverse=True)
        self.values = values
        self.fake_ranks, self.real_ranks = np.split(ranks, [self.fakes.sum()])

    def measure(self, of_fakes: np.ndarray, of_reals: np.ndarray) -> tuple[float, float]:
        """Return the ROC AUC (ties count half) and the fake recall at FALSE_POSITIVE_RATE.

        Args:
            of_fakes: (F,) copies of each unit of fakes.
            of_reals: (R,) copies of each unit of real pictures.
        """
        fakes = np.repeat(of_fakes, self.fakes)
        won, pairs = self.count_wins(of_fakes, of_reals)
        caught = self.fake_ranks > _threshold_index(self._count_reals_up_to(of_reals))
        return won / pairs, float(fakes @ caught / fakes.sum())

    def count_wins(self, of_fakes: np.ndarray, of_reals: np.ndarray) -> tuple[float, float]:
        """Return the number of correctly ordered pairs of a fake and a real picture (ties count half), and
        of all pairs, with the given copies of each unit."""
        fakes, passed = np.repeat(of_fakes, self.fakes), self._count_reals_up_to(of_reals)
        tied = np.diff(passed, prepend=0)
        return float(fakes @ (passed - tied / 2)[self.fake_ranks]), float(fakes.sum() * passed[-1])

    def least_margin(self) -> float:
        """Return the lowest margin that at most FALSE_POSITIVE_RATE of the real pictures exceed."""
        return float(self.values[_threshold_index(self._count_reals_up_to(np.ones(len(self.reals))))])

    def _count_reals_up_to(self, of_reals: np.ndarray) -> np.ndarray:
        """Return the number of real pictures at or below each value, with the given copies of each unit."""
        reals = np.repeat(of_reals, self.reals)
        return np.cumsum(np.bincount(self.real_ranks, reals, len(self.values)))


def _threshold_index(passed: np.ndarray) -> int:
    """Return the threshold's index, from the number of real pictures at or below each ordered value."""
    return int(np.searchsorted(passed, (1 - FALSE_POSITIVE_RATE) * passed[-1] - 1e-9))


def measure_bootstrapped(
    value: float, drawn: Sequence[float], units: int, closed: tuple[float, float]
) -> Measure:
    """Return a figure with its bootstrap interval.

    Args:
        drawn: the figure in each bootstrap sample.
        units: the number of units in the smaller class.
        closed: the closed-form interval, used if all samples agree, as they do for a perfect result.
    """
    low, high = bootstrap_interval(np.array(drawn), units)
    if low == high:
        low, high = closed
    return Measure(value=value, low=min(low, value), high=max(high, value))


def measure_same_shape(
    margins: tuple[Units, Units], shapes: tuple[Units, Units], seed: int = 0
) -> Measure | None:
    """Measure the ROC AUC over pairs of a fake and a real picture of the same shape.

    Args:
        margins: those of the fakes and those of the real pictures.
        shapes: the shapes of the same pictures, '' if unknown.

    Returns:
        None if all pictures have the same shape or no shape is known; a Measure without a value if no fake
        has the shape of any real picture.
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
    drawn = [
        area(resample_units(random, fakes), resample_units(random, reals)) for _ in range(BOOTSTRAP_SAMPLES)
    ]
    return measure_bootstrapped(
        found,
        [each for each in drawn if each is not None],
        min(fakes, reals),
        roc_auc_interval(found, fakes, reals),
    )


def describe_shape_effect(auc: Measure, same: Measure | None) -> list[str]:
    """Describe how much of a ROC AUC comes from the pictures' shapes; no lines if little does."""
    if same is None:
        return []
    if same.value is None:
        return [
            "No fake has the shape (square, wide or tall) of any real picture: the figures may measure "
            "shape alone. Collect both classes in the same shapes."
        ]
    if (auc.value or 0.0) - same.value < SHAPE_AUC_GAP:
        return []
    return [
        f"Part of this is shape: among pictures of the same shape (square, wide or tall) the ROC AUC is "
        f"{same.value:.2f}. Scaling to a square squeezes the others, and the model sees that. Collect both "
        "classes in similar shapes."
    ]
