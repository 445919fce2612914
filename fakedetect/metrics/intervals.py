"""How sure a measured figure is: 95 % intervals, one method for each kind of figure.

Of pictures whose sources differ, intervals draw whole groups of sources.
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


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of bootstrap values (N,) (Efron 1979)."""
    low, high = np.quantile(values, (0.025, 0.975))
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

    low = 0.0 if auc <= 0 else brentq(lambda area: auc - area - reach(area), 0, auc - 1e-12)
    high = 1.0 if auc >= 1 else brentq(lambda area: area - auc - reach(area), auc + 1e-12, 1)
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
